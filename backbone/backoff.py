"""Waiting before another try: longer each time, up to a longest."""

import random
import threading
from datetime import timedelta


def pause(failures: int, first: timedelta, longest: timedelta, *, growth: float = 2.0) -> timedelta:
    """How long to wait after so many failures, at least one: `first`, then `growth` times as long
    each time. For a try whose time is stored.
    """
    # Bounded before it is computed: 2 to the 60th is no time span.
    return min(first * growth ** min(failures - 1, 20), longest)


class Backoff:
    """Pauses of `first` seconds, doubling up to `longest`, each ± 20 %, cut short by a stop."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self.seconds = first

    def wait(self, stop: threading.Event) -> bool:
        """Waits for the next pause, or until `stop` is set; true when it is."""
        pause = self.seconds * random.uniform(0.8, 1.2)
        self.seconds = min(self.seconds * 2, self._longest)
        return stop.wait(pause)

    def reset(self) -> None:
        """All is well again: the next pause is the first."""
        self.seconds = self._first
