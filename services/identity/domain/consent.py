"""What a consent is, and what its signed records say."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from backbone.errors import InvalidInput


class State(IntEnum):
    """The numbers of the contract's `ConsentState`."""

    ACTIVE = 1
    REVOKED = 2
    EXPIRED = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person consents to. Two with the same terms but the end are the same consent."""

    administration: str
    purpose: str
    scopes: tuple[str, ...]
    expire_time: datetime

    @classmethod
    def asked(
        cls,
        administration: str,
        purpose: str,
        scopes: Iterable[str],
        expire_time: datetime,
        now: datetime,
    ) -> "Terms":
        """Terms as a person asks for them: the purpose without spaces around, each scope once.

        Raises:
            InvalidInput: the purpose is blank, or the end is not in the future.
        """
        purpose = purpose.strip()
        if not purpose:
            raise InvalidInput.field("purpose", "REQUIRED", "is required")
        if expire_time <= now:
            raise InvalidInput.field("expire_time", "PAST", "must lie in the future")
        return cls(administration, purpose, tuple(sorted(set(scopes))), expire_time)


def state(expire_time: datetime, revoke_time: datetime | None, now: datetime) -> State:
    """A revoked consent stays revoked once its end has passed."""
    if revoke_time is not None:
        return State.REVOKED
    return State.ACTIVE if now < expire_time else State.EXPIRED


def statement(
    issuer: str,
    consent_id: str,
    account_id: str,
    terms: Terms,
    create_time: datetime,
    revoke_time: datetime | None = None,
) -> dict[str, Any]:
    """What a record states: the grant, or with `revoke_time` the revocation.

    `iss`, `sub`, `jti` and `iat` are RFC 7519's. There is no `exp`: a proof outlives what it
    proves, and its end is `expire_time`.
    """
    said = {
        "iss": issuer,
        "sub": account_id,
        "jti": consent_id,
        "iat": int((revoke_time or create_time).timestamp()),
        "statement": "granted" if revoke_time is None else "revoked",
        "administration": terms.administration,
        "purpose": terms.purpose,
        "scopes": list(terms.scopes),
        "grant_time": create_time.isoformat(),
        "expire_time": terms.expire_time.isoformat(),
    }
    return said if revoke_time is None else said | {"revoke_time": revoke_time.isoformat()}
