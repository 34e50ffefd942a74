"""Access that is ended, on the whole stack: refused everywhere, at once and after restarts."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2
from administration.exchange.v1 import exchange_pb2
from administration.identity.v1 import identity_pb2, sessions_pb2
from administration.notifications.v1 import notifications_pb2

import deploy.local
from tests.support.organisations import Side, agent, where
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, code, refusal
from tests.support.sign_in import claims

OK, REFUSED = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED

Calls = dict[str, Callable[[str], Any]]


@pytest.fixture(scope="module")
def calls(clients: dict[str, Client]) -> Calls:
    """A call to each service that a citizen may make."""
    return {
        "identity": lambda token: clients["identity"].get_me(
            identity_pb2.GetMeRequest(), token=token
        ),
        "documents": lambda token: clients["documents"].list_documents(
            documents_pb2.ListDocumentsRequest(), token=token
        ),
        "notifications": lambda token: clients["notifications"].list_inbox(
            notifications_pb2.ListInboxRequest(), token=token
        ),
    }


def opened(realm: Realm, person: Person, client: str = "development") -> tuple[str, str, str]:
    """A new session: access token, refresh token, identifier."""
    tokens = realm.sign_in(person, client)
    assert tokens is not None
    access = str(tokens["access_token"])
    return access, str(tokens["refresh_token"]), str(claims(access)["sid"])


def refused_everywhere(calls: Calls, token: str, begun: float) -> dict[str, float]:
    """Waits until each service refuses; seconds from `begun` to each one's first refusal."""
    after: dict[str, float] = {}

    def all_refuse() -> bool:
        for name, call in calls.items():
            if name not in after and code(partial(call, token)) == REFUSED:
                after[name] = time.monotonic() - begun
        return len(after) == len(calls)

    eventually(all_refuse, what="a refusal by every service")
    for call in calls.values():
        refused = refusal(partial(call, token))
        assert (refused.code, refused.reason) == (REFUSED, "ACCESS_ENDED")
    print(" ".join(f"{name}: {seconds * 1000:.0f} ms" for name, seconds in after.items()))
    return after


def accepted_everywhere(calls: Calls, token: str) -> None:
    for name, call in calls.items():
        assert code(partial(call, token)) == OK, name


@pytest.fixture
def admin(realm: Realm) -> str:
    return realm.token("admin")


def test_an_ended_session_is_refused_by_every_service_and_the_others_are_not(
    realm: Realm, person: Person, identity: Client, calls: Calls
) -> None:
    token, refresh_token, session_id = opened(realm, person)
    other, other_refresh, _ = opened(realm, person)
    accepted_everywhere(calls, token)
    request = sessions_pb2.EndSessionRequest(session_id=session_id)
    begun = time.monotonic()
    identity.end_session(request, token=other)
    refused_everywhere(calls, token, begun)
    accepted_everywhere(calls, other)
    # Again, it stays so; and the realm refreshes none of it.
    identity.end_session(request, token=other)
    eventually(lambda: realm.refresh(refresh_token) == 400)
    assert realm.refresh(other_refresh) == 200


