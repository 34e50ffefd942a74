"""When a failed delivery is tried again."""

from datetime import timedelta

from backbone import backoff

MAX_ATTEMPTS = 12
FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(hours=1)


def pause(attempts: int) -> timedelta | None:
    """How long to wait after `attempts` failures; None when it is time to give up."""
    if attempts >= MAX_ATTEMPTS:
        return None
    return backoff.pause(attempts, FIRST_PAUSE, LONGEST_PAUSE, growth=3.0)
