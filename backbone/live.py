"""Who waits in this process for something to grow, and the bells that wake them.

A bell has a key (an account, a topic) and a sequence: how far what it stands for has come. A
service rings it at commit; what other processes commit it finds by asking, for all keys together.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from prometheus_client import Gauge

from backbone.errors import TooMany
from backbone.settings import ServerSettings, load

# Of one owner, so that nobody takes the places of all the others.
OWNER_LIMIT = 64


class Bell:
    """Wakes those who wait on one key."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._sequence = 0
        self.watchers = 0

    def ring(self, sequence: int) -> None:
        with self._condition:
            self._sequence = max(self._sequence, sequence)
            self._condition.notify_all()

    def wait(self, sequence: int, timeout: float) -> bool:
        """Until something later than `sequence` is known of, or `timeout` seconds; if it is."""
        with self._condition:
            if self._sequence <= sequence:
                self._condition.wait(timeout)
            return self._sequence > sequence


class Watchers:
    """The bells of a process; `gauge` tells how many wait."""

    def __init__(self, limit: int, gauge: Gauge) -> None:
        self._limit = limit
        self._gauge = gauge
        self._lock = threading.Lock()
        self._bells: dict[str, Bell] = {}
        self._owners: Counter[str] = Counter()

    @contextmanager
    def watching(self, key: str, owner: str = "") -> Iterator[Bell]:
        """The key's bell, for as long as somebody watches; `owner` is who, if not the key itself.

        Raises:
            TooMany: the process serves as many streams as it may, or as one owner may have.
        """
        owner = owner or key
        with self._lock:
            if self._owners.total() >= self._limit or self._owners[owner] >= OWNER_LIMIT:
                raise TooMany("Too many live streams are open; try again later.")
            self._owners[owner] += 1
            bell = self._bells.setdefault(key, Bell())
            bell.watchers += 1
        self._gauge.inc()
        try:
            yield bell
        finally:
            self._gauge.dec()
            with self._lock:
                self._owners -= Counter([owner])
                bell.watchers -= 1
                if not bell.watchers:
                    del self._bells[key]

    def watched(self) -> list[str]:
        """The keys that somebody watches."""
        with self._lock:
            return list(self._bells)

    def ring(self, sequences: Mapping[str, int]) -> None:
        """Tells how far keys have come."""
        with self._lock:
            bells = [
                (self._bells[key], value) for key, value in sequences.items() if key in self._bells
            ]
        for bell, sequence in bells:
            bell.ring(sequence)


class Live(DependencyProvider):  # type: ignore[misc]
    """Injects the `Watchers`."""

    def __init__(self, gauge: Gauge) -> None:
        self.gauge = gauge

    def setup(self) -> None:
        self._watchers = Watchers(load(ServerSettings).grpc_streams, self.gauge)

    def get_dependency(self, worker_ctx: WorkerContext) -> Watchers:
        return self._watchers
