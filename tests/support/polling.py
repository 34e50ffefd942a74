"""Waiting for a condition, never for a time; and short names for parameters."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

Found = TypeVar("Found")
PAUSE = 0.05
# What comes in a second comes much later on a busy machine, or after a restart: whoever waits for
# long has lost nothing, and a condition that never holds is told all the same.
PATIENCE = 60.0


def eventually(
    condition: Callable[[], Found | Literal[False] | None], within: float = PATIENCE, what: str = ""
) -> Found:
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


def brief(value: object) -> str:
    """A parameter as the name of its test shows it."""
    return str(value)[:60]
