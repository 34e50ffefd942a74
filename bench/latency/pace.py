"""Something to do so many times a second, and when each was done."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Not counted: connections open, and the consumer group settles.
WARM_UP_SECONDS = 8
SECONDS = 10
# At once, as callers are: one alone waits for the disk at each commit, and falls behind.
WRITERS = 8

Times = dict[str, int]


class TooSlow(Exception):
    """The acts were not done at the rate that was asked for."""


def paced(rate: int, act: Callable[[str], None], make_id: Callable[[], str]) -> Times:
    """Acts `rate` times a second; the moment after each act that counts, by its id.

    Moments are of the machine's monotonic clock, in nanoseconds: processes share it.

    Raises:
        TooSlow: it took a twentieth longer.
    """
    done: Times = {}
    begin = time.monotonic()
    total = rate * (WARM_UP_SECONDS + SECONDS)

    def write(first: int) -> None:
        for number in range(first, total, WRITERS):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            name = make_id()
            act(name)
            if number >= rate * WARM_UP_SECONDS:
                done[name] = time.monotonic_ns()

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    reached = total / (time.monotonic() - begin)
    if reached < 0.95 * rate:
        raise TooSlow(f"{reached:.0f} a second instead of {rate}")
    return done


def save(times: Times, path: Path) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(times))
    draft.replace(path)


def load(path: Path) -> Times:
    times: Times = json.loads(path.read_text())
    return times
