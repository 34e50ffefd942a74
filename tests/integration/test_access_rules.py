"""Every access rule of every contract, as the running services apply it."""

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from backbone import contracts
from tests.support.fake_realm import FakeRealm, forged
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import ENDS_ITS_CALLER, Client, Refusal, asked, refusal

ROLES = ("citizen", "agent", "admin", "partner", "service")
METHODS = [
    pytest.param(area, method, id=f"{area}.{method.name}")
    for area, name in contracts.SERVICES.items()
    for method in contracts.service(name).methods
]
NOT_ADMITTED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def token_of(realm: Realm, role: str) -> str:
    if role == "partner":
        return realm.client_token("partner-caf")
    if role == "service":
        return realm.client_token("notifications")
    return realm.token(role)


def attempt(
    client: Client, method: MethodDescriptor, token: str, *, admitted: bool = False
) -> Refusal | None:
    """How a call with an empty request is refused; None when it is answered. One that may be
    `admitted` is not read to its end: it may stay open.
    """
    empty = contracts.message_class(method.input_type)()
    found = asked(client, method, empty, stays_open=admitted, token=token)
    return found if isinstance(found, Refusal) else None


@pytest.mark.parametrize(("area", "method"), METHODS)
def test_a_method_admits_the_roles_of_its_rule_and_nobody_else(
    area: str, method: MethodDescriptor, clients: dict[str, Client], realm: Realm
) -> None:
    rule = contracts.access_rule(method)
    spared = rule.roles if method.name in ENDS_ITS_CALLER else ()
    for role in (role for role in ROLES if role not in spared):
        admitted = role in rule.roles or rule.public
        refused = attempt(clients[area], method, token_of(realm, role), admitted=admitted)
        if admitted:
            assert (
                refused is None
                or refused.code not in NOT_ADMITTED
                # Admitted, once they have signed in surely, or of late: the tokens do not say so.
                or (
                    (rule.level or rule.max_age_seconds)
                    and refused.reason == "INSUFFICIENT_USER_AUTHENTICATION"
                )
            ), role
        else:
            assert refused is not None, role
            assert refused.code == grpc.StatusCode.PERMISSION_DENIED, role
            assert refused.reason == "ROLE_MISSING"


@pytest.mark.parametrize(("area", "method"), METHODS)
def test_a_method_refuses_whoever_shows_no_token_of_the_realm(
    area: str, method: MethodDescriptor, clients: dict[str, Client], foreign_realm: FakeRealm
) -> None:
    if contracts.access_rule(method).public:
        return
    unsigned = forged({"alg": "none", "kid": "first", "typ": "at+jwt"})
    for token, reason in (
        ("", "TOKEN_MISSING"),
        (foreign_realm.token(), "TOKEN_INVALID"),
        (unsigned, "TOKEN_INVALID"),
        ("a.b.c", "TOKEN_INVALID"),
    ):
        refused = attempt(clients[area], method, token)
        assert refused is not None
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


def test_a_token_is_refused_once_it_has_expired(
    clients: dict[str, Client], realm: Realm, person: Person
) -> None:
    token = realm.short_lived_token(person)
    methods = {
        area: contracts.service(name).methods[0] for area, name in contracts.SERVICES.items()
    }

    def expired_everywhere() -> bool:
        found = [
            attempt(clients[area], method, token, admitted=True) for area, method in methods.items()
        ]
        return all(item is not None and item.reason == "TOKEN_EXPIRED" for item in found)

    eventually(expired_everywhere)


def test_a_token_that_was_changed_is_refused(identity: Client, token: str) -> None:
    header, claims, signature = token.split(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    changed = f"{header}.{claims}.{signature[:middle]}{other}{signature[middle + 1 :]}"
    method = contracts.service(contracts.SERVICES["identity"]).methods_by_name["GetMe"]
    refused = attempt(identity, method, changed)
    assert refused is not None
    assert refused.code == grpc.StatusCode.UNAUTHENTICATED


def test_an_identity_token_is_no_access_token(
    identity: Client, realm: Realm, person: Person
) -> None:
    from administration.identity.v1 import identity_pb2

    refused = refusal(
        lambda: identity.get_me(identity_pb2.GetMeRequest(), token=realm.id_token(person))
    )
    assert refused.code == grpc.StatusCode.UNAUTHENTICATED
