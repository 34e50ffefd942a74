"""Waiting for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
PAUSE = 0.05


def eventually(condition: Callable[[], Found], within: float = 20.0, what: str = "") -> Found:
    """The first truthy value of `condition`, asked again and again.

    Raises:
        AssertionError: it had none within `within` seconds; names the last value.
    """
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {within:.0f} s: {what or condition} (last: {found!r})"
            )
        time.sleep(PAUSE)
    return found
