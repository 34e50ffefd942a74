"""The judge of a drill: what was committed, what is on the topic, and what was done about it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kafka.consumer.fetcher import ConsumerRecord

from backbone.events import envelope
from drills.fact import FOR_EVER
from drills.scratch import Scratch
from drills.verdict import Verdict
from drills.writers import UNREADABLE, Writers


@dataclass(frozen=True, slots=True)
class Sent:
    """A record on the topic: of which fact, where, and when it was handed to Kafka (seconds)."""

    mark: str
    partition: int
    time: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What a handler did, in the order of the database; the moment in seconds."""

    mark: str
    process: str
    time: float


@dataclass(frozen=True, slots=True)
class Fact:
    """What was committed."""

    key: str
    number: int
    fails: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that is left of a drill, for its figures."""

    facts: dict[str, Fact]
    sent: list[Sent]
    effects: list[Effect]
    # The causes of the dead letters, by the fact's mark.
    dead: dict[str, str]


def judge(verdict: Verdict, scratch: Scratch, writers: Writers, patience: float = 60.0) -> Ledger:
    """Waits until all is quiet and fills in the verdict: each fact that was committed is on the
    topic, and has one effect, or a dead letter when it was made to fail.
    """
    settled = scratch.settle(patience)
    ledger = read(scratch)
    facts, effects = ledger.facts, [effect.mark for effect in ledger.effects]
    verdict.attempted, verdict.acknowledged = writers.attempted, writers.acknowledged
    if not settled:
        verdict.lost.append(f"still on its way after {patience:.0f} s without a move")
    if len(facts) != writers.acknowledged:
        verdict.lost.append(f"{writers.acknowledged} commits returned, {len(facts)} are there")

    sent = [record.mark for record in ledger.sent]
    hopeless = {mark for mark, fact in facts.items() if fact.fails in (FOR_EVER, UNREADABLE)}
    verdict.lost += [f"{mark}: never sent" for mark in facts.keys() - set(sent)]
    verdict.lost += [f"{mark}: no effect" for mark in facts.keys() - hopeless - set(effects)]
    verdict.lost += [f"{mark}: no dead letter" for mark in hopeless - ledger.dead.keys()]
    verdict.phantom += [f"{mark}: sent" for mark in set(sent) - facts.keys()]
    verdict.phantom += [f"{mark}: applied" for mark in set(effects) - (facts.keys() - hopeless)]
    verdict.phantom += [f"{mark}: dead" for mark in ledger.dead.keys() - hopeless]
    verdict.duplicate += [f"{mark}: applied again" for mark in _repeated(effects)]
    verdict.wire_duplicates = sum(1 for _ in _repeated(sent))
    verdict.inversions += [f"{mark}: sent late" for mark in _late(sent, facts)]
    verdict.inversions += [f"{mark}: applied late" for mark in _late(effects, facts)]
    return ledger


def read(scratch: Scratch) -> Ledger:
    """What there is by now."""
    facts = scratch.rows("SELECT mark, key, number, fails FROM facts")
    effects = scratch.rows(
        "SELECT mark, process, extract(epoch FROM applied)::float8 FROM effects ORDER BY position"
    )
    letters = scratch.rows("SELECT headers, data, cause FROM dead_letters")
    return Ledger(
        {mark: Fact(*rest) for mark, *rest in facts},
        [
            Sent(_mark(r.value, r.headers), r.partition, r.timestamp / 1000)
            for r in sorted(scratch.wire(), key=_place)
        ],
        [Effect(*row) for row in effects],
        {
            _mark(bytes(data), [(name, text.encode()) for name, text in headers]): cause
            for headers, data, cause in letters
        },
    )


def _place(record: ConsumerRecord) -> tuple[int, int]:
    return record.partition, record.offset


def _mark(data: bytes, headers: envelope.Headers) -> str:
    """Of which fact a record is: a record that is no event says it in a header."""
    named = (value.decode() for name, value in headers if name == "ce_mark" and value is not None)
    return next(named, "") or str(json.loads(data)["mark"])


def _repeated(marks: Iterable[str]) -> Iterator[str]:
    seen = set()
    for mark in marks:
        if mark in seen:
            yield mark
        seen.add(mark)


def _late(marks: Iterable[str], facts: dict[str, Fact]) -> Iterator[str]:
    """Facts whose first appearance comes after that of a later one of their key."""
    last: dict[str, int] = defaultdict(int)
    for mark in dict.fromkeys(marks):
        fact = facts.get(mark)
        if fact is None:
            continue
        if fact.number < last[fact.key]:
            yield mark
        last[fact.key] = max(last[fact.key], fact.number)
