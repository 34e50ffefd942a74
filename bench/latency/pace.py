"""Something to do so many times a second, and when each was done."""

import json
import time
from collections.abc import Callable
from pathlib import Path

# Not counted: connections open, and the consumer group settles.
WARM_UP_SECONDS = 8
SECONDS = 10

Times = dict[str, int]


def paced(rate: int, act: Callable[[str], None], make_id: Callable[[], str]) -> Times:
    """Acts `rate` times a second; the moment after each act that counts, by its id.

    Moments are of the machine's monotonic clock, in nanoseconds: processes share it.
    """
    done: Times = {}
    begin = time.monotonic()
    for number in range(rate * (WARM_UP_SECONDS + SECONDS)):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        name = make_id()
        act(name)
        if number >= rate * WARM_UP_SECONDS:
            done[name] = time.monotonic_ns()
    return done


def save(times: Times, path: Path) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(times))
    draft.replace(path)


def load(path: Path) -> Times:
    times: Times = json.loads(path.read_text())
    return times
