"""What a call of a webhook came to, and when the next one is due."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import IntEnum

# An endpoint may ask for patience, within what the schedule itself would wait.
LONGEST_RETRY_AFTER = timedelta(hours=12)


class Cause(IntEnum):
    """Why a webhook is disabled: the numbers are the contract's `DisabledCause`."""

    NONE = 0
    TRIES_EXHAUSTED = 1
    GONE = 2
    REVOKED = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one call: `status` is 0 without an answer, `words` are for the partner."""

    status: int
    words: str
    delivered: bool = False
    retry_after: timedelta = timedelta(0)


def answered(status: int, retry_after: str, now: datetime) -> Outcome:
    """The outcome of an answer: 2xx is delivered, everything else counts as a failed try."""
    if 200 <= status < 300:
        return Outcome(status, "delivered", delivered=True)
    if status in (429, 503):
        return Outcome(
            status, "the endpoint asks for patience", retry_after=patience(retry_after, now)
        )
    if status == 410:
        return Outcome(status, "the endpoint is gone")
    if 300 <= status < 400:
        return Outcome(status, "redirects are not followed")
    if 400 <= status < 500:
        return Outcome(status, "the endpoint refuses: it is tried again, and has to be mended")
    return Outcome(status, "the endpoint failed")


def patience(retry_after: str, now: datetime) -> timedelta:
    """``Retry-After`` (RFC 9110, section 10.2.3): seconds or a date; 0 when it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        asked = timedelta(seconds=min(int(text[:9]), 10**6))
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return timedelta(0)
        asked = moment.replace(tzinfo=moment.tzinfo or UTC) - now
    return max(timedelta(0), min(asked, LONGEST_RETRY_AFTER))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an outcome: a pause before the next try, or the end of the webhook."""

    pause: timedelta = timedelta(0)
    disabled: Cause = Cause.NONE


def verdict(outcome: Outcome, failed_tries: int, pauses: Sequence[float]) -> Verdict:
    """What follows from the failed try number `failed_tries`; `pauses` (seconds) are between tries.

    Pauses are jittered by a tenth, so that what failed together is not tried together.
    """
    if outcome.status == 410:
        return Verdict(disabled=Cause.GONE)
    if failed_tries > len(pauses):
        return Verdict(disabled=Cause.TRIES_EXHAUSTED)
    pause = timedelta(seconds=pauses[failed_tries - 1] * random.uniform(0.9, 1.1))
    return Verdict(pause=max(pause, outcome.retry_after))
