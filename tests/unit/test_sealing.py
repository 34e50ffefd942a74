"""Sealed content: the bytes of Tink's, parts cost their segments, every change is found."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.documents.domain.sealing import SEGMENT_BYTES, ContentKey, Seal, SealBroken

# Made by Tink 1.16.1 (PyPI), AES-GCM-HKDF streaming, key 00 01 … 1f, HKDF-SHA256, 32-byte derived
# keys: bytes of a segment and of the content (0, 1, 2 … mod 251) to the object.
TINK = {
    (72, 0): (
        "28faaeb3b6aa7faee6b709f456b700f8934b83cd822edca9d49d8e53d31cd07c5a623f0578f2f5d5"
        "e92b7c5c2c531b1c8cc3a6923b3c9179"
    ),
    (72, 1): (
        "2859ebf8aea776c2050c870dc855a1d5f9056958a6befbbd07f082497bdefdfda441d3e9f0e5df2d"
        "a856cdd441407f732152b38659baa2d173"
    ),
    (72, 16): (
        "2814ead12079eb7dd118cb88b1aa57d45a0c7bc186d45bef9656602ab654e7d47867f9473666e086"
        "5e2284eebd6ecd32ae71f22d7c82c2564df4d2742c88bcfe5e52d0102114f2cd"
    ),
    (72, 17): (
        "28655acf946e5836fca87848a3022b53cc56c0d1064aeefe4c3a8bf5fc2e776efdce0cae3b4bb66f"
        "747cef6f94e86dcb623e7538230a71e7495b6b48225a9a8cebb56bc527e37525badac1dbde4394f9"
        "f512be8d279da731bd"
    ),
    (128, 200): (
        "283939ee1f4b028061c7e37181cfa11a501e30a6d70a4490577f47f41fea22ae99b69f94190e443f"
        "1d88b0c7f8cb54f3c10578999b3cb0e245a9c2575c60d10746f4399c62fa673249e1abb655547203"
        "b6c44902d2e65d60926c3d46a6d2e08475a83c557e79aa3100fa1ebab8a528ad815dc4c447e28a0c"
        "958b1abe04f6170b59052cb81f345b777955cf057d7ed8b310c0ae3c4cb1586311b93b54409d02d7"
        "c32011a3117530de0259829a5e13ca28ee0b3fa87bc22badfa009d0c57c04106ec2728d58ed4c55b"
        "25bb7b8594891eb17623bdcfab6e7cdd97d51b9faa6afd517a5526cf7a8c724c0a61bb8f6306d5fd"
        "88b9e8d9b3e53f26b8c6bdbd7486ca7669d3a4bc9f65ed38491fcde1134f247c4a91a1923012bdc4"
        "d1bcd6006d7cd283"
    ),
}
DATA = b"0123456789abcdef"
SEGMENT = 96


def content(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


def opened(seal: Seal, sealed: bytes, offset: int, length: int, size: int) -> bytes:
    """A part, read as a store would give it."""
    start, count = seal.span(offset, length, size)
    return b"".join(seal.open([sealed[start : start + count]], offset, length, size))


@pytest.mark.parametrize(("segment", "size"), TINK)
def test_what_is_sealed_is_what_tink_seals(segment: int, size: int) -> None:
    known = bytes.fromhex(TINK[segment, size])
    seal = Seal(ContentKey(bytes(range(32)), known[1:33], known[33:40]), DATA, segment)
    assert b"".join(seal.seal([content(size)])) == known
    assert seal.sealed_size(size) == len(known)
    if size:
        assert opened(seal, known, 0, size, size) == content(size)


@given(
    size=st.integers(1, 5 * SEGMENT),
    segment=st.sampled_from([57, 64, SEGMENT, 1000]),
    cut=st.integers(1, 100),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_part_is_read_from_its_segments_alone(
    size: int, segment: int, cut: int, where: tuple[float, float]
) -> None:
    seal, data = Seal(ContentKey.new(), DATA, segment), secrets.token_bytes(size)
    chunks = [data[start : start + cut] for start in range(0, size, cut)]
    sealed = b"".join(seal.seal(chunks))
    assert len(sealed) == seal.sealed_size(size)
    offset = min(size - 1, int(where[0] * size))
    length = max(1, int(where[1] * (size - offset)))
    start, count = seal.span(offset, length, size)
    # Nothing outside the span is looked at.
    hidden = bytes(start) + sealed[start : start + count] + bytes(len(sealed) - start - count)
    assert opened(seal, hidden, offset, length, size) == data[offset : offset + length]
    # The segments that hold the part, and at most one more at each side.
    assert count <= (length // (segment - 16) + 2) * segment


def test_a_range_of_a_large_file_costs_little_more_than_itself() -> None:
    seal, size, length = Seal(ContentKey.new(), DATA), 5 * 1024**3, 1024**2
    for offset in (0, 1, SEGMENT_BYTES, size // 2 + 12345, size - length):
        assert seal.span(offset, length, size)[1] <= 1.5 * length


def test_segments_are_no_larger_than_said_and_end_at_its_multiples() -> None:
    seal, size = Seal(ContentKey.new(), DATA, SEGMENT), 500
    segments = list(seal.seal([content(size)]))
    assert {len(segment) for segment in segments[:-1]} == {SEGMENT}
    assert len(segments[-1]) <= SEGMENT


SIZE = 4 * SEGMENT
KEY = ContentKey.new()
SEALED = b"".join(Seal(KEY, DATA, SEGMENT).seal([content(SIZE)]))


def changes() -> dict[str, bytes]:
    """The object, changed in each way that somebody at the store could."""
    segments = [SEALED[start : start + SEGMENT] for start in range(0, len(SEALED), SEGMENT)]
    other = b"".join(Seal(ContentKey.new(), DATA, SEGMENT).seal([content(SIZE)]))
    moved = b"".join(Seal(KEY, b"another document", SEGMENT).seal([content(SIZE)]))
    return {
        "the first segment and the second exchanged": b"".join(
            [segments[1], segments[0], *segments[2:]]
        ),
        "two later segments exchanged": b"".join(
            [segments[0], segments[2], segments[1], *segments[3:]]
        ),
        "a segment missing": b"".join([*segments[:1], *segments[2:]]),
        "a segment twice": b"".join([*segments[:2], segments[1], *segments[3:]]),
        "cut at the border of a segment": b"".join(segments[:3]),
        "cut within a segment": SEALED[:-1],
        "nothing": b"",
        "the content of another document": other,
        "the same key for another document": moved,
        "the last segment in place of an earlier one": b"".join(
            [*segments[:2], segments[-1].ljust(SEGMENT, b"\0"), *segments[3:]]
        ),
    }


@pytest.mark.parametrize("change", changes())
def test_whatever_is_changed_is_found(change: str) -> None:
    with pytest.raises(SealBroken):
        opened(Seal(KEY, DATA, SEGMENT), changes()[change], 0, SIZE, SIZE)


@pytest.mark.parametrize("position", range(0, len(SEALED), 7))
def test_a_flipped_bit_is_found_wherever_it_is(position: int) -> None:
    flipped = bytearray(SEALED)
    flipped[position] ^= 1 << position % 8
    with pytest.raises(SealBroken):
        opened(Seal(KEY, DATA, SEGMENT), bytes(flipped), 0, SIZE, SIZE)


def test_nothing_of_a_changed_segment_comes_out_and_what_came_before_was_right() -> None:
    flipped = bytearray(SEALED)
    flipped[2 * SEGMENT + 5] ^= 1
    reading = Seal(KEY, DATA, SEGMENT).open([bytes(flipped)], 0, SIZE, SIZE)
    came = next(reading) + next(reading)
    with pytest.raises(SealBroken):
        next(reading)
    assert came == content(SIZE)[: len(came)]


def test_what_is_added_behind_never_becomes_content() -> None:
    longer = SEALED + SEALED[-SEGMENT:] + b"more"
    assert opened(Seal(KEY, DATA, SEGMENT), longer, 0, SIZE, SIZE) == content(SIZE)
    # Nor does a content that is said to be longer than what was sealed.
    with pytest.raises(SealBroken):
        opened(Seal(KEY, DATA, SEGMENT), longer, 0, SIZE + SEGMENT, SIZE + SEGMENT)


@given(st.integers(0, 3 * SEGMENT))
def test_a_size_that_is_not_the_contents_is_found(claimed: int) -> None:
    if claimed not in (0, SIZE):
        with pytest.raises(SealBroken):
            opened(Seal(KEY, DATA, SEGMENT), SEALED, 0, claimed, claimed)


def test_a_key_is_stored_and_read_again_whole() -> None:
    assert ContentKey.of_bytes(KEY.to_bytes()) == KEY
    assert ContentKey.new() != ContentKey.new()
