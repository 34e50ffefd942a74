"""Background work: ``@loop(every=0.2)`` on a method that does one step and tells if more waits."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from nameko.extensions import Entrypoint

from backbone.backoff import Backoff

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 30.0


class Loop(Entrypoint):  # type: ignore[misc]
    """Calls the method again at once while it returns true, else after `every` seconds; on so many
    threads, each by itself.

    A step that raises is logged and tried again, with backoff: what it left in the database is
    what it will find.
    """

    def __init__(self, every: float, threads: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.every, self.threads = every, threads
        self._stopping = threading.Event()
        self._quiet = threading.Semaphore(0)

    def start(self) -> None:
        for _ in range(self.threads):
            self.container.spawn_managed_thread(self._run, identifier=self.method_name)

    def stop(self) -> None:
        """Returns once the steps at hand have ended."""
        self._stopping.set()
        for _ in range(self.threads):
            self._quiet.acquire()

    def kill(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        backoff = Backoff(self.every, MAX_BACKOFF_SECONDS)
        while not self._stopping.is_set():
            more = False
            try:
                with self.container.worker(self, {}) as method:
                    more = bool(method())
                backoff.reset()
            except Exception:
                log.exception("%s failed; again in %.1f s", self.method_name, backoff.seconds)
                backoff.wait(self._stopping)
                continue
            if not more:
                self._stopping.wait(self.every)
        self._quiet.release()


Method = TypeVar("Method", bound=Callable[..., bool])


def loop(*, every: float, threads: int = 1) -> Callable[[Method], Method]:
    """Decorates a method that does one step of background work, at most every `every` seconds."""
    return Loop.decorator(every=every, threads=threads)  # type: ignore[no-any-return]
