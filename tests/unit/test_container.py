"""The container: nameko's life cycles, on native threads."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import DependencyProvider, SharedExtension

from backbone.container import NativeContainer
from tests.support.nameko import Journal, Manual, container_of, entrypoint, in_background, manual
from tests.support.polling import eventually


def started(service: type) -> NativeContainer:
    container = container_of(service)
    container.start()
    return container


def test_a_worker_runs_its_hooks_around_the_method_in_order() -> None:
    told: list[str] = []

    class Service:
        name = "service"
        journal = Journal(told)

        @manual()
        def work(self, word: str) -> str:
            self.journal.append(f"work {word}")
            return word.upper()

    container = started(Service)
    told.clear()
    assert entrypoint(container, "work")("a") == "A"
    assert told == [
        "journal.get_dependency",
        "journal.worker_setup",
        "work a",
        "journal.worker_result",
        "journal: 'A'",
        "journal.worker_teardown",
    ]
    container.stop()


def test_extensions_start_dependencies_first_and_stop_entrypoints_first() -> None:
    told: list[str] = []

    class Shared(SharedExtension):  # type: ignore[misc]
        def setup(self) -> None:
            told.append("shared.setup")

        def start(self) -> None:
            told.append("shared.start")

        def stop(self) -> None:
            told.append("shared.stop")

    class User(DependencyProvider):  # type: ignore[misc]
        shared = Shared()

    class Service:
        name = "service"
        journal = Journal(told)
        one = User()
        two = User()

        @manual(told)
        def work(self) -> None:
            """Nothing to do."""

    container = started(Service)
    assert told == [
        "shared.setup",
        "journal.setup",
        "work.setup",
        "shared.start",
        "journal.start",
        "work.start",
    ]
    told.clear()
    container.stop()
    assert told == ["work.stop", "journal.stop", "shared.stop"]
    assert container.wait(0) is True


def test_an_error_of_the_method_reaches_the_caller_and_the_hooks() -> None:
    told: list[str] = []

    class Service:
        name = "service"
        journal = Journal(told)

        @manual()
        def work(self) -> None:
            raise LookupError("nothing there")

    container = started(Service)
    with pytest.raises(LookupError, match="nothing there"):
        entrypoint(container, "work")()
    assert told[-3:] == ["journal.worker_result", "journal: LookupError", "journal.worker_teardown"]
    container.stop()


@pytest.mark.parametrize(
    "hook", ["get_dependency", "worker_setup", "worker_result", "worker_teardown"]
)
def test_an_error_in_a_hook_fails_that_worker_and_not_the_service(hook: str) -> None:
    told: list[str] = []

    class Service:
        name = "service"
        journal = Journal(told, fail_in=hook)

        @manual()
        def work(self) -> None:
            """Nothing to do."""

    container = started(Service)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=hook):
            entrypoint(container, "work")()
    assert container.started
    # Nothing is left running: the stop need not wait.
    container.stop()
    assert container.wait(0) is True


def test_a_failure_to_start_kills_what_was_set_up_and_tells_why() -> None:
    told: list[str] = []

    class Service:
        name = "service"
        a_good = Journal(told)
        b_bad = Journal(told, fail_in="setup")

    container = container_of(Service)
    with pytest.raises(RuntimeError, match="b_bad fails in setup"):
        container.start()
    assert "a_good.kill" in told
    assert not container.started


def test_a_graceful_stop_waits_for_the_worker_and_only_then_stops_its_dependencies() -> None:
    told: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    class Service:
        name = "service"
        journal = Journal(told)

        @manual()
        def work(self) -> None:
            entered.set()
            assert leave.wait(10)

    container = started(Service)
    worker = in_background(entrypoint(container, "work"))
    assert entered.wait(10)
    stop = in_background(container.stop)
    assert container.stopping.wait(10)
    assert container.wait(0.05) is False
    assert "journal.stop" not in told
    leave.set()
    worker.join(10)
    stop.join(10)
    assert told.index("journal.worker_teardown") < told.index("journal.stop")
    assert container.wait(0) is True


def test_an_error_in_a_managed_thread_ends_the_service_with_that_error() -> None:
    told: list[str] = []

    class Service:
        name = "service"
        journal = Journal(told)

    container = started(Service)

    def fail() -> None:
        raise OSError("the thread fails")

    container.spawn_managed_thread(fail)
    with pytest.raises(OSError, match="the thread fails"):
        container.wait(10)
    assert "journal.kill" in told
    assert container.stopping.is_set()


def test_a_killed_service_takes_no_more_work() -> None:
    class Service:
        name = "service"

        @manual()
        def work(self) -> None:
            """Nothing to do."""

    container = started(Service)
    container.kill()
    with pytest.raises(ContainerBeingKilled):
        entrypoint(container, "work")()


def test_a_streaming_worker_lives_until_its_last_item() -> None:
    told: list[str] = []

    class Service:
        name = "service"
        journal = Journal(told)

        @manual()
        def count(self, last: int) -> Iterator[int]:
            yield from range(last)

    container = started(Service)
    told.clear()
    stream = entrypoint(container, "count").stream(3)
    assert next(stream) == 0
    assert "journal.worker_teardown" not in told
    assert list(stream) == [1, 2]
    assert told[-1] == "journal.worker_teardown"
    container.stop()


def test_a_streaming_worker_that_nobody_reads_on_is_torn_down() -> None:
    told: list[str] = []

    class Service:
        name = "service"
        journal = Journal(told)

        @manual()
        def count(self) -> Iterator[int]:
            yield from range(1000)

    container = started(Service)
    stream = entrypoint(container, "count").stream()
    next(stream)
    stream.close()
    assert told[-1] == "journal.worker_teardown"
    container.stop()


def test_workers_of_many_threads_do_not_share_a_service_instance() -> None:
    seen: list[object] = []
    together = threading.Barrier(8, timeout=10)

    class Service:
        name = "service"

        @manual()
        def work(self) -> None:
            together.wait()
            seen.append(self)

    container = started(Service)
    threads = [in_background(entrypoint(container, "work")) for _ in range(8)]
    for thread in threads:
        thread.join(10)
    assert len({id(item) for item in seen}) == 8
    container.stop()


def test_an_entrypoint_written_for_nameko_gets_a_thread_and_its_result() -> None:
    results: list[tuple[Any, Any]] = []

    class Fired(Manual):
        def fire(self, value: int) -> None:
            self.container.spawn_worker(self, (value,), {}, handle_result=self.handle)

        def handle(self, context: Any, result: Any, exc_info: Any) -> None:
            results.append((result, exc_info and exc_info[0]))

    class Service:
        name = "service"

        @Fired.decorator()  # type: ignore[untyped-decorator]
        def work(self, value: int) -> float:
            return 1 / value

    container = started(Service)
    entrypoint(container, "work").fire(2)
    eventually(lambda: results == [(0.5, None)])
    entrypoint(container, "work").fire(0)
    eventually(lambda: results[1:] == [(None, ZeroDivisionError)])
    container.stop()


def test_stopping_twice_is_stopping_once() -> None:
    told: list[str] = []

    class Service:
        name = "service"
        journal = Journal(told)

    container = started(Service)
    container.stop()
    container.stop()
    assert told.count("journal.stop") == 1
