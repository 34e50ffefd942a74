"""``kill -9`` of the relay that leads, between sending and deleting, while others race to follow.

Three relays stand by one outbox, so that two always race for the lead. The successor sends again
what the one that was killed had sent and not deleted: consumers tell it by its id.
"""

import random
import statistics
import time
from bisect import bisect_right
from collections.abc import Callable
from typing import Literal, TypeVar

from kafka import KafkaConsumer, TopicPartition

from deploy.local import Stack
from drills.ledger import Ledger, judge
from drills.parts import Part, parts
from drills.scratch import Scratch, scratch
from drills.verdict import Verdict
from drills.writers import Load, Writers

ROUNDS = 200
RELAYS = 3
TAKEOVER_SECONDS = 3.0
LEADER_SECONDS = 60.0
# After the leader's first records are on the topic: half of the kills at once, as it has these to
# delete; half at any instant of the next so many seconds.
LATER_SECONDS = 0.5
LOAD = Load(writers=4, keys=100, most=4, pause=0.02)
Found = TypeVar("Found")

_LEADER = """
    SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.application_name LIKE 'relay-%'
    AND l.classid = (hashtext('backbone.outbox')::bigint & 4294967295)::oid
    AND l.objid = (hashtext(:run)::bigint & 4294967295)::oid
"""
_STANDING_BY = "SELECT DISTINCT application_name FROM pg_stat_activity"


class NoLeader(Exception):
    """No relay has taken the lead for a long time."""


def run(stack: Stack, seed: int, scale: float) -> Verdict:
    """So many kills of the leader, under load; the verdict has the seconds that each left unled."""
    chance = random.Random(seed)
    verdict = Verdict(
        "relay-race",
        seed,
        limits="one broker, which is up: what a relay sent before it was killed may arrive late on"
        " a broker that stalls, and this drill does not stall it",
    )
    with scratch(stack) as place, parts(place) as programs:
        programs.consumer()
        relays = {part.name: part for part in (programs.relay() for _ in range(RELAYS))}
        kills = []
        with place.reader() as reader, Writers(place, seed, LOAD) as writers:
            for _ in range(max(1, round(ROUNDS * scale))):
                before = place.ends(reader)
                victim = relays.pop(_leader(place, relays))
                _sent_more(place, reader, before)
                time.sleep(chance.choice((0, chance.uniform(0, LATER_SECONDS))))
                victim.kill()
                kills.append(time.time())
                follower = programs.relay()
                relays[follower.name] = follower
            _leader(place, relays)
        verdict.faults = len(kills)
        ledger = judge(verdict, place, writers)
    verdict.figures = _figures(ledger, kills)
    return verdict


def _leader(place: Scratch, relays: dict[str, Part]) -> str:
    """The name of the relay that leads, once another one stands by."""

    def found() -> str | None:
        leaders = [str(row[0]) for row in place.rows(_LEADER, run=place.run) if row[0] in relays]
        there = {row[0] for row in place.rows(_STANDING_BY)} & relays.keys()
        return leaders[0] if leaders and len(there) > 1 else None

    return _wait(found)


def _sent_more(place: Scratch, reader: KafkaConsumer, before: dict[TopicPartition, int]) -> None:
    """Waits until there is more on the topic."""
    _wait(lambda: place.ends(reader) != before)


def _wait(condition: Callable[[], Found | Literal[False] | None]) -> Found:
    """Raises:
    NoLeader: the condition does not hold for so long that nothing can lead.
    """
    deadline = time.monotonic() + LEADER_SECONDS
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise NoLeader(f"no relay leads for {LEADER_SECONDS:.0f} s: see .local/log")
        time.sleep(0.005)
    return found


def _figures(ledger: Ledger, kills: list[float]) -> dict[str, float]:
    # What was killed sends nothing later: the next record is its successor's.
    times = sorted(sent.time for sent in ledger.sent)
    unled = [
        times[after] - kill for kill in kills if (after := bisect_right(times, kill)) < len(times)
    ]
    seen: set[str] = set()
    again = set()
    for sent in ledger.sent:
        if sent.mark in seen:
            again.add(bisect_right(kills, sent.time))
        seen.add(sent.mark)
    return {
        "facts": len(ledger.facts),
        "kills_between_sending_and_deleting": len(again),
        "takeover_seconds_median": round(statistics.median(unled), 3),
        "takeover_seconds_max": round(max(unled), 3),
        "takeovers_within_3_s": sum(seconds <= TAKEOVER_SECONDS for seconds in unled),
        "takeovers": len(unled),
    }
