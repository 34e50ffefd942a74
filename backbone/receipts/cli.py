"""``backbone verify``: a receipt and its file, or what proves a destruction, checked on any machine
without the system.
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import click
from administration.documents.v1 import documents_pb2, retention_pb2
from cryptography import x509
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import Message

from backbone.receipts import stamps
from backbone.receipts.checks import (
    Destruction,
    Evidence,
    Finding,
    Mark,
    Proof,
    Receipt,
    of_destruction,
    of_receipt,
)
from backbone.receipts.notes import NoteError, Verifier
from backbone.receipts.paper import PaperError, embedded, is_pdf

FAILED, UNDECIDED = 1, 3

M = TypeVar("M", bound=Message)
File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("receipt", type=File)
@click.argument("file", type=File, required=False)
@click.option(
    "--key",
    envvar="BACKBONE_VERIFY_KEY",
    help="The published public key of the log: <name>+<key id>+<key>.",
)
@click.option("--tsa-certificate", type=File, help="Root of the time-stamping authority, PEM.")
@click.option("--old-checkpoint", type=File, help="A checkpoint kept from earlier.")
@click.option("--consistency", type=File, help="The proof between both checkpoints, as JSON.")
def verify(
    receipt: Path,
    file: Path | None,
    key: str | None,
    tsa_certificate: Path | None,
    old_checkpoint: Path | None,
    consistency: Path | None,
) -> None:
    """Check RECEIPT of the deposit of FILE: JSON, as GET /v1/documents/{id}/receipt gives it, or a
    PDF, as …/receipt.pdf does. What proves a destruction (as GET /v1/destructions/{id} gives it)
    needs no FILE.

    Exits with 0 when all is proven, 1 when something is wrong, and 3 when nothing is wrong but
    nobody said whose key to trust (--key).
    """
    evidence = Evidence(
        key=_key(key) if key else None,
        roots=_roots(tsa_certificate) if tsa_certificate else (),
        old_note=_note(old_checkpoint) if old_checkpoint else "",
        proof=_json(consistency, Proof()) if consistency else None,
    )
    destruction = _destruction(receipt)
    if destruction.certificate:
        sha256 = _sha256(file) if file else None
        proven = "destruction of this document"
        findings = of_destruction(destruction, sha256, evidence.key)
    elif file is None:
        raise click.UsageError("a receipt is checked against its FILE: name it too")
    else:
        proven = "deposit of this file"
        findings = of_receipt(_receipt(receipt), file.stat().st_size, _sha256(file), evidence)
    _tell(findings, proven, trusted=evidence.key is not None)


def _tell(findings: Iterable[Finding], proven: str, *, trusted: bool) -> None:
    failed = False
    for finding in findings:
        click.echo(f"{finding.mark.value} {finding.step:<12} {finding.words}")
        failed = failed or finding.mark is Mark.FAILED
    if failed:
        click.echo(f"The receipt does not prove the {proven}.")
        sys.exit(FAILED)
    if not trusted:
        click.echo("Nothing is wrong, but whoever made the key could have made this receipt.")
        sys.exit(UNDECIDED)
    click.echo(f"The receipt proves the {proven}.")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _destruction(path: Path) -> Destruction:
    if is_pdf(path):
        return Destruction()
    answer = _json(path, retention_pb2.GetDestructionResponse())
    return answer.destruction if answer.HasField("destruction") else _json(path, Destruction())


def _receipt(path: Path) -> Receipt:
    text = _embedded(path) if is_pdf(path) else _text(path)
    answer = _parsed(path, text, documents_pb2.GetReceiptResponse())
    # Whole answers of the gateway are taken, and what is inside of them.
    return answer.receipt if answer.HasField("receipt") else _parsed(path, text, Receipt())


def _embedded(path: Path) -> str:
    try:
        return embedded(path)
    except PaperError as error:
        raise click.ClickException(f"{path}: {error}") from None


def _note(path: Path) -> str:
    text = _text(path)
    if not text.startswith("{"):
        return text
    return _json(path, documents_pb2.GetCheckpointResponse()).checkpoint


def _json(path: Path, message: M) -> M:
    return _parsed(path, _text(path), message)


def _parsed(path: Path, text: str, message: M) -> M:
    try:
        return Parse(text, message, ignore_unknown_fields=True)
    except ParseError as error:
        raise click.ClickException(f"{path}: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"{path}: is not text in UTF-8") from None


def _key(text: str) -> Verifier:
    try:
        return Verifier.parse(text)
    except NoteError as error:
        raise click.BadParameter(str(error), param_hint="--key") from None


def _roots(path: Path) -> list[x509.Certificate]:
    try:
        return stamps.load_roots(path)
    except ValueError:
        raise click.ClickException(f"{path}: holds no certificate in PEM") from None
