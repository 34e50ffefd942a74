"""What the realm tells of itself: its saved events, in this service's words."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

# Of what has no identifier: made of its content, so that the same is always the same.
NAMESPACE = uuid.UUID("6f1c9c53-3c5a-5b0e-9d55-0d5f2f4f7a10")
# How long the person can look back, which is as long as the realm keeps its events, and their
# addresses with them.
KEPT = timedelta(days=90)


class Stream(StrEnum):
    """The two logs of Keycloak: what people do, and what is done to the realm."""

    USERS = "events"
    ADMIN = "admin-events"


class Type(StrEnum):
    """What is taken from the logs; the rest is the realm's own business."""

    SIGNED_IN = "LOGIN"
    SIGN_IN_FAILED = "LOGIN_ERROR"
    SIGNED_OUT = "LOGOUT"
    REGISTERED = "REGISTER"
    EMAIL_VERIFIED = "VERIFY_EMAIL"
    EMAIL_CHANGED = "UPDATE_EMAIL"
    PROFILE_CHANGED = "UPDATE_PROFILE"
    DELETED_SELF = "DELETE_ACCOUNT"
    # In the console, or over the admin interface.
    ACCOUNT_DELETED = "DELETE USER"
    ACCOUNT_CHANGED = "UPDATE USER"
    SESSIONS_ENDED = "ACTION USER"
    SESSION_ENDED = "DELETE USER_SESSION"
    CLIENT_CHANGED = "UPDATE CLIENT"


# After these the realm may say something else of the account.
ABOUT_PROFILES = {
    Type.EMAIL_VERIFIED, Type.EMAIL_CHANGED, Type.PROFILE_CHANGED, Type.ACCOUNT_CHANGED,
}  # fmt: skip
OF_USERS = [item for item in Type if " " not in item]
OF_ADMIN = [item for item in Type if " " in item]


@dataclass(frozen=True, slots=True)
class RealmEvent:
    """One line of the realm's logs. `address` is the person's to see, and never leaves here."""

    event_id: uuid.UUID
    stream: Stream
    type: Type
    time: datetime
    # Empty when the realm does not say: a sign-in under an unknown name.
    account_id: str = ""
    client_id: str = ""
    session_id: str = ""
    # The realm's identifier of the client that was changed, which is not its name.
    client_key: str = ""
    # Keycloak's word for what went wrong, such as `invalid_user_credentials`.
    error: str = ""
    address: str = field(default="", repr=False)


def of_user(raw: Mapping[str, Any]) -> RealmEvent | None:
    """An entry of the users' log; None when it is none that is taken."""
    if raw.get("type") not in OF_USERS:
        return None
    return RealmEvent(
        event_id=_identifier(raw),
        stream=Stream.USERS,
        type=Type(raw["type"]),
        time=_time(raw),
        account_id=_account(raw.get("userId")),
        client_id=raw.get("clientId") or "",
        session_id=raw.get("sessionId") or "",
        error=raw.get("error") or "",
        address=raw.get("ipAddress") or "",
    )


def of_admin(raw: Mapping[str, Any]) -> RealmEvent | None:
    """An entry of the administrators' log; None when it is none that is taken."""
    kind = f"{raw.get('operationType')} {raw.get('resourceType')}"
    path = str(raw.get("resourcePath") or "").split("/")
    if kind not in OF_ADMIN or raw.get("error"):
        return None
    of, about = path[0], path[1] if len(path) > 1 else ""
    whole = path[2:] in ([], ["logout"]) if of == "users" else len(path) == 2
    if not about or not whole or (of == "users" and not _account(about)):
        return None
    return RealmEvent(
        event_id=_identifier(raw),
        stream=Stream.ADMIN,
        type=Type(kind),
        time=_time(raw),
        account_id=about if of == "users" else "",
        session_id=about if of == "sessions" else "",
        client_key=about if of == "clients" else "",
    )


def _identifier(raw: Mapping[str, Any]) -> uuid.UUID:
    try:
        return uuid.UUID(raw.get("id") or "")
    except ValueError:
        return uuid.uuid5(NAMESPACE, repr(sorted(raw.items())))


def _time(raw: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(raw["time"] / 1000, UTC)


def _account(named: Any) -> str:
    try:
        return str(uuid.UUID(named))
    except (ValueError, TypeError, AttributeError):
        return ""
