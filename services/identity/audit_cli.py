"""``backbone audit``: the journal of accesses, held to what it was."""

import json
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from backbone.database import open_database
from backbone.settings import EventSettings, load
from services.identity.domain.journal import Opened, first_fault
from services.identity.journal import SEAL, Journal
from services.identity.signing import ALGORITHM, Signer, SigningSettings, seeds

ALTERED = 1
File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """The journal of accesses. Needs identity's BACKBONE_DATABASE_URL."""


@audit.command()
@click.option(
    "--keys",
    type=File,
    help="The keys of the seals, as GET /v1/consents/keys gives them; default: those of"
    " BACKBONE_IDENTITY_SIGNING_KEYS.",
)
@click.option(
    "--checkpoint",
    "checkpoints",
    type=File,
    multiple=True,
    help="A checkpoint that was kept, as GET /v1/journal/checkpoint gave it.",
)
def verify(keys: Path | None, checkpoints: Sequence[Path]) -> None:
    """Walk the chain and name the first line that was altered; exits 1 when there is one.

    What was cut off its end shows only in a --checkpoint from later.
    """
    opened = _opener(_keys(keys))
    kept = [_kept(path, opened) for path in checkpoints]
    with open_database().transaction() as session:
        fault, count = first_fault(Journal(session).lines(), opened, kept)
    if fault is not None:
        click.echo(f"✗ line {fault.line} {fault.words}")
        sys.exit(ALTERED)
    click.echo(f"✓ {count} lines: each is what was recorded, and sealed by identity")
    if not kept:
        click.echo("– nothing was cut off the end: give a --checkpoint that was kept to prove it")


@audit.command()
@click.argument("account_id", type=click.UUID)
def forget(account_id: uuid.UUID) -> None:
    """Take away what the journal of ACCOUNT_ID says; the chain holds, and says that it was."""
    with open_database().transaction() as session:
        issuer = load(EventSettings).public_url
        count = Journal(session).forget(str(account_id), _signer(), issuer)
    click.echo(f"{count} lines forgotten")


def _signer() -> Signer:
    return Signer(seeds(load(SigningSettings).signing_keys.get_secret_value()))


def _keys(path: Path | None) -> list[dict[str, str]]:
    found: list[dict[str, str]] = _json(path)["keys"] if path else _signer().public_keys()
    return found


def _opener(keys: list[dict[str, str]]) -> Opened:
    known = KeySet([OKPKey.import_key(dict(key)) for key in keys])

    def opened(seal: str) -> tuple[int, str]:
        try:
            found = jws.deserialize_compact(seal, known, algorithms=[ALGORITHM])
        except JoseError as error:
            raise ValueError("it is no seal of these keys") from error
        if found.headers().get("typ") != SEAL:
            raise ValueError("it is signed, but no seal")
        said = json.loads(found.payload)
        return int(said["line"]), str(said["head"])

    return opened


def _kept(path: Path, opened: Opened) -> tuple[int, str]:
    try:
        return opened(_json(path)["seal"])
    except (ValueError, KeyError) as error:
        raise click.ClickException(f"{path}: is no checkpoint of these keys ({error})") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise click.ClickException(f"{path}: is not JSON") from None
