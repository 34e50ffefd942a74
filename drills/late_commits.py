"""Eight writers that hold their transactions open for random times: commits overtake each other.

A transaction has its places in the outbox before another, and commits after it: a relay that went
on from the last place it had read would miss it.
"""

import time

from deploy.local import Stack
from drills.ledger import judge
from drills.parts import parts
from drills.scratch import scratch
from drills.verdict import Verdict
from drills.writers import Load, Writers

FACTS = 100_000
LOAD = Load(writers=8, keys=1000, most=10, hold=0.05)


def run(stack: Stack, seed: int, scale: float) -> Verdict:
    """So many facts; a fault is a transaction that commits after one with later places."""
    verdict = Verdict("late-commits", seed, limits="one PostgreSQL, which stays up")
    with scratch(stack) as place, parts(place) as programs:
        programs.relay()
        programs.consumer()
        programs.consumer()
        begun = time.monotonic()
        with Writers(place, seed, LOAD, facts=round(FACTS * scale)) as writers:
            writers.wait()
        written = time.monotonic() - begun
        verdict.faults = writers.overtaken
        judge(verdict, place, writers)
        done = time.monotonic() - begun
    verdict.figures = {
        "transactions_overtaken": writers.overtaken,
        "rolled_back_facts": writers.rolled_back,
        "written_seconds": round(written, 1),
        "applied_and_judged_seconds": round(done, 1),
    }
    return verdict
