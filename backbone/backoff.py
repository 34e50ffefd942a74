"""Waiting before another try: doubled each time, jittered, cut short by a stop."""

import random
import threading


class Backoff:
    """Pauses of `first` seconds, doubling up to `longest`, each ± 20 %."""

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
