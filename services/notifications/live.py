"""Who watches an inbox in this process, and the bell that wakes them.

An entry rings the bell of its own process at commit; entries of other processes are found by one
query a quarter of a second for all watchers together.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from prometheus_client import Gauge

from backbone.errors import TooMany
from backbone.settings import ServerSettings, load

WATCHERS = Gauge("inbox_watchers", "Open streams of inboxes.")


class Bell:
    """Wakes the watchers of one account."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._sequence = 0
        self.watchers = 0

    def ring(self, sequence: int) -> None:
        with self._condition:
            self._sequence = max(self._sequence, sequence)
            self._condition.notify_all()

    def wait(self, sequence: int, timeout: float) -> None:
        """Until an entry later than `sequence` is known of, or `timeout` seconds."""
        with self._condition:
            if self._sequence <= sequence:
                self._condition.wait(timeout)


class Watchers:
    """The bells of a process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._bells: dict[str, Bell] = {}
        self._count = 0

    @contextmanager
    def watching(self, account_id: str) -> Iterator[Bell]:
        """The account's bell, for as long as somebody watches.

        Raises:
            TooMany: the process serves as many streams as it may.
        """
        with self._lock:
            if self._count >= self._limit:
                raise TooMany("Too many live streams are open; try again later.")
            self._count += 1
            bell = self._bells.setdefault(account_id, Bell())
            bell.watchers += 1
        WATCHERS.inc()
        try:
            yield bell
        finally:
            WATCHERS.dec()
            with self._lock:
                self._count -= 1
                bell.watchers -= 1
                if not bell.watchers:
                    del self._bells[account_id]

    def watched(self) -> list[str]:
        """The accounts that somebody watches."""
        with self._lock:
            return list(self._bells)

    def ring(self, sequences: Mapping[str, int]) -> None:
        """Tells how far inboxes have come."""
        with self._lock:
            bells = [
                (self._bells[key], value) for key, value in sequences.items() if key in self._bells
            ]
        for bell, sequence in bells:
            bell.ring(sequence)


class Live(DependencyProvider):  # type: ignore[misc]
    """Injects the `Watchers`."""

    def setup(self) -> None:
        self._watchers = Watchers(load(ServerSettings).grpc_streams)

    def get_dependency(self, worker_ctx: WorkerContext) -> Watchers:
        return self._watchers
