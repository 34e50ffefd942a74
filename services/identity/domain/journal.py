"""The chain of the journal: what each line commits to, and which line no longer does.

    commitment  SHA-256(0x00 || salt || record)
    head        SHA-256(0x01 || head before || number || time || commitment)

The record is the UTF-8 JSON of what happened; the salt 32 random bytes; number and time (µs since
1970) are unsigned, 64 bits, big-endian; before the first line the head is 32 zero bytes. Record and
salt are the opening of the commitment: taken away, the line says nothing about anybody, and the
chain still holds. Each head is sealed with identity's key, so who has the database alone can
neither alter a line nor make a new one.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson

SALT_BYTES = 32
START = bytes(32)
# The action of a line that tells which lines' openings were taken away.
FORGET = "journal.forget"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is stored; `record` and `salt` are None once it was forgotten."""

    number: int
    person_id: str | None
    record: str | None
    salt: bytes | None
    commitment: bytes
    record_time: datetime
    head: bytes
    seal: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and from which line on nothing can be relied on."""

    line: int
    words: str


# The number and the head that a seal is good for; ValueError when it is no seal of ours.
Opened = Callable[[str], tuple[int, str]]


def commitment(salt: bytes, record: str) -> bytes:
    return sha256(b"\x00" + salt + record.encode()).digest()


def head(before: bytes, number: int, time: datetime, committed: bytes) -> bytes:
    moment = (time - _EPOCH) // timedelta(microseconds=1)
    return sha256(b"\x01" + before + struct.pack(">QQ", number, moment) + committed).digest()


def written(record: dict[str, Any]) -> str:
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()


def first_fault(
    lines: Iterable[Line], opened: Opened, kept: Iterable[tuple[int, str]] = ()
) -> tuple[Fault | None, int]:
    """The first line that was altered, if any, and how many there are.

    `lines` come in the order of their numbers. `kept` are numbers and heads from seals that
    somebody kept elsewhere: what was cut off the end shows in them alone.
    """
    faults: dict[int, str] = {}
    closed: set[int] = set()
    expected, before, heads = 1, START, {}
    for line in lines:
        if line.number != expected:
            faults.setdefault(expected, "is missing")
        for words in _faults(line, before, opened):
            faults.setdefault(line.number, words)
        if line.record is None:
            closed.add(line.number)
        elif line.number not in faults:
            closed -= _forgotten(line.record)
        heads[line.number] = line.head.hex()
        expected, before = line.number + 1, line.head
    for number in closed:
        faults.setdefault(number, "has lost its content, and no line says that it was forgotten")
    for number, value in kept:
        if number not in heads:
            faults.setdefault(min(expected, number), "is missing: a seal that was kept covers it")
        elif heads[number] != value:
            faults.setdefault(number, "or one before it is another than the seal that was kept")
    first = min(faults, default=0)
    return (Fault(first, faults[first]) if faults else None), expected - 1


def _faults(line: Line, before: bytes, opened: Opened) -> Iterable[str]:
    if line.record is not None and line.salt is not None:
        if commitment(line.salt, line.record) != line.commitment:
            yield "was altered: its content is not what it commits to"
        elif orjson.loads(line.record).get("person_id") != line.person_id:
            yield "was altered: it is in the journal of somebody else"
    elif (line.record, line.salt, line.person_id) != (None, None, None):
        yield "was altered: a part of its content is gone"
    if head(before, line.number, line.record_time, line.commitment) != line.head:
        yield "was altered: it does not follow from the line before it"
    try:
        if opened(line.seal) != (line.number, line.head.hex()):
            yield "was altered: its seal is another's"
    except ValueError:
        yield "was altered: its seal is not of identity's keys"


def _forgotten(record: str) -> set[int]:
    said = orjson.loads(record)
    return set(said["lines"]) if said.get("action") == FORGET else set()
