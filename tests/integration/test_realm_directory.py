"""The real realm, by the adapters' promises, and its token under load and outage."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr

from backbone.errors import Unavailable
from backbone.settings import ClientSettings, RealmSettings
from services.identity.realm import KeycloakDirectory
from services.identity.realm_organizations import KeycloakOrganizations
from tests.support.organizations_conformance import OrganizationsConformance
from tests.support.realm import Person, Realm
from tests.support.realm_conformance import RealmConformance
from tests.support.sign_in import claims


def settings(stack: dict[str, Any], **changes: str) -> tuple[RealmSettings, ClientSettings]:
    client = stack["clients"]["identity"]
    given = {"id": client["client_id"], "secret": client["client_secret"], **changes}
    return (
        RealmSettings(issuer=given.get("issuer", stack["issuer"])),
        ClientSettings(id=given["id"], secret=SecretStr(given["secret"])),
    )


def directory_of(stack: dict[str, Any], **changes: str) -> KeycloakDirectory:
    return KeycloakDirectory(*settings(stack, **changes))


class TestKeycloakDirectory(RealmConformance):
    @pytest.fixture
    def directory(self, stack: dict[str, Any]) -> KeycloakDirectory:
        return directory_of(stack)

    @pytest.fixture
    def account_id(self, person: Person) -> str:
        return person.account_id

    @pytest.fixture
    def client_id(self, realm: Realm) -> Iterator[str]:
        with realm.client() as client_id:
            yield client_id

    @pytest.fixture
    def sign_in(self, realm: Realm, person: Person) -> Callable[[], str | None]:
        def sign_in() -> str | None:
            tokens = realm.sign_in(person)
            return str(claims(tokens["access_token"])["sid"]) if tokens else None

        return sign_in


class TestKeycloakOrganizations(OrganizationsConformance):
    @pytest.fixture
    def organizations(self, stack: dict[str, Any]) -> KeycloakOrganizations:
        return KeycloakOrganizations(*settings(stack))

    @pytest.fixture
    def new_account(self, realm: Realm) -> Iterator[Callable[[], str]]:
        with ExitStack() as people:
            yield lambda: people.enter_context(realm.person()).account_id

    @pytest.fixture
    def is_agent(self, realm: Realm) -> Callable[[str], bool]:
        return realm.is_agent

    @pytest.fixture
    def disable(self, realm: Realm) -> Callable[[str], None]:
        return realm.disable_organization


def test_threads_that_ask_together_share_one_token(
    stack: dict[str, Any], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = directory_of(stack)
    connection = directory._admin.connection
    fetched: list[str] = []
    fetch = connection.get_token

    def counted() -> None:
        fetched.append(threading.current_thread().name)
        fetch()

    monkeypatch.setattr(connection, "get_token", counted)
    ready = threading.Barrier(8)
    names: list[str] = []

    def ask() -> None:
        ready.wait()
        names.append(directory.profile(person.account_id).email)

    def together() -> None:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    together()
    assert names == [person.email] * 8
    assert len(fetched) == 1
    # One that the realm refuses is replaced at once, not when it would have expired.
    monkeypatch.setattr(connection, "_fetched", float("-inf"))
    connection.add_param_headers("Authorization", "Bearer refused")
    assert directory.profile(person.account_id).email == person.email
    assert len(fetched) == 2


@pytest.mark.parametrize(
    "changes",
    [{"secret": "wrong"}, {"issuer": "http://127.0.0.1:9/realms/administration"}],
    ids=["a wrong secret", "nobody there"],
)
def test_a_realm_that_refuses_or_is_not_there_is_unavailable(
    stack: dict[str, Any], person: Person, changes: dict[str, str]
) -> None:
    with pytest.raises(Unavailable):
        directory_of(stack, **changes).profile(person.account_id)
