"""What a deposit must be, what a file name becomes, which bytes a range means."""

import hashlib
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backbone.errors import Conflict, DomainError, InvalidInput, RangeNotSatisfiable, TooLarge
from services.documents.domain import ranges
from services.documents.domain.deposit import Announcement, Intake, clean_name
from services.documents.domain.naming import Names
from services.documents.fakes import MemoryStore

LIMIT = 100
pieces = st.lists(st.binary(max_size=20), max_size=8)


def intake(data: list[bytes], size_bytes: int = 0, sha256: str = "") -> Intake:
    return Intake(Announcement("acte.pdf", "application/pdf", size_bytes, sha256), data, LIMIT)


def refused(attempt: Intake) -> DomainError:
    """Why a deposit was refused, having stored nothing."""
    store = MemoryStore()
    with pytest.raises(DomainError) as error:
        store.put("key", attempt, "application/pdf")
    assert store.objects == {}
    return error.value


def field_of(error: DomainError) -> tuple[str, str]:
    return error.fields[0].field, error.fields[0].reason


@given(pieces.filter(lambda chunks: 0 < len(b"".join(chunks)) <= LIMIT))
def test_what_arrives_as_announced_is_taken_as_it_is(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    taken = intake(chunks, len(data), hashlib.sha256(data).hexdigest())
    assert b"".join(taken) == data
    assert taken.size_bytes == len(data)
    assert taken.sha256 == hashlib.sha256(data).hexdigest()


@given(pieces.filter(lambda chunks: 0 < len(b"".join(chunks)) <= LIMIT))
def test_what_was_not_announced_is_measured(chunks: list[bytes]) -> None:
    data, taken = b"".join(chunks), intake(chunks)
    assert b"".join(taken) == data
    assert (taken.size_bytes, taken.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@given(pieces, st.integers(1, LIMIT))
def test_what_differs_from_its_announced_size_is_refused(chunks: list[bytes], size: int) -> None:
    length = len(b"".join(chunks))
    if length == size:
        assert b"".join(intake(chunks, size)) == b"".join(chunks)
    else:
        assert isinstance(refused(intake(chunks, size)), InvalidInput | Conflict)


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b""]])
@pytest.mark.parametrize("size", [0, 5])
def test_an_empty_document_is_refused(chunks: list[bytes], size: int) -> None:
    assert field_of(refused(intake(chunks, size))) == ("chunk", "EMPTY")


def test_a_wrong_hash_is_refused_by_its_name() -> None:
    assert field_of(refused(intake([b"abc"], 3, "0" * 64))) == ("sha256", "SHA256")


def test_more_than_announced_is_refused_by_its_name() -> None:
    assert field_of(refused(intake([b"abc", b"d"], 3))) == ("size_bytes", "SIZE")


def test_less_than_announced_is_a_truncated_upload() -> None:
    error = refused(intake([b"ab"], 3))
    assert isinstance(error, Conflict)
    assert error.reason == "TRUNCATED"


def test_more_than_the_limit_is_refused_before_it_is_read_when_announced() -> None:
    with pytest.raises(TooLarge) as error:
        intake([], LIMIT + 1)
    assert field_of(error.value) == ("size_bytes", "TOO_LARGE")


def test_more_than_the_limit_is_refused_as_soon_as_it_arrives() -> None:
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 30

    taken = Intake(Announcement("a", "a/b"), chunks(), LIMIT)
    assert field_of(refused(taken)) == ("size_bytes", "TOO_LARGE")
    assert len(read) == 4


def test_an_upload_that_breaks_passes_its_error_on() -> None:
    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionError("gone")

    store = MemoryStore()
    with pytest.raises(ConnectionError):
        store.put("key", Intake(Announcement("a", "a/b"), broken(), LIMIT), "a/b")
    assert store.objects == {}


@given(st.text(max_size=300))
@example("a .")
@example("a" * 254 + " .pdf")
@example("\ud800")
@example("e\u0301\u202e")
@example("..")
@example("\x85")
def test_a_cleaned_name_is_safe_and_stays_as_it_is(name: str) -> None:
    try:
        cleaned = clean_name(name)
    except InvalidInput:
        return
    assert 0 < len(cleaned) <= 255
    assert not set("/\\") & set(cleaned)
    assert cleaned not in (".", "..")
    assert cleaned == cleaned.strip()
    assert not {unicodedata.category(char) for char in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert unicodedata.is_normalized("NFC", cleaned)
    cleaned.encode()
    assert clean_name(cleaned) == cleaned


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("acte.pdf", "acte.pdf"),
        ("C:\\Users\\Joséphine\\acte.pdf", "acte.pdf"),
        ("../../etc/passwd", "passwd"),
        (" Pièce d’identité (recto).pdf ", "Pièce d’identité (recto).pdf"),
        ("Pie\u0300ce.pdf", "Pièce.pdf"),
        ("\u202efdp.exe", "fdp.exe"),
        ("a\r\nSet-Cookie: b.pdf", "aSet-Cookie: b.pdf"),
        ("日本語.pdf", "日本語.pdf"),
        ("📄.pdf", "📄.pdf"),
    ],
)
def test_a_name_keeps_what_a_person_reads(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@pytest.mark.parametrize("name", ["", " ", ".", "..", "/", "a/", "\x00", "\u200b", " . . "])
def test_a_name_of_which_nothing_is_left_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        clean_name(name)


sizes = st.integers(1, 2**40)
any_int64 = st.integers(-(2**63), 2**63 - 1)


@given(any_int64, st.integers(0, 2**63 - 1), sizes)
def test_a_range_lies_within_its_document(offset: int, length: int, size: int) -> None:
    try:
        start, count = ranges.resolve(offset, length, size)
    except RangeNotSatisfiable:
        assert offset >= size
        return
    assert 0 <= start < size
    assert 0 < count <= size - start
    assert count == (min(length, size - start) if length else size - start)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 0, (0, 10)),
        (0, 4, (0, 4)),
        (9, 4, (9, 1)),
        (-3, 0, (7, 3)),
        (-3, 2, (7, 2)),
        (-100, 0, (0, 10)),
        (4, 0, (4, 6)),
    ],
)
def test_offset_and_length_mean_these_bytes(
    offset: int, length: int, expected: tuple[int, int]
) -> None:
    assert ranges.resolve(offset, length, 10) == expected


def test_names_side_by_side_are_told_apart() -> None:
    names = Names()
    assert [names.free(f"2026/{name}") for name in ("acte.pdf", "Acte.pdf")] == [
        "2026/acte.pdf",
        "2026/Acte (2).pdf",
    ]
    given = [names.free(name) for name in ("acte.pdf", "Acte.pdf", "acte.pdf", "acte (2).pdf", "a")]
    assert given == ["acte.pdf", "Acte (2).pdf", "acte (3).pdf", "acte (2) (2).pdf", "a"]
