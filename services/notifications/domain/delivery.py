"""When a failed delivery is tried again."""

from datetime import timedelta

MAX_ATTEMPTS = 12
FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(hours=1)


def pause(attempts: int) -> timedelta | None:
    """How long to wait after `attempts` failures; None when it is time to give up."""
    if attempts >= MAX_ATTEMPTS:
        return None
    return min(FIRST_PAUSE * pow(3.0, attempts - 1), LONGEST_PAUSE)
