"""For how long a document must be kept: classes, and when they end."""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_DURATION = re.compile(
    r"P(?=[\dT])(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,6})W)?(?:(\d{1,7})D)?"
    r"(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?",
    re.ASCII,
)


class Disposition(StrEnum):
    """The words of the contract's `Disposition`: what follows at the end."""

    DESTROY = "DESTROY"
    TRANSFER = "TRANSFER"
    REVIEW = "REVIEW"


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration of the calendar (ISO 8601-1, 5.5.2), in whole seconds."""

    text: str
    months: int
    rest: timedelta

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Raises:
        ValueError: it is none, or of no time.
        """
        found = _DURATION.fullmatch(text)
        if found is None:
            raise ValueError("is not a duration of ISO 8601, such as P10Y or P18M")
        years, months, weeks, days, hours, minutes, seconds = (int(x or 0) for x in found.groups())
        rest = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        made = cls(text, 12 * years + months, rest)
        if not made.months and not made.rest:
            raise ValueError("must be longer than nothing")
        return made

    def after(self, moment: datetime) -> datetime:
        """`moment` and this duration: months first; a day that the month lacks is its last one.

        Raises:
            OverflowError, ValueError: it lies beyond the year 9999.
        """
        years, month = divmod(moment.month - 1 + self.months, 12)
        year, month = moment.year + years, month + 1
        if year > datetime.max.year:
            raise ValueError("lies beyond the year 9999")
        day = min(moment.day, calendar.monthrange(year, month)[1])
        return moment.replace(year=year, month=month, day=day) + self.rest


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """A kind of document: for how long it is kept, which text asks for it, what follows."""

    name: str
    title: str
    duration: Duration
    basis: str
    disposition: Disposition

    def end(self, deposited: datetime) -> datetime:
        """When the retention of a deposit ends, in UTC: whole seconds, as object stores count."""
        end = self.duration.after(deposited.astimezone(UTC))
        return end if not end.microsecond else end.replace(microsecond=0) + timedelta(seconds=1)
