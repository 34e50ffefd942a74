"""nameko's programming model on native threads.

nameko runs workers on eventlet's green threads, which need a monkey-patched process; grpcio
freezes in one. This container keeps the model (`Extension`, `Entrypoint`, `DependencyProvider`,
`WorkerContext` and the worker's life cycle) and runs it on the threads of the platform, so that
grpcio, psycopg and kafka-python work as they are.

Differences from nameko, on purpose:

- extensions are set up and started one after the other (what is shared, dependencies, then
  entrypoints), so that an entrypoint never acts on a dependency that is not ready;
- a worker runs on the thread that asks for it: gRPC and Kafka bring their own;
- an error in a worker's hook fails that worker, not the service; an error in a managed thread
  still ends the service.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from nameko.containers import ServiceContainer, WorkerContext
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import DependencyProvider, Entrypoint, Extension

log = logging.getLogger(__name__)


class Worker:
    """One run of a service method: dependencies injected on entry, told of the end on exit.

    Entering gives the bound method. Set `result` before leaving when dependencies should see it.
    """

    __slots__ = ("container", "context", "result")

    def __init__(self, container: "NativeContainer", context: WorkerContext) -> None:
        self.container = container
        self.context = context
        self.result: Any = None

    def __enter__(self) -> Callable[..., Any]:
        container, context = self.container, self.context
        container.workers.add(self)
        try:
            service = context.service
            for name, get_dependency in container.injections:
                setattr(service, name, get_dependency(context))
            for hook in container.setup_hooks:
                hook(context)
        except BaseException:
            container.workers.discard(self)
            raise
        return getattr(service, context.entrypoint.method_name)  # type: ignore[no-any-return]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        container = self.container
        try:
            for result_hook in container.result_hooks:
                exc_info = (kind, error, traceback) if kind is not None else None
                result_hook(self.context, self.result, exc_info)
            for hook in container.teardown_hooks:
                hook(self.context)
        finally:
            container.workers.discard(self)


class NativeContainer(ServiceContainer):  # type: ignore[misc]
    """A service's container. `start()`, then `wait()`; `stop()` from another thread ends it."""

    def __init__(self, service_cls: type, config: dict[str, Any]) -> None:
        super().__init__(service_cls, config)
        self.providers: list[DependencyProvider] = sorted(
            self.dependencies, key=lambda item: item.attr_name
        )
        self.injections = [(item.attr_name, item.get_dependency) for item in self.providers]
        self.setup_hooks = self._hooks("worker_setup")
        self.result_hooks = self._hooks("worker_result")
        self.teardown_hooks = self._hooks("worker_teardown")
        self._threads: dict[threading.Thread, str] = {}
        # Those that run. Adding to a set and discarding from it are atomic: no lock on the way.
        self.workers: set[Worker] = set()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self.stopping = threading.Event()
        self._being_killed = False

    def _hooks(self, name: str) -> list[Callable[..., None]]:
        # Only those that do something: a call per worker and provider adds up.
        base = getattr(DependencyProvider, name)
        return [
            getattr(item, name)
            for item in self.providers
            if getattr(type(item), name, base) is not base
        ]

    @property
    def all_extensions(self) -> list[Extension]:
        """Every extension once, in the order in which they start."""
        return [*self.subextensions, *self.providers, *self.entrypoints]

    def start(self) -> None:
        """Sets every extension up, then starts them.

        Raises:
            Exception: whatever an extension raised; those already set up have been killed.
        """
        self.started = True
        try:
            for extension in self.all_extensions:
                extension.setup()
            for extension in self.all_extensions:
                extension.start()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Graceful end: entrypoints first, then what runs, then dependencies, then the rest."""
        if self._ended.is_set() or self.stopping.is_set():
            return
        self.stopping.set()
        for entrypoint in self.entrypoints:
            entrypoint.stop()
        self._wait_idle()
        for provider in self.providers:
            provider.stop()
        for extension in self.subextensions:
            extension.stop()
        self._join_threads()
        self.started = False
        self._ended.set()

    def kill(self, exc_info: Any = None) -> None:
        """Ends at once; `wait()` raises the error that `exc_info` holds."""
        if self._being_killed:
            return
        self._being_killed = True
        if exc_info is not None:
            self._failure = exc_info[1]
        self.stopping.set()
        for extension in self.all_extensions:
            try:
                extension.kill()
            except Exception:
                log.exception("an extension failed while it was killed")
        self.started = False
        self._ended.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until the container has ended, or `timeout` seconds; true when it has ended.

        Raises:
            BaseException: the error that killed it.
        """
        ended = self._ended.wait(timeout)
        if self._failure is not None:
            raise self._failure
        return ended

    def worker(
        self, entrypoint: Entrypoint, data: dict[str, Any], args: tuple[Any, ...] = ()
    ) -> Worker:
        """A worker for one call, to run on the calling thread: ``with worker(…) as method:``.

        Raises:
            ContainerBeingKilled: the service is ending without grace.
        """
        if self._being_killed:
            raise ContainerBeingKilled
        return Worker(self, WorkerContext(self, self.service_cls(), entrypoint, args, None, data))

    def spawn_worker(
        self,
        entrypoint: Entrypoint,
        args: Iterable[Any],
        kwargs: dict[str, Any],
        context_data: dict[str, Any] | None = None,
        handle_result: Callable[..., Any] | None = None,
    ) -> WorkerContext:
        """nameko's interface for entrypoints written for it: a native thread per worker."""
        if self._being_killed:
            raise ContainerBeingKilled
        context = WorkerContext(
            self, self.service_cls(), entrypoint, tuple(args), kwargs, data=context_data
        )
        worker = Worker(self, context)

        def run() -> None:
            exc_info = None
            try:
                with worker as method:
                    worker.result = method(*args, **kwargs)
            except Exception as error:
                if not isinstance(error, entrypoint.expected_exceptions):
                    log.exception("%s.%s failed", self.service_name, entrypoint.method_name)
                exc_info = sys.exc_info()
            if handle_result is not None:
                handle_result(context, worker.result, exc_info)

        self.spawn_managed_thread(run, identifier=f"worker-{entrypoint.method_name}")
        return context

    def spawn_managed_thread(
        self, fn: Callable[[], Any], identifier: str | None = None
    ) -> threading.Thread:
        """Runs `fn` on a thread of its own; an error that leaves it kills the service.

        `fn` watches `stopping` (or what its extension's `stop()` sets) and returns.
        """
        name = identifier or str(getattr(fn, "__name__", "managed"))

        def run() -> None:
            try:
                fn()
            except BaseException:
                log.critical("%s: thread %s failed", self.service_name, name, exc_info=True)
                self.kill(sys.exc_info())
            finally:
                self._threads.pop(thread, None)

        thread = threading.Thread(target=run, name=f"{self.service_name}-{name}", daemon=True)
        self._threads[thread] = name
        thread.start()
        return thread

    def _wait_idle(self) -> None:
        deadline = time.monotonic() + self.config["stop_timeout"]
        while self.workers and time.monotonic() < deadline:
            time.sleep(0.01)
        if self.workers:
            log.warning("%s: %d workers still run; left behind", self, len(self.workers))

    def _join_threads(self) -> None:
        deadline = time.monotonic() + self.config["stop_timeout"]
        for thread, name in list(self._threads.items()):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.warning("%s: thread %s still runs; left behind", self, name)