def test_a_session_can_end_itself(
    realm: Realm, person: Person, gateway: httpx.Client, calls: Calls
) -> None:
    token, _, session_id = opened(realm, person)
    headers = {"Authorization": f"Bearer {token}"}
    begun = time.monotonic()
    answer = gateway.post(f"/v1/me/sessions/{session_id}/end", json={}, headers=headers)
    assert answer.status_code == 200, answer.text
    refused_everywhere(calls, token, begun)
    refused = gateway.get("/v1/me", headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (401, "ACCESS_ENDED")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


@pytest.mark.parametrize("name", ["documents", "notifications", "identity", "exchange"])
def test_an_ended_session_is_still_refused_after_a_restart(
    name: str, realm: Realm, person: Person, identity: Client, calls: Calls
) -> None:
    token, _, session_id = opened(realm, person)
    other, _, _ = opened(realm, person)
    identity.end_session(sessions_pb2.EndSessionRequest(session_id=session_id), token=token)
    refused_everywhere(calls, token, time.monotonic())
    seen: list[grpc.StatusCode] = []
    call = calls.get(name, calls["documents"])
    deploy.local.restart(name)

    def answered() -> bool:
        # From its very first answer on, the process refuses, or does not know yet.
        seen.append(code(lambda: call(token)))
        return seen[-1] == REFUSED

    eventually(answered, within=60)
    assert OK not in seen
    eventually(lambda: code(lambda: call(other)) == OK, within=60)


def test_sessions_are_listed_and_end_together(
    realm: Realm, person: Person, identity: Client, calls: Calls
) -> None:
    (first, _, first_id), (second, refresh_token, second_id) = (
        opened(realm, person),
        opened(realm, person),
    )
    listed = identity.list_sessions(sessions_pb2.ListSessionsRequest(), token=second).sessions
    assert {each.session_id for each in listed} == {first_id, second_id}
    assert [each.session_id for each in listed if each.current] == [second_id]
    assert all("development" in each.client_ids and each.ip_address for each in listed)
    begun = time.monotonic()
    identity.end_all_sessions(sessions_pb2.EndAllSessionsRequest(), token=first)
    for token in (first, second):
        refused_everywhere(calls, token, begun)
    eventually(lambda: realm.refresh(refresh_token) == 400)

    def signed_in_again() -> bool:
        token, _, session_id = opened(realm, person)
        try:
            calls["documents"](token)
            found = identity.list_sessions(sessions_pb2.ListSessionsRequest(), token=token).sessions
        except grpc.RpcError:  # what was issued up to the end is refused: by all, not at once
            return False
        return session_id in {each.session_id for each in found}

    # Who signs in after keeps theirs.
    eventually(signed_in_again)


def test_nobody_ends_the_session_of_another(
    realm: Realm, person: Person, identity: Client, citizen_token: str, calls: Calls
) -> None:
    token, _, session_id = opened(realm, person)
    for named in (session_id, "no-such-session"):
        request = sessions_pb2.EndSessionRequest(session_id=named)
        refused = refusal(partial(identity.end_session, request, token=citizen_token))
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "SESSION_NOT_FOUND",
        )
    accepted_everywhere(calls, token)


def test_a_disabled_account_is_refused_until_it_is_enabled(
    realm: Realm, person: Person, identity: Client, calls: Calls, admin: str
) -> None:
    token, refresh_token, _ = opened(realm, person)
    accepted_everywhere(calls, token)
    begun = time.monotonic()
    identity.disable_account(
        sessions_pb2.DisableAccountRequest(account_id=person.account_id), token=admin
    )
    refused_everywhere(calls, token, begun)
    eventually(lambda: realm.sign_in(person) is None)
    assert realm.refresh(refresh_token) == 400
    identity.enable_account(
        sessions_pb2.EnableAccountRequest(account_id=person.account_id), token=admin
    )

    def back() -> bool:
        tokens = realm.sign_in(person)
        if tokens is None:
            return False
        return code(partial(calls["documents"], str(tokens["access_token"]))) == OK

    # Tokens that a clock ahead of ours may have dated later are refused for the leeway, too.
    eventually(back)
    assert code(lambda: calls["documents"](token)) == REFUSED


@pytest.mark.parametrize("leaves", [False, True], ids=["removed", "leaves"])
def test_who_is_an_agent_no_more_is_refused_what_their_tokens_still_say(
    leaves: bool, realm: Realm, person: Person, gateway: httpx.Client, calls: Calls, admin: str
) -> None:
    administrator = Side(gateway, admin)
    made = administrator.created()
    member = agent(gateway, realm, administrator, made, person)
    token, refresh_token, _ = opened(realm, person)
    assert set(claims(token)["organization"]) == {made["alias"]}
    accepted_everywhere(calls, token)
    begun = time.monotonic()
    who = member if leaves else administrator
    assert who.delete(f"{where(made)}/members/{person.account_id}").status_code == 200
    refused_everywhere(calls, token, begun)
    eventually(lambda: realm.refresh(refresh_token) == 400)

    def signs_in_as_a_citizen() -> bool:
        fresh = opened(realm, person)[0]
        said = claims(fresh)
        agent_still = "organization" in said or "agent" in said["realm_access"]["roles"]
        return not agent_still and code(partial(calls["documents"], fresh)) == OK

    eventually(signs_in_as_a_citizen)


