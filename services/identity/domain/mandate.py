"""What a mandate is: who may act for whom, and its life from the offer to the end."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from backbone.errors import InvalidInput


class Principal(IntEnum):
    """The numbers of the contract's `PrincipalKind`."""

    PERSON = 1
    COMPANY = 2


class State(IntEnum):
    """The numbers of the contract's `MandateState`."""

    OFFERED = 1
    ACTIVE = 2
    ENDED = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """What a person offers another, for themselves or for a company that they manage. Identifiers
    are lower-case UUIDs.
    """

    principal_id: str
    representative_id: str
    scopes: tuple[str, ...]
    start_time: datetime
    expire_time: datetime
    principal_kind: Principal = Principal.PERSON

    @classmethod
    def asked(
        cls,
        principal_id: str,
        representative_id: str,
        scopes: Iterable[str],
        start_time: datetime | None,
        expire_time: datetime,
        now: datetime,
        principal_kind: Principal = Principal.PERSON,
    ) -> "Offer":
        """An offer as a person asks for it: each scope once, from now when no start is given.

        Raises:
            InvalidInput: it is to oneself, its end is past, or its dates are reversed.
        """
        representative_id = representative_id.lower()
        if representative_id == principal_id.lower():
            raise InvalidInput.field("representative_id", "ONESELF", "must be another person")
        if expire_time <= now:
            raise InvalidInput.field("expire_time", "PAST", "must lie in the future")
        start = start_time or now
        if start >= expire_time:
            raise InvalidInput.field("expire_time", "REVERSED", "must lie after `start_time`")
        named = tuple(sorted(set(scopes)))
        return cls(principal_id, representative_id, named, start, expire_time, principal_kind)


def state(
    expire_time: datetime,
    accept_time: datetime | None,
    end_time: datetime | None,
    now: datetime,
) -> State:
    """An offer that nobody accepted ends with its date, too."""
    if end_time is not None or now >= expire_time:
        return State.ENDED
    return State.OFFERED if accept_time is None else State.ACTIVE
