"""Waiting before another try."""

import threading

from backbone.backoff import Backoff


class Stop(threading.Event):
    """Notes how long it was waited for, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        return self.is_set()


def test_pauses_double_up_to_the_longest_and_are_jittered() -> None:
    backoff, stop = Backoff(0.1, 1.0), Stop()
    for _ in range(8):
        assert backoff.wait(stop) is False
    for pause, expected in zip(stop.waits, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0], strict=True):
        assert expected * 0.8 <= pause <= expected * 1.2
    assert len(set(stop.waits)) == len(stop.waits)


def test_a_success_starts_again_from_the_first() -> None:
    backoff, stop = Backoff(0.1, 1.0), Stop()
    for _ in range(5):
        backoff.wait(stop)
    backoff.reset()
    backoff.wait(stop)
    assert stop.waits[-1] <= 0.12


def test_a_stop_cuts_the_pause_short() -> None:
    stop = threading.Event()
    stop.set()
    assert Backoff(3600.0, 3600.0).wait(stop) is True