def test_an_administrator_disables_neither_themselves_nor_nobody(
    realm: Realm, identity: Client, admin: str
) -> None:
    own = sessions_pb2.DisableAccountRequest(account_id=realm.subject("admin"))
    refused = refusal(lambda: identity.disable_account(own, token=admin))
    assert refused.fields == {"account_id": "ONESELF"}
    nobody = sessions_pb2.DisableAccountRequest(account_id="00000000-0000-4000-8000-000000000000")
    assert code(lambda: identity.disable_account(nobody, token=admin)) == (
        grpc.StatusCode.NOT_FOUND
    )


def test_a_revoked_client_is_refused_and_gets_no_more_tokens(
    realm: Realm, person: Person, identity: Client, calls: Calls, admin: str
) -> None:
    with realm.client() as client_id:
        token, _, _ = opened(realm, person, client_id)
        other, _, _ = opened(realm, person)
        accepted_everywhere(calls, token)
        begun = time.monotonic()
        identity.revoke_client(sessions_pb2.RevokeClientRequest(client_id=client_id), token=admin)
        refused_everywhere(calls, token, begun)
        accepted_everywhere(calls, other)
        eventually(lambda: realm.sign_in(person, client_id) is None)
    gone = sessions_pb2.RevokeClientRequest(client_id=client_id)
    assert refusal(lambda: identity.revoke_client(gone, token=admin)).reason == "CLIENT_NOT_FOUND"
    own = sessions_pb2.RevokeClientRequest(client_id="documents")
    assert refusal(lambda: identity.revoke_client(own, token=admin)).fields == {
        "client_id": "OWN_CLIENT"
    }


def test_exchange_refuses_what_has_ended_before_it_looks_at_the_role(
    realm: Realm, clients: dict[str, Client], person: Person
) -> None:
    request = exchange_pb2.ListWebhooksRequest()
    ended, _, session_id = opened(realm, person)
    assert code(lambda: clients["exchange"].list_webhooks(request, token=ended)) == (
        grpc.StatusCode.PERMISSION_DENIED
    )
    end = sessions_pb2.EndSessionRequest(session_id=session_id)
    clients["identity"].end_session(end, token=ended)
    eventually(
        lambda: code(lambda: clients["exchange"].list_webhooks(request, token=ended)) == REFUSED
    )


def test_what_ends_in_the_realm_itself_ends_everywhere(
    realm: Realm, person: Person, calls: Calls
) -> None:
    token, _, _ = opened(realm, person)
    accepted_everywhere(calls, token)
    begun = time.monotonic()
    realm.sign_out_in_the_console(person)
    refused_everywhere(calls, token, begun)

    def signed_in_again() -> str:
        token = opened(realm, person)[0]
        return token if code(lambda: calls["documents"](token)) == OK else ""

    token = eventually(signed_in_again)
    begun = time.monotonic()
    realm.disable_in_the_console(person)
    refused_everywhere(calls, token, begun)


def test_a_live_inbox_ends_with_its_session(
    realm: Realm, person: Person, identity: Client, notifications: Client
) -> None:
    token, _, session_id = opened(realm, person)
    request = notifications_pb2.WatchInboxRequest()
    stream = notifications.watch_inbox(request, token=token, timeout=60)
    stream.initial_metadata()
    identity.end_session(sessions_pb2.EndSessionRequest(session_id=session_id), token=token)
    assert list(stream) == []
    assert stream.code() == OK
