"""What the drills of the broker share: what waits while it is away, and when it flows again."""

import os
import signal
import statistics
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from deploy.local import Stack, pid
from drills.ledger import Ledger
from drills.parts import Part
from drills.scratch import Scratch
from drills.writers import Load

LOAD = Load(writers=4, keys=60, most=4, pause=0.1)
SAMPLE_SECONDS = 0.5
# How long a backlog may take before the drill goes on: what is lost then, the judge finds.
PATIENCE_SECONDS = 120.0
SERVICES = ("identity", "documents", "notifications", "exchange")
LIMITS = (
    "one broker on one disk: neither a leader that fails over to a replica nor a power cut"
    " (the page cache outlives a process)"
)

_MISSING = """
    SELECT count(*) FROM unnest(CAST(:marks AS text[])) AS waiting
    LEFT JOIN effects ON mark = waiting WHERE mark IS NULL
"""


def send(number: signal.Signals) -> None:
    """A signal to the broker's process."""
    os.kill(pid("kafka"), number)


class Watch:
    """Samples, while its block runs, what must stay bounded and who must stay ready."""

    def __init__(self, stack: Stack, place: Scratch, parts: Sequence[Part]) -> None:
        self._place, self._parts = place, parts
        self._ready = [f"{stack['services'][name]['ops']}/readyz" for name in SERVICES]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure: Exception | None = None
        self._memory: dict[str, list[int]] = {part.name: [] for part in parts}
        self._answers: list[int] = []
        self._deepest = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def figures(self) -> dict[str, Any]:
        """The worst of what was seen."""
        grown = [max(seen) - seen[0] for seen in self._memory.values() if seen]
        return {
            "outbox_at_worst": self._deepest,
            "memory_grown_mib_max": round(max(grown, default=0) / 2**20, 1),
            "readiness_answers": len(self._answers),
            "not_ready": sum(status != httpx.codes.OK for status in self._answers),
        }

    def _run(self) -> None:
        try:
            with httpx.Client(timeout=60) as client:
                while not self._stopping.wait(SAMPLE_SECONDS):
                    self._deepest = max(self._deepest, self._place.count("outbox"))
                    self._answers += [client.get(url).status_code for url in self._ready]
                    for part in self._parts:
                        self._memory[part.name].append(psutil.Process(part.pid).memory_info().rss)
        except Exception as error:  # noqa: BLE001 - told when the block ends
            self._failure = error


def drain(place: Scratch) -> float:
    """Waits until what is committed and not applied by now is; the seconds that it took."""
    begun = time.monotonic()
    marks = [row[0] for row in place.rows("SELECT mark FROM facts EXCEPT SELECT mark FROM effects")]
    while place.rows(_MISSING, marks=marks)[0][0]:
        if time.monotonic() - begun > PATIENCE_SECONDS:
            break
        time.sleep(0.1)
    return time.monotonic() - begun


def flowing(ledger: Ledger, since: Sequence[float]) -> dict[str, float]:
    """How long after each of these moments the first effect came, and the first on the partition
    that had to wait for longest.
    """
    of = {sent.mark: sent.partition for sent in ledger.sent}
    first, everywhere = [], []
    for moment in since:
        seen: dict[int, float] = {}
        for effect in ledger.effects:
            if effect.time >= moment:
                waited, place = effect.time - moment, of[effect.mark]
                seen[place] = min(seen.get(place, waited), waited)
        if seen:
            first.append(min(seen.values()))
            everywhere.append(max(seen.values()))
    return {**spread("flows_again", first), **spread("flows_on_every_partition", everywhere)}


def spread(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Median and maximum, for the figures."""
    return {
        f"{name}_seconds_median": round(statistics.median(seconds), 2),
        f"{name}_seconds_max": round(max(seconds), 2),
    }
