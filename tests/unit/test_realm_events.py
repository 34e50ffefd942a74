"""The realm's logs in this service's words."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from services.identity.domain.realm_event import ABOUT_PROFILES, Stream, Type, of_admin, of_user

ACCOUNT = "5f0c0f4e-7a5e-4b52-8a5e-000000000001"
LOGIN = {
    "id": "7d1f7a55-0000-4000-8000-000000000001",
    "time": 1_800_000_000_123,
    "type": "LOGIN",
    "realmId": "administration",
    "clientId": "portal",
    "userId": ACCOUNT,
    "sessionId": "s-1",
    "ipAddress": "192.0.2.1",
    "details": {"username": "josephine"},
}
DELETED = {
    "id": "7d1f7a55-0000-4000-8000-000000000002",
    "time": 1_800_000_000_000,
    "operationType": "DELETE",
    "resourceType": "USER",
    "resourcePath": f"users/{ACCOUNT}",
}


def test_a_sign_in_says_who_where_and_when_and_is_printed_without_an_address() -> None:
    event = of_user(LOGIN)
    assert event is not None
    assert (event.type, event.stream) == (Type.SIGNED_IN, Stream.USERS)
    assert (event.account_id, event.client_id, event.session_id) == (ACCOUNT, "portal", "s-1")
    assert event.event_id == uuid.UUID(str(LOGIN["id"]))
    assert event.time == datetime.fromtimestamp(1_800_000_000.123, UTC)
    assert event.address == "192.0.2.1"
    assert "192.0.2.1" not in repr(event)
    assert "josephine" not in repr(event)


def test_an_entry_without_an_identifier_has_that_of_its_content() -> None:
    bare = {key: value for key, value in LOGIN.items() if key != "id"}
    first, again, other = of_user(bare), of_user(dict(bare)), of_user({**bare, "time": 1})
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.event_id == again.event_id != other.event_id


def test_a_failed_sign_in_under_an_unknown_name_has_no_account() -> None:
    failed = of_user({**LOGIN, "type": "LOGIN_ERROR", "userId": None, "error": "user_not_found"})
    assert failed is not None
    assert (failed.account_id, failed.error) == ("", "user_not_found")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("UPDATE_EMAIL", Type.EMAIL_CHANGED), ("UPDATE_PROFILE", Type.PROFILE_CHANGED)],
)
def test_a_person_who_changes_what_the_realm_says_is_followed(kind: str, expected: Type) -> None:
    event = of_user({**LOGIN, "type": kind})
    assert event is not None
    assert (event.type, event.account_id) == (expected, ACCOUNT)
    assert event.type in ABOUT_PROFILES


@pytest.mark.parametrize("kind", ["REFRESH_TOKEN", "CODE_TO_TOKEN", "CLIENT_LOGIN", "", None])
def test_the_rest_is_the_realms_own_business(kind: Any) -> None:
    assert of_user({**LOGIN, "type": kind}) is None


@pytest.mark.parametrize(
    ("change", "type_", "field", "value"),
    [
        ({}, Type.ACCOUNT_DELETED, "account_id", ACCOUNT),
        ({"operationType": "UPDATE"}, Type.ACCOUNT_CHANGED, "account_id", ACCOUNT),
        (
            {"operationType": "ACTION", "resourcePath": f"users/{ACCOUNT}/logout"},
            Type.SESSIONS_ENDED,
            "account_id",
            ACCOUNT,
        ),
        (
            {"resourceType": "USER_SESSION", "resourcePath": "sessions/s-1"},
            Type.SESSION_ENDED,
            "session_id",
            "s-1",
        ),
        (
            {"operationType": "UPDATE", "resourceType": "CLIENT", "resourcePath": "clients/c-1"},
            Type.CLIENT_CHANGED,
            "client_key",
            "c-1",
        ),
    ],
)
def test_an_administrators_act_says_what_it_was_done_to(
    change: dict[str, Any], type_: Type, field: str, value: str
) -> None:
    event = of_admin({**DELETED, **change})
    assert event is not None
    assert event.type is type_
    assert getattr(event, field) == value


@pytest.mark.parametrize(
    "change",
    [
        {"resourcePath": f"users/{ACCOUNT}/role-mappings/realm"},
        {"resourcePath": f"users/{ACCOUNT}/reset-password", "operationType": "ACTION"},
        {"resourcePath": "users"},
        {"resourcePath": "users/nobody"},
        {"resourcePath": None},
        {"resourceType": "REALM_ROLE"},
        {"error": "could_not"},
        {"resourceType": "CLIENT", "operationType": "UPDATE", "resourcePath": "clients/c/scopes"},
    ],
    ids=str,
)
def test_an_act_on_something_else_is_not_taken(change: dict[str, Any]) -> None:
    assert of_admin({**DELETED, **change}) is None
