"""Readings of shared contents that are under way in this process, so that a share's end ends them.

A reading asks by itself whether its share stands, between two chunks. One that waits, as its
reader takes nothing, cannot: `overdue` finds it, and it is cut off from outside.
"""

import math
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone.rpc import Call

# How old what is known of a share may be while its content is given.
FRESH_SECONDS = 0.5


class Reading:
    """One caller who reads by one share."""

    def __init__(self, share_id: uuid.UUID, call: Call) -> None:
        self.share_id, self.call = share_id, call
        # Whatever time its beginning took, the first chunk is asked for.
        self._seen = -math.inf

    def due(self) -> bool:
        """Whether it has to be asked again if the share stands."""
        return time.monotonic() - self._seen >= FRESH_SECONDS

    def seen(self) -> None:
        """The share stands, as of now."""
        self._seen = time.monotonic()


class Readings:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._open: set[Reading] = set()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, share_id: uuid.UUID, call: Call) -> Iterator[Reading]:
        """A reading, for as long as it goes on."""
        reading = Reading(share_id, call)
        with self._lock:
            self._open.add(reading)
        try:
            yield reading
        finally:
            with self._lock:
                self._open.discard(reading)

    def overdue(self) -> list[Reading]:
        """Those that have not asked lately: their reader is slow, or the object store is."""
        with self._lock:
            return [reading for reading in self._open if reading.due()]


class Reads(DependencyProvider):  # type: ignore[misc]
    """Injects the `Readings`."""

    def setup(self) -> None:
        self._readings = Readings()

    def get_dependency(self, worker_ctx: WorkerContext) -> Readings:
        return self._readings
