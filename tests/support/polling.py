"""Waiting for a condition, never for a time; and short names for parameters."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

Found = TypeVar("Found")
PAUSE = 0.05
# Seconds for what is done in the background, on a machine that has much else to do: no limit of the
# product's, and no time that a test takes.
PATIENCE = 60.0


def eventually(
    condition: Callable[[], Found | Literal[False] | None],
    within: float = PATIENCE,
    what: str = "",
) -> Found:
    """The first truthy value of `condition`, asked again and again.

    Raises:
        AssertionError: it had none within `within` seconds; names the last value.
    """
    deadline = time.monotonic() + within
    while True:
        # It is asked once more when the time is over: what counts is when a question begins, not
        # how long it takes to be answered.
        over = time.monotonic() > deadline
        if found := condition():
            return found
        if over:
            raise AssertionError(
                f"not within {within:.0f} s: {what or condition} (last: {found!r})"
            )
        time.sleep(PAUSE)


def brief(value: object) -> str:
    """A parameter as the name of its test shows it."""
    return str(value)[:60]
