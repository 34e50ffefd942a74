"""Who waits for something to grow, and what wakes them."""

import contextlib
import threading

import pytest
from prometheus_client import Gauge

from backbone.errors import TooMany
from backbone.live import OWNER_LIMIT, Bell, Watchers
from tests.support.nameko import in_background

WATCHERS = Gauge("essai_watchers", "Of these tests.")


def test_a_ring_wakes_every_watcher_of_the_account() -> None:
    watchers, woken = Watchers(10, WATCHERS), threading.Barrier(4, timeout=10)

    def watch() -> None:
        with watchers.watching("a") as bell:
            bell.wait(0, timeout=30)
        woken.wait()

    for _ in range(3):
        in_background(watch)
    bell_rung = threading.Event()

    def ring() -> None:
        # A ring before they wait is not lost: the bell remembers how far the inbox has come.
        while not bell_rung.wait(0.01):
            watchers.ring({"a": 1})

    in_background(ring)
    woken.wait()
    bell_rung.set()


def test_a_ring_before_the_wait_is_not_lost() -> None:
    bell = Bell()
    bell.ring(5)
    bell.wait(4, timeout=3600)


def test_an_earlier_ring_does_not_undo_a_later_one() -> None:
    bell = Bell()
    bell.ring(5)
    bell.ring(3)
    bell.wait(4, timeout=3600)


def test_a_wait_for_nothing_ends_by_its_timeout() -> None:
    Bell().wait(0, timeout=0.001)


def test_only_watched_accounts_are_asked_about() -> None:
    watchers = Watchers(10, WATCHERS)
    assert watchers.watched() == []
    with watchers.watching("a"), watchers.watching("a"), watchers.watching("b"):
        assert sorted(watchers.watched()) == ["a", "b"]
    assert watchers.watched() == []
    watchers.ring({"a": 1})


def test_a_stream_too_many_is_refused_and_a_place_that_is_left_is_free() -> None:
    watchers = Watchers(1, WATCHERS)
    before = WATCHERS._value.get()
    with watchers.watching("a"):
        assert WATCHERS._value.get() == before + 1
        with pytest.raises(TooMany), watchers.watching("b"):
            pytest.fail("was let in")
    with watchers.watching("b"):
        pass
    assert WATCHERS._value.get() == before


def test_a_watcher_that_fails_leaves_its_place() -> None:
    watchers = Watchers(1, WATCHERS)
    with pytest.raises(OSError, match="gone"), watchers.watching("a"):
        raise OSError("gone")
    assert watchers.watched() == []
    with watchers.watching("a"):
        assert watchers.watched() == ["a"]


def test_one_owner_never_takes_the_places_of_the_others() -> None:
    watchers = Watchers(1000, WATCHERS)
    with contextlib.ExitStack() as streams:
        for number in range(OWNER_LIMIT):
            streams.enter_context(watchers.watching(f"topic {number % 2}", "greedy"))
        with pytest.raises(TooMany), watchers.watching("topic 0", "greedy"):
            pass
        with watchers.watching("topic 0", "another") as bell:
            assert not bell.wait(0, timeout=0)
            watchers.ring({"topic 0": 3})
            assert bell.wait(2, timeout=0)
            assert not bell.wait(3, timeout=0)
    with watchers.watching("topic 0", "greedy"):
        assert watchers.watched() == ["topic 0"]
