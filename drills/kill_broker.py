"""``kill -9`` of the broker, and its restart, again and again under load.

Writers go on committing while it is away: publishing is a row of their transaction. The relay
sends again what was not acknowledged, and the consumers go on in their places of the group.
"""

import random
import signal
import time

from deploy.local import Stack, wait_healthy
from drills import broker
from drills.ledger import judge
from drills.parts import parts
from drills.scratch import scratch
from drills.verdict import Verdict
from drills.writers import Writers

ROUNDS = 10


def run(stack: Stack, seed: int, scale: float) -> Verdict:
    """So many kills; the figures say how long after each restart the events flow again."""
    chance = random.Random(seed)
    verdict = Verdict("kill-broker", seed, limits=broker.LIMITS)
    back, down, drained = [], [], []
    with scratch(stack) as place, parts(place) as programs:
        running = [programs.relay(), programs.relay(), programs.consumer(), programs.consumer()]
        with Writers(place, seed, broker.LOAD) as writers:
            broker.drain(place)
            with broker.Watch(stack, place, running) as watch:
                for _ in range(max(1, round(ROUNDS * scale))):
                    time.sleep(chance.uniform(0.2, 2.0))
                    broker.send(signal.SIGKILL)
                    killed = time.time()
                    verdict.faults += 1
                    wait_healthy("kafka")
                    back.append(time.time())
                    down.append(back[-1] - killed)
                    drained.append(broker.drain(place))
        ledger = judge(verdict, place, writers)
    verdict.figures = {
        "facts": len(ledger.facts),
        **broker.spread("broker_away", down),
        **broker.flowing(ledger, back),
        **broker.spread("backlog_applied", drained),
        **watch.figures(),
    }
    return verdict
