"""The chain of the journal: whatever somebody does who has the database alone, it is seen."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.identity.domain import journal
from services.identity.domain.journal import Fault, Line, first_fault

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def sealed(number: int, head: bytes) -> str:
    """Stands for a signature: nobody else makes one."""
    return json.dumps([number, head.hex(), "identity"])


def opened(seal: str) -> tuple[int, str]:
    number, head, key = json.loads(seal)
    if key != "identity":
        raise ValueError("forged")
    return number, head


def line(before: bytes, number: int, said: dict[str, Any]) -> Line:
    record, salt, time = journal.written(said), bytes([number]) * 32, NOW + timedelta(number)
    committed = journal.commitment(salt, record)
    head = journal.head(before, number, time, committed)
    person = said.get("person_id")
    return Line(number, person, record, salt, committed, time, head, sealed(number, head))


def chain(*said: dict[str, Any]) -> list[Line]:
    lines: list[Line] = []
    for number, each in enumerate(said, start=1):
        lines.append(line(lines[-1].head if lines else journal.START, number, each))
    return lines


def accesses(count: int) -> list[Line]:
    return chain(*({"person_id": f"p{number}", "access": {}} for number in range(count)))


def fault(lines: list[Line], *kept: tuple[int, str]) -> Fault | None:
    return first_fault(lines, opened, kept)[0]


def forgotten(item: Line) -> Line:
    return replace(item, person_id=None, record=None, salt=None)


def test_a_chain_that_nobody_touched_is_whole() -> None:
    lines = accesses(9)
    kept = (4, lines[3].head.hex())
    assert first_fault(lines, opened, [kept]) == (None, 9)
    assert first_fault([], opened) == (None, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"record": journal.written({"person_id": "p4", "access": {"action": "nothing"}})},
        {"person_id": "p9"},
        {"person_id": None},
        {"salt": bytes(32)},
        {"salt": None},
        {"record_time": NOW},
        {"commitment": bytes(32)},
        {"head": bytes(32)},
        {"seal": json.dumps([5, "", "somebody"])},
        {"record": None, "salt": None, "person_id": None},
    ],
    ids=lambda change: "+".join(change),
)
def test_the_line_that_was_altered_is_named(change: dict[str, Any]) -> None:
    lines = accesses(9)
    lines[4] = replace(lines[4], **change)
    found = fault(lines)
    assert found is not None
    assert found.line == 5


def test_whoever_writes_the_rest_again_is_found_at_the_line_that_they_altered() -> None:
    """With the database and without the key: everything fits, but the seals."""
    lines = accesses(9)
    again = lines[:4]
    for number in range(5, 10):
        made = line(again[-1].head, number, {"person_id": "nobody", "access": {}})
        again.append(replace(made, seal=json.dumps([number, made.head.hex(), "forger"])))
    found = fault(again)
    assert found is not None
    assert found.line == 5


def test_a_line_that_was_taken_out_or_swapped_is_named() -> None:
    lines = accesses(9)
    missing = fault(lines[:4] + lines[5:])
    assert missing == Fault(5, "is missing")
    swapped = [*lines]
    swapped[2] = replace(lines[5], number=3)
    swapped[5] = replace(lines[2], number=6)
    found = fault(swapped)
    assert found is not None
    assert found.line == 3


def test_what_was_cut_off_the_end_shows_in_a_seal_that_was_kept() -> None:
    lines = accesses(9)
    kept = (8, lines[7].head.hex())
    assert fault(lines[:6]) is None
    cut = fault(lines[:6], kept)
    assert cut is not None
    assert cut.line == 7
    other = fault(accesses(9), (3, bytes(32).hex()))
    assert other is not None
    assert other.line == 3


def test_a_forgotten_line_is_whole_when_a_later_line_says_so() -> None:
    lines = accesses(5)
    told = line(lines[-1].head, 6, {"action": journal.FORGET, "lines": [2, 4], "person_id": None})
    forgot = [forgotten(each) if each.number in (2, 4) else each for each in lines]
    assert fault([*forgot, told]) is None
    assert fault(forgot) == Fault(2, "has lost its content, and no line says that it was forgotten")
    more = [forgotten(each) if each.number == 3 else each for each in forgot]
    found = fault([*more, told])
    assert found is not None
    assert found.line == 3
