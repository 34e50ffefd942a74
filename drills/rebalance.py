"""Consumers frozen for longer than their session, killed, leaving and joining, under load.

A process that is frozen in the middle of a batch still believes that its partitions are its own
when it wakes; by then another one has them.
"""

import random
import threading
from collections.abc import Callable

from backbone.events.consumer import SESSION_SECONDS
from deploy.local import Stack
from drills.ledger import Ledger, judge
from drills.parts import Parts, parts
from drills.scratch import scratch
from drills.verdict import Verdict
from drills.writers import Load, Writers

ROUNDS = 12
CONSUMERS = 4
FROZEN_SECONDS = SESSION_SECONDS + 2
LOAD = Load(writers=4, keys=200, most=6, pause=0.05)


def run(stack: Stack, seed: int, scale: float) -> Verdict:
    """Rounds of a freeze during which one is killed, one leaves and two join, at any instant."""
    chance = random.Random(seed)
    verdict = Verdict(
        "rebalance",
        seed,
        limits="SIGSTOP stands for a long pause of a process; the poll interval (300 s) is not"
        " reached, as heartbeats stop with the process and the session ends first",
    )
    with scratch(stack) as place, parts(place) as programs:
        programs.relay()
        for _ in range(CONSUMERS):
            programs.consumer()
        with Writers(place, seed, LOAD) as writers:
            for _ in range(max(1, round(ROUNDS * scale))):
                verdict.faults += _round(programs, chance)
        ledger = judge(verdict, place, writers)
    verdict.figures = _figures(ledger)
    return verdict


def _round(programs: Parts, chance: random.Random) -> int:
    """One freeze and what happens meanwhile; how many faults that was."""
    consumers = [part for part in programs.all if part.running and part.name.startswith("consumer")]
    frozen, killed, leaving = chance.sample(consumers, 3)
    waited = threading.Event()
    moments = sorted(chance.uniform(0, FROZEN_SECONDS * 0.8) for _ in range(4))
    join = programs.consumer
    acts: list[Callable[[], object]] = [killed.kill, join, leaving.leave, join]
    chance.shuffle(acts)
    passed = 0.0
    frozen.freeze()
    for moment, act in zip(moments, acts, strict=True):
        waited.wait(moment - passed)
        passed = moment
        act()
    waited.wait(FROZEN_SECONDS - passed)
    frozen.thaw()
    return 1 + len(acts)


def _figures(ledger: Ledger) -> dict[str, float]:
    delays = _delays(ledger)
    return {
        "facts": len(ledger.facts),
        "processes_with_effects": len({effect.process for effect in ledger.effects}),
        "sent_to_applied_seconds_max": round(max(delays), 1),
    }


def _delays(ledger: Ledger) -> list[float]:
    sent = {record.mark: record.time for record in reversed(ledger.sent)}
    return [effect.time - sent[effect.mark] for effect in ledger.effects if effect.mark in sent]
