"""A leaner thread pool for ``grpc.server``: threads as they are needed, up to a bound.

`concurrent.futures.ThreadPoolExecutor` pays for a semaphore, a global lock and a weak reference
per task. grpcio asks only for `submit`, and a future that it may attach a callback to.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
Task = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ThreadExecutor(Executor):
    """At most `max_workers` threads, created on demand, gone after a minute without work.

    A task is handed to the thread that became idle last: its memory is still in the processor's
    caches, and those that a peak left over reach the end of their minute.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._lock = threading.Lock()
        self._threads = 0
        self._idle: list[_Seat] = []
        # Only what came while every thread was at work.
        self._waiting: deque[Task] = deque()
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        task = (future, fn, args, kwargs)
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is shut down")
            if self._idle:
                self._idle.pop().hand(task)
            elif self._threads < self._max_workers:
                self._threads += 1
                threading.Thread(
                    target=self._run, args=(task,), name="grpc-worker", daemon=True
                ).start()
            else:
                self._waiting.append(task)
        return future

    def _run(self, first: Task) -> None:
        seat = _Seat()
        task: Task | None = first
        # The arguments of what is done are not kept alive while there is nothing to do.
        del first
        while task is not None:
            settle = _performed(*task)
            # Idle before the result is known: who waited for it finds this thread, not a new one.
            task = self._next(seat)
            settle()
            del settle
            task = task or self._rest(seat)
        with self._lock:
            self._threads -= 1

    def _next(self, seat: "_Seat") -> Task | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                seat.hand(None)
            else:
                self._idle.append(seat)
        return None

    def _rest(self, seat: "_Seat") -> Task | None:
        """Waits for a task; None when the thread is to leave."""
        if not seat.taken(IDLE_SECONDS):
            with self._lock:
                if seat in self._idle:
                    self._idle.remove(seat)
                    return None
            # Handed something at the last moment: it is there by now.
        task, seat.task = seat.task, None
        return task

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().hand(None)


class _Seat:
    """Where an idle thread waits for a task; None tells it to leave."""

    __slots__ = ("_lock", "task")

    def __init__(self) -> None:
        self.task: Task | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def hand(self, task: Task | None) -> None:
        self.task = task
        self._lock.release()

    def taken(self, seconds: float) -> bool:
        """Waits; false when nothing came within `seconds`."""
        return self._lock.acquire(timeout=seconds)


def _performed(
    future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[], None]:
    """Runs a task; gives what tells its future."""
    try:
        return partial(future.set_result, fn(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - the future carries it
        return partial(future.set_exception, error)
