"""Receipts without the system: their format, their signatures, and every way to forge one."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from backbone.cli import cli
from backbone.receipts import notes
from backbone.receipts.notes import NoteError, Signer, Verifier
from tests.support.receipts import CONTENT, ORIGIN, MemoryLog, encoded

# Of the tests of Go's golang.org/x/mod/sumdb/note, which C2SP signed-note describes.
KNOWN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
KNOWN_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
KNOWN_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)


# ---- the format -----------------------------------------------------------------------------


def test_a_leaf_is_the_hash_of_the_documented_bytes() -> None:
    log = MemoryLog(1)
    written = (
        b"\x00backbone receipt v1\n"
        + bytes(range(32))
        + bytes(15) + b"\x07"
        + (1).to_bytes(4)
        + (1_790_000_000_123_456).to_bytes(8)
        + len(CONTENT).to_bytes(8)
        + hashlib.sha256(CONTENT).digest()
    )  # fmt: skip
    assert len(written) == 1 + 120
    assert log.entry.leaf() == hashlib.sha256(written).digest()


def test_a_key_and_a_signature_are_those_of_other_implementations() -> None:
    verifier = Verifier.parse(KNOWN_KEY)
    assert str(verifier) == KNOWN_KEY
    value = base64.b64decode(KNOWN_SIGNATURE)
    assert value[:4] == verifier.key_id == bytes.fromhex("c74f20a3")
    verifier.public_key.verify(value[4:], KNOWN_TEXT.encode())


def test_a_checkpoint_is_written_as_c2sp_writes_it() -> None:
    note = Signer(ORIGIN, bytes(32)).sign(7, bytes(range(32)))
    text, _, signature = note.partition("\n\n")
    assert text == f"{ORIGIN}\n7\n{encoded(bytes(range(32)))}"
    assert signature.startswith(f"— {ORIGIN} ")
    assert signature.endswith("\n")
    assert notes.read(note) == notes.Checkpoint(ORIGIN, 7, bytes(range(32)))


def test_a_note_with_the_signatures_of_others_opens() -> None:
    signer = Signer(ORIGIN, bytes(32))
    note = signer.sign(7, bytes(32))
    text, _, mine = note.partition("\n\n")
    witnessed = f"{text}\n\n— temoin.example {encoded(bytes(76))}\n{mine}"
    assert signer.verifier.open(witnessed).size == 7


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_a_note_altered_anywhere_does_not_open(place: int, new: bytes) -> None:
    signer = Signer(ORIGIN, bytes(32))
    note = signer.sign(123, hashlib.sha256(b"").digest())
    encoded_note = bytearray(note.encode())
    place %= len(encoded_note)
    encoded_note[place : place + 1] = new
    altered = encoded_note.decode(errors="replace")
    if altered != note:
        with pytest.raises(NoteError):
            # The dash and the name are not signed: another name is another's signature.
            signer.verifier.open(altered)


@pytest.mark.parametrize(
    "key",
    ["", "a", "a+b", KNOWN_KEY[:-1], KNOWN_KEY.replace("c74f", "c74e"), "é " + KNOWN_KEY,
     KNOWN_KEY.replace("ARpc", "Arpc"), KNOWN_KEY + "x"],
)  # fmt: skip
def test_what_is_not_a_key_is_refused(key: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(key)


# ---- the command ----------------------------------------------------------------------------


class Case:
    """A receipt and its file in a folder, and `backbone verify` on them."""

    def __init__(self, folder: Path, log: MemoryLog) -> None:
        self.folder, self.log = folder, log
        self.receipt: dict[str, Any] = MessageToDict(log.receipt())
        self.content = CONTENT

    def verify(self, *options: str, key: str | None = None) -> Result:
        receipt, file = self.folder / "receipt.json", self.folder / "file.pdf"
        receipt.write_text(json.dumps({"receipt": self.receipt}))
        file.write_bytes(self.content)
        key = self.log.key if key is None else key
        given_key = ["--key", key] if key else []
        return CliRunner().invoke(cli, ["verify", str(receipt), str(file), *given_key, *options])

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, MemoryLog(count=21, place=13))


def failed(result: Result) -> set[str]:
    """The steps that failed, of a verification that did."""
    assert result.exit_code == 1, result.output
    lines = result.output.splitlines()
    assert lines[-1] == "The receipt does not prove the deposit of this file."
    return {line[2:14].strip() for line in lines if line.startswith("✗")}


def test_a_good_receipt_is_proven_step_by_step(case: Case) -> None:
    result = case.verify()
    assert result.exit_code == 0, result.output
    assert [line[0] for line in result.output.splitlines()] == [*"✓✓✓✓–", "T"]
    assert "entry 13 of 21 in essai.example/receipts" in result.output


def test_a_receipt_as_the_whole_answer_or_alone_is_the_same(case: Case) -> None:
    file = case.write("f", CONTENT.decode())
    alone = case.write("r", json.dumps(case.receipt))
    result = CliRunner().invoke(cli, ["verify", alone, file, "--key", case.log.key])
    assert result.exit_code == 0, result.output


def test_without_a_key_to_trust_nothing_is_proven(case: Case) -> None:
    result = case.verify(key="")
    assert result.exit_code == 3
    assert "– signature" in result.output
    assert "--key" in result.output


def test_a_wrong_file_is_told(case: Case) -> None:
    case.content = b"another"
    assert failed(case.verify()) == {"size", "SHA-256"}


def test_one_flipped_byte_is_told(case: Case) -> None:
    case.content = CONTENT[:-1] + b"x"
    assert failed(case.verify()) == {"SHA-256"}


Alter = Callable[[dict[str, Any]], None]


def forged_checkpoint(receipt: dict[str, Any]) -> None:
    receipt["checkpoint"] = receipt["checkpoint"].rstrip()[:-8] + "AAAAAA==\n"


def moved(receipt: dict[str, Any]) -> None:
    receipt["depositTime"] = "2020-01-01T00:00:00Z"


FORGERIES: dict[str, tuple[Alter, set[str]]] = {
    "another time": (moved, {"inclusion"}),
    "another document": (lambda r: r.update(documentId=f"{0:032x}"), {"inclusion"}),
    "no document": (lambda r: r.update(documentId="x"), {"inclusion"}),
    "another version": (lambda r: r.update(version=2), {"inclusion"}),
    "a negative version": (lambda r: r.update(version=-1), {"inclusion"}),
    "another salt": (lambda r: r.update(salt=encoded(bytes(32))), {"inclusion"}),
    "no salt": (lambda r: r.pop("salt"), {"inclusion"}),
    "another place": (lambda r: r.update(leafIndex="12"), {"inclusion"}),
    "a negative place": (lambda r: r.update(leafIndex="-1"), {"inclusion"}),
    "another tree": (lambda r: r.update(treeSize="22"), {"inclusion"}),
    "no proof": (lambda r: r.pop("inclusionProof"), {"inclusion"}),
    "another hash": (lambda r: r.update(sha256="00" * 32), {"SHA-256", "inclusion"}),
    "a forged signature": (forged_checkpoint, {"signature"}),
    "no checkpoint": (lambda r: r.pop("checkpoint"), {"inclusion", "signature"}),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_receipt_is_told_by_its_step(case: Case, forgery: str) -> None:
    alter, steps = FORGERIES[forgery]
    alter(case.receipt)
    assert failed(case.verify()) == steps


def test_a_receipt_of_an_impostors_log_fails_by_its_signature(tmp_path: Path) -> None:
    impostor = MemoryLog(count=3, seed=b"i" * 32)
    result = Case(tmp_path, impostor).verify(key=MemoryLog(1).key)
    assert failed(result) == {"signature"}


@pytest.mark.parametrize("old", [1, 8, 13, 20, 21])
def test_an_old_checkpoint_of_the_same_log_is_consistent(case: Case, old: int) -> None:
    options = ["--old-checkpoint", case.write("old", case.log.checkpoint(old))]
    if old < 21:
        proof = MessageToDict(case.log.consistency(old, 21))
        options += ["--consistency", case.write("proof", json.dumps(proof))]
    result = case.verify(*options)
    assert result.exit_code == 0, result.output
    assert f"the log of {old} entries is the beginning of that of 21" in result.output


def test_a_checkpoint_kept_from_later_is_consistent_too(tmp_path: Path) -> None:
    early, late = Case(tmp_path, MemoryLog(15, 13)), MemoryLog(21, 13)
    answer = json.dumps({"checkpoint": late.checkpoint(21), "key": late.key})
    proof = json.dumps(MessageToDict(late.consistency(15, 21)))
    options = ["--old-checkpoint", early.write("old", answer)]
    result = early.verify(*options, "--consistency", early.write("proof", proof))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("old", [8, 21])
def test_an_old_checkpoint_of_another_history_is_told(case: Case, old: int) -> None:
    other = MemoryLog(count=21, place=13, history="other")
    options = ["--old-checkpoint", case.write("old", other.checkpoint(old))]
    if old < 21:
        for log in (case.log, other):
            proof = case.write("proof", json.dumps(MessageToDict(log.consistency(old, 21))))
            assert failed(case.verify(*options, "--consistency", proof)) == {"consistency"}
    else:
        assert failed(case.verify(*options)) == {"consistency"}


def test_an_old_checkpoint_without_its_proof_or_with_another_is_told(case: Case) -> None:
    options = ["--old-checkpoint", case.write("old", case.log.checkpoint(8))]
    result = case.verify(*options)
    assert failed(result) == {"consistency"}
    assert "/v1/receipts/consistency?firstSize=8&secondSize=21" in result.output
    proof = case.write("proof", json.dumps(MessageToDict(case.log.consistency(9, 21))))
    assert failed(case.verify(*options, "--consistency", proof)) == {"consistency"}


def test_an_old_checkpoint_that_another_signed_is_told(case: Case) -> None:
    other = MemoryLog(count=21, place=13, seed=b"i" * 32)
    old = case.write("old", other.checkpoint(21))
    assert failed(case.verify("--old-checkpoint", old)) == {"consistency"}


@pytest.mark.parametrize("text", ["", "{", '{"receipt": 3}', "\xff"])
def test_what_is_no_receipt_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    receipt, file = tmp_path / "receipt.json", tmp_path / "file"
    receipt.write_bytes(text.encode("latin-1"))
    file.write_bytes(CONTENT)
    result = CliRunner().invoke(cli, ["verify", str(receipt), str(file)])
    assert result.exit_code == 1
    assert "receipt.json" in result.output


def test_a_key_that_is_none_is_refused(case: Case) -> None:
    result = case.verify(key="essai")
    assert result.exit_code == 2
    assert "--key" in result.output
