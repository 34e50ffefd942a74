"""A leaner thread pool for ``grpc.server``: threads as they are needed, up to a bound.

`concurrent.futures.ThreadPoolExecutor` pays for a semaphore, a global lock and a weak reference
per task. grpcio asks only for `submit`, and a future that it may attach a callback to.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
Task = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ThreadExecutor(Executor):
    """At most `max_workers` threads, created on demand, gone after a minute without work."""

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        # Threads that wait and have no task meant for them. It may be too low (another thread was
        # quicker), which costs a thread; never too high, which would leave a task behind a stream.
        self._idle = 0
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is shut down")
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < self._max_workers:
                self._threads += 1
                threading.Thread(target=self._run, name="grpc-worker", daemon=True).start()
            # Otherwise every thread is at work: the task waits for the first that ends.
            self._tasks.put((future, fn, args, kwargs))
        return future

    def _run(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if not self._tasks.empty():
                        continue
                    self._idle = max(0, self._idle - 1)
                    self._threads -= 1
                    return
            if task is None:
                return
            future, fn, args, kwargs = task
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - the future carries it
                future.set_exception(error)
            del task, future, fn, args, kwargs
            with self._lock:
                if self._tasks.empty():
                    self._idle += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._tasks.put(None)
