"""The broker held still under load (SIGSTOP), then let go on.

Its sockets stay open and take what the kernel has room for: nobody is told that it is away, and
what was sent meanwhile is done when it goes on, beside what was sent again.
"""

import random
import signal
import time

from deploy.local import Stack
from drills import broker
from drills.ledger import judge
from drills.parts import parts
from drills.scratch import scratch
from drills.verdict import Verdict
from drills.writers import Writers

FROZEN_SECONDS = 60.0


def run(stack: Stack, seed: int, scale: float) -> Verdict:
    """One freeze of 60 s × `scale`."""
    chance = random.Random(seed)
    verdict = Verdict("freeze-broker", seed, limits=broker.LIMITS)
    with scratch(stack) as place, parts(place) as programs:
        running = [programs.relay(), programs.relay(), programs.consumer(), programs.consumer()]
        with Writers(place, seed, broker.LOAD) as writers:
            broker.drain(place)
            with broker.Watch(stack, place, running) as watch:
                time.sleep(chance.uniform(0.2, 2.0))
                before = place.count("facts")
                broker.send(signal.SIGSTOP)
                try:
                    time.sleep(FROZEN_SECONDS * scale)
                    meanwhile = place.count("facts") - before
                finally:
                    broker.send(signal.SIGCONT)
                back = time.time()
                verdict.faults += 1
                drained = broker.drain(place)
        ledger = judge(verdict, place, writers)
    verdict.figures = {
        "facts": len(ledger.facts),
        "committed_while_frozen": meanwhile,
        **broker.flowing(ledger, [back]),
        "backlog_applied_seconds": round(drained, 2),
        **watch.figures(),
    }
    return verdict
