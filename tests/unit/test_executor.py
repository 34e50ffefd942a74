"""The executor under gRPC: bounded, lean, and never a short task behind a long one."""

import threading

import pytest

from backbone.rpc.executor import ThreadExecutor
from tests.support.polling import eventually


def mine(executor: ThreadExecutor) -> int:
    return executor._threads


def test_a_task_s_result_or_error_is_in_its_future() -> None:
    executor = ThreadExecutor(2)
    assert executor.submit(lambda a, b: a + b, 1, b=2).result(10) == 3
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 / 0).result(10)
    executor.shutdown()


def test_no_more_tasks_run_at_once_than_the_bound() -> None:
    executor, leave = ThreadExecutor(3), threading.Event()
    lock, now, most = threading.Lock(), 0, 0

    def task() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        leave.wait(10)
        with lock:
            now -= 1

    futures = [executor.submit(task) for _ in range(12)]
    eventually(lambda: now == 3)
    leave.set()
    for future in futures:
        future.result(10)
    assert most == 3
    executor.shutdown()


def test_tasks_one_after_the_other_do_not_add_threads() -> None:
    executor = ThreadExecutor(100)
    for _ in range(300):
        executor.submit(int).result(10)
    assert mine(executor) < 10
    executor.shutdown()


def test_a_long_task_never_keeps_a_short_one_waiting() -> None:
    executor, leave = ThreadExecutor(64), threading.Event()
    long: list[object] = []
    for round_ in range(200):
        if round_ % 5 == 0 and len(long) < 32:
            long.append(executor.submit(leave.wait, 30))
        assert executor.submit(lambda value: value, round_).result(10) == round_
    leave.set()
    executor.shutdown()


def test_many_threads_may_submit_at_once() -> None:
    executor, done = ThreadExecutor(8), []
    lock = threading.Lock()

    def task(number: int) -> None:
        with lock:
            done.append(number)

    def submit_many(first: int) -> None:
        futures = [executor.submit(task, first + number) for number in range(200)]
        for future in futures:
            future.result(10)

    threads = [threading.Thread(target=submit_many, args=(each * 200,)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == list(range(1200))
    assert mine(executor) <= 8
    executor.shutdown()


def test_nothing_is_taken_after_the_shutdown_and_the_threads_leave() -> None:
    before = threading.active_count()
    executor = ThreadExecutor(4)
    for _ in range(4):
        executor.submit(int)
    executor.shutdown()
    with pytest.raises(RuntimeError):
        executor.submit(int)
    eventually(lambda: threading.active_count() <= before)
