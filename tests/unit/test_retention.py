"""Classes of retention as code, when they end, and what proves a destruction."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from backbone.cli import cli
from backbone.errors import InvalidInput
from backbone.receipts import notes
from backbone.receipts.destruction import Other, Statement, stated
from backbone.receipts.notes import NoteError, Signer
from backbone.settings import ConfigurationError, load
from services.documents.domain.retention import Disposition, Duration
from services.documents.retention import classes
from services.documents.retention.classes import RetentionSettings

GOOD = '[a]\ntitle = "T"\nduration = "P1Y"\nbasis = "B"\ndisposition = "destroy"\n'


# ---- durations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("P1Y", "2024-02-29T10:00:00", "2025-02-28T10:00:00"),
        ("P4Y", "2024-02-29T10:00:00", "2028-02-29T10:00:00"),
        ("P1M", "2026-01-31T00:00:00", "2026-02-28T00:00:00"),
        ("P18M", "2026-08-31T00:00:00", "2028-02-29T00:00:00"),
        ("P10Y", "2026-12-01T23:59:59", "2036-12-01T23:59:59"),
        ("P2W", "2026-12-25T00:00:00", "2027-01-08T00:00:00"),
        ("P1Y2M3DT4H5M6S", "2026-01-01T00:00:00", "2027-03-04T04:05:06"),
        ("PT1S", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
    ],
)
def test_a_duration_is_one_of_the_calendar(text: str, start: str, end: str) -> None:
    assert Duration.parse(text).after(datetime.fromisoformat(start)).isoformat() == end


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1", "1Y", "P0D", "P-1Y", "P1.5Y", "p1y", "P1YT", "P1D1Y", "P١Y", "P1Y "],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ISO 8601|longer"):
        Duration.parse(text)


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(3000, 1, 1)),
    st.integers(0, 100),
    st.integers(0, 30),
    st.integers(1, 60),
)
def test_a_longer_duration_never_ends_sooner(
    start: datetime, years: int, months: int, days: int
) -> None:
    shorter = Duration.parse(f"P{years}Y{months}M{days}D").after(start)
    longer = Duration.parse(f"P{years}Y{months + 1}M{days}D").after(start)
    assert start < shorter <= longer
    assert shorter - start >= timedelta(days=365 * years + 28 * months + days)


def test_an_end_is_of_whole_seconds_and_never_too_early() -> None:
    (chosen, *_) = classes.read(classes.DEFAULT)
    made = datetime(2026, 11, 28, 12, 0, 0, 1, tzinfo=UTC)
    assert chosen.end(made) > chosen.duration.after(made)
    assert chosen.end(made).microsecond == 0
    with pytest.raises(ValueError, match="beyond"):
        Duration.parse("P9999Y").after(made)


# ---- the file -------------------------------------------------------------------------------


def test_the_classes_that_come_along_are_whole() -> None:
    known = classes.read(classes.DEFAULT)
    assert {each.disposition for each in known} == set(Disposition)
    assert set(known.destroying()) < {each.name for each in known}
    with pytest.raises(InvalidInput) as refused:
        known.get("inconnue")
    assert refused.value.fields[0].field == "retention_class"
    assert "comptable" in refused.value.fields[0].description


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + 'other = "x"', "a.other"),
        (GOOD.replace("P1Y", "1 an"), "a.duration: .*ISO 8601"),
        (GOOD.replace("P1Y", "P0Y"), "a.duration: .*longer"),
        (GOOD.replace('"destroy"', '"burn"'), "a.disposition"),
        (GOOD.replace('basis = "B"\n', ""), "a.basis"),
        (GOOD.replace('"B"', '"""a\nb"""'), "a.basis: .*one line"),
        (GOOD.replace('"T"', "3"), "a.title"),
        (GOOD.replace("[a]", "[A_b]"), "A_b: a name is of the form"),
        (GOOD + GOOD, "Cannot declare"),
        ("a = 1", "a: "),
        ("[", "classes.toml"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_stops_the_service_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    path = tmp_path / "classes.toml"
    path.write_text(text)
    monkeypatch.setenv("BACKBONE_RETENTION_CLASSES", str(path))
    with pytest.raises(ConfigurationError, match=rf"(?s)BACKBONE_RETENTION_CLASSES.*{words}"):
        load(RetentionSettings)


def test_a_file_without_classes_is_one(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.touch()
    assert not list(classes.read(path))


# ---- what proves a destruction --------------------------------------------------------------

SIGNER = Signer("essai.example/receipts", bytes(32))
STATEMENT = Statement(
    document_id="6f1c2c1e-0f60-4a5c-9a3e-0d2c6a1b7f10",
    cause="RETENTION_ENDED",
    destroy_time=datetime(2036, 11, 24, 15, 4, 5, 123456, tzinfo=UTC),
    deposit_time=datetime(2026, 11, 24, 15, 4, 5, tzinfo=UTC),
    size_bytes=3,
    sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    leaf_index=1207,
    retention_class="comptable",
    basis="Code de commerce, article L123-22",
)
BARE = Statement(
    STATEMENT.document_id, "DELETED", STATEMENT.destroy_time, STATEMENT.deposit_time, 3,
    STATEMENT.sha256, None, "", "",
)  # fmt: skip
# The file of these tests is an earlier version of it.
VERSIONED = replace(
    STATEMENT,
    sha256="ab" * 32,
    others=(
        Other(1, STATEMENT.deposit_time, 3, STATEMENT.sha256, 12),
        Other(3, STATEMENT.destroy_time, 4, "cd" * 32, None),
    ),
)


def told(statement: Statement) -> dict[str, object]:
    """As the gateway answers."""
    message = statement.to_proto()
    message.certificate = SIGNER.sign_text(statement.text())
    message.key = str(SIGNER.verifier)
    return {"destruction": MessageToDict(message)}


def verify(folder: Path, answer: object, *arguments: str) -> Result:
    path = folder / "destruction.json"
    path.write_text(json.dumps(answer))
    return CliRunner().invoke(cli, ["verify", str(path), *arguments])


@pytest.mark.parametrize("statement", [STATEMENT, BARE, VERSIONED])
def test_a_certificate_says_what_was_stated_and_nothing_else(statement: Statement) -> None:
    note = SIGNER.sign_text(statement.text())
    assert stated(note) == statement
    SIGNER.verifier.require_signed(note)
    with pytest.raises(NoteError):
        notes.read(note)
    with pytest.raises(NoteError):
        stated(SIGNER.sign(7, bytes(32)))


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=3))
def test_a_certificate_that_says_anything_else_does_not_verify(place: int, new: bytes) -> None:
    note = SIGNER.sign_text(STATEMENT.text())
    data = bytearray(note.encode())
    place %= data.index(b"\n\n")
    data[place : place + len(new)] = new
    altered = data.decode(errors="replace")
    if altered != note:
        with pytest.raises(NoteError):
            SIGNER.verifier.require_signed(altered)


@pytest.mark.parametrize("statement", [STATEMENT, BARE, VERSIONED])
def test_a_certificate_verifies_offline_with_and_without_the_file(
    tmp_path: Path, statement: Statement
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    key = ("--key", str(SIGNER.verifier))
    for arguments in (key, (str(file), *key)):
        result = verify(tmp_path, told(statement), *arguments)
        assert result.exit_code == 0, result.output
        assert "proves the destruction of this document" in result.output
        assert statement.document_id in result.output
    assert verify(tmp_path, told(statement)["destruction"], *key).exit_code == 0
    untrusted = verify(tmp_path, told(statement))
    assert untrusted.exit_code == 3


def test_a_certificate_of_another_file_of_another_signer_or_told_otherwise_fails(
    tmp_path: Path,
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abcd")
    key = ("--key", str(SIGNER.verifier))
    assert "✗ SHA-256" in verify(tmp_path, told(STATEMENT), str(file), *key).output
    other = Signer("essai.example/receipts", b"x" * 32)
    impostor = verify(tmp_path, told(STATEMENT), "--key", str(other.verifier))
    assert (impostor.exit_code, "✗ signature" in impostor.output) == (1, True)
    answer = told(STATEMENT)
    answer["destruction"]["cause"] = "DESTRUCTION_CAUSE_DELETED"  # type: ignore[index]
    assert "✗ certificate" in verify(tmp_path, answer, *key).output
    answer["destruction"]["certificate"] = SIGNER.sign_text("backbone destruction v1\n")  # type: ignore[index]
    assert "✗ certificate" in verify(tmp_path, answer, *key).output


def test_a_receipt_still_needs_its_file(tmp_path: Path) -> None:
    result = verify(tmp_path, {"receipt": {}})
    assert result.exit_code == 2
    assert "FILE" in result.output
