"""Background work: one step after the other, until the service stops."""

import logging
import threading

import pytest

from backbone import loops
from backbone.loops import loop
from tests.support.nameko import container_of, in_background
from tests.support.polling import eventually


def test_a_step_that_says_more_waits_is_followed_at_once() -> None:
    left, done = [3], threading.Event()

    class Service:
        name = "service"

        # An hour between two steps: only `True` makes the next one come.
        @loop(every=3600)
        def step(self) -> bool:
            left[0] -= 1
            if not left[0]:
                done.set()
            return left[0] > 0

    container = container_of(Service)
    container.start()
    assert done.wait(10)
    container.stop()
    assert left == [0]


def test_a_step_that_fails_is_tried_again_and_does_not_end_the_service(
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts: list[int] = []

    class Service:
        name = "service"

        @loop(every=0.001)
        def step(self) -> bool:
            attempts.append(1)
            if len(attempts) < 4:
                raise OSError("not yet")
            return False

    container = container_of(Service)
    with caplog.at_level(logging.CRITICAL, logger=loops.__name__):
        container.start()
        eventually(lambda: len(attempts) > 6)
        assert container.started
        container.stop()


def test_a_stop_waits_for_the_step_at_hand() -> None:
    entered, leave, ended = threading.Event(), threading.Event(), threading.Event()

    class Service:
        name = "service"

        @loop(every=3600)
        def step(self) -> bool:
            entered.set()
            assert leave.wait(10)
            ended.set()
            return True

    container = container_of(Service)
    container.start()
    assert entered.wait(10)
    stop = in_background(container.stop)
    assert container.stopping.wait(10)
    assert stop.is_alive()
    leave.set()
    stop.join(10)
    assert ended.is_set()
