"""Services made of extensions that tell what happens to them."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from nameko.extensions import DependencyProvider, Entrypoint

from backbone.container import NativeContainer

CONFIG = {"stop_timeout": 10.0}


class Journal(DependencyProvider):  # type: ignore[misc]
    """Writes every hook that is called into `told`, with its own name; injects `told`."""

    def __init__(self, told: list[str], fail_in: str = "") -> None:
        self.told, self.fail_in = told, fail_in

    def _tell(self, hook: str) -> None:
        self.told.append(f"{self.attr_name}.{hook}")
        if hook == self.fail_in:
            raise RuntimeError(f"{self.attr_name} fails in {hook}")

    def setup(self) -> None:
        self._tell("setup")

    def start(self) -> None:
        self._tell("start")

    def stop(self) -> None:
        self._tell("stop")

    def kill(self) -> None:
        self._tell("kill")

    def get_dependency(self, worker_ctx: Any) -> list[str]:
        self._tell("get_dependency")
        return self.told

    def worker_setup(self, worker_ctx: Any) -> None:
        self._tell("worker_setup")

    def worker_result(self, worker_ctx: Any, result: Any = None, exc_info: Any = None) -> None:
        outcome = exc_info[0].__name__ if exc_info else repr(result)
        self._tell("worker_result")
        self.told.append(f"{self.attr_name}: {outcome}")

    def worker_teardown(self, worker_ctx: Any) -> None:
        self._tell("worker_teardown")


class Manual(Entrypoint):  # type: ignore[misc]
    """Runs its method when a test says so, on the test's thread."""

    def __init__(self, told: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.told = told if told is not None else []

    def setup(self) -> None:
        self.told.append(f"{self.method_name}.setup")

    def start(self) -> None:
        self.told.append(f"{self.method_name}.start")

    def stop(self) -> None:
        self.told.append(f"{self.method_name}.stop")

    def __call__(self, *args: Any) -> Any:
        worker = self.container.worker(self, {})
        with worker as method:
            worker.result = method(*args)
            return worker.result

    def stream(self, *args: Any) -> Iterator[Any]:
        with self.container.worker(self, {}) as method:
            yield from method(*args)


Method = TypeVar("Method", bound=Callable[..., Any])


def manual(told: list[str] | None = None) -> Callable[[Method], Method]:
    """Decorates a method that runs when a test says so."""
    return Manual.decorator(told)  # type: ignore[no-any-return]


def container_of(service: type) -> NativeContainer:
    return NativeContainer(service, CONFIG)


def entrypoint(container: NativeContainer, name: str) -> Any:
    """The running entrypoint of a method."""
    return next(item for item in container.entrypoints if item.method_name == name)


def in_background(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
