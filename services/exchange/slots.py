"""A bounded number of calls at the same time: a slow one occupies its slot, and no other."""

import logging
import threading
import time
from collections.abc import Callable

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone.settings import load
from services.exchange.settings import WebhookSettings

log = logging.getLogger(__name__)


class Slots:
    """Runs work on threads of the container, as long as there is room."""

    def __init__(self, count: int, spawn: Callable[[Callable[[], None]], object]) -> None:
        self._spawn = spawn
        self._condition = threading.Condition()
        self._free = self._count = count
        self.stopping = threading.Event()

    def free(self) -> int:
        return 0 if self.stopping.is_set() else self._free

    def run(self, work: Callable[[], object]) -> None:
        """Takes a slot; only one thread asks for `free` and then runs."""
        with self._condition:
            self._free -= 1
        self._spawn(lambda: self._work(work))

    def _work(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            # Its lease ends by itself, and then it is tried again.
            log.exception("a webhook's turn failed")
        finally:
            with self._condition:
                self._free += 1
                self._condition.notify_all()

    def stop(self, timeout: float) -> None:
        """Returns when what runs has ended, or after `timeout` seconds."""
        self.stopping.set()
        end = time.monotonic() + timeout
        with self._condition:
            while self._free < self._count and time.monotonic() < end:
                self._condition.wait(end - time.monotonic())


class CallSlots(DependencyProvider):  # type: ignore[misc]
    """Injects the `Slots`."""

    def __init__(self) -> None:
        self._slots: Slots | None = None

    def setup(self) -> None:
        self._settings = load(WebhookSettings)
        self._slots = Slots(
            self._settings.calls,
            lambda work: self.container.spawn_managed_thread(work, identifier="webhook"),
        )

    def stop(self) -> None:
        if self._slots is not None:
            self._slots.stop(self._settings.timeout + 2)

    def kill(self) -> None:
        if self._slots is not None:
            self._slots.stopping.set()

    def get_dependency(self, worker_ctx: WorkerContext) -> Slots:
        assert self._slots is not None
        return self._slots
