"""Fixtures on the real stack. A test that asks for none of them runs without it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

import deploy.local
from tests.support.leftovers import Leftovers
from tests.support.mailbox import Mailbox
from tests.support.objects import Objects
from tests.support.realm import Person, Realm
from tests.support.rpc import Client
from tests.support.tables import Tables, tables

# How long an example takes says how busy the machine is; and the same ones are made each time, so
# that what a run finds, the next one finds too.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def stack() -> Iterator[dict[str, Any]]:
    """The local stack, up and healthy: left as it was found."""
    try:
        deploy.local.load()
        found = True
    except deploy.local.StackError:
        found = False
    yield deploy.local.up()
    if not found:
        deploy.local.down()


@pytest.fixture(scope="session")
def realm(stack: dict[str, Any]) -> Iterator[Realm]:
    opened = Realm(stack)
    yield opened
    opened.close()


@pytest.fixture
def person(realm: Realm) -> Iterator[Person]:
    """A citizen of this test alone."""
    with realm.person() as created:
        yield created


@pytest.fixture
def friend(realm: Realm) -> Iterator[Person]:
    """Another citizen."""
    with realm.person() as created:
        yield created


@pytest.fixture
def token(realm: Realm, person: Person) -> str:
    """The access token of `person`."""
    return realm.token_of(person)


@pytest.fixture(scope="session")
def clients(stack: dict[str, Any]) -> Iterator[dict[str, Client]]:
    """A gRPC client of each service, by its area."""
    opened = {
        area: Client(area, service["grpc"])
        for area, service in stack["services"].items()
        if service["grpc"]
    }
    yield opened
    for client in opened.values():
        client.close()


@pytest.fixture(scope="session")
def identity(clients: dict[str, Client]) -> Client:
    return clients["identity"]


@pytest.fixture(scope="session")
def documents(clients: dict[str, Client]) -> Client:
    return clients["documents"]


@pytest.fixture(scope="session")
def notifications(clients: dict[str, Client]) -> Client:
    return clients["notifications"]


@pytest.fixture(scope="session")
def gateway(stack: dict[str, Any]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack["gateway"], timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def mailbox(stack: dict[str, Any]) -> Mailbox:
    return Mailbox(Path(stack["mailbox"]))


@pytest.fixture(scope="session")
def database(stack: dict[str, Any]) -> Iterator[Tables]:
    with tables(stack["postgres"]["url"]) as opened:
        yield opened


@pytest.fixture(scope="session")
def objects(stack: dict[str, Any]) -> Objects:
    return Objects(stack)


@pytest.fixture(scope="session")
def unlucky(realm: Realm) -> Iterator[Person]:
    """A citizen none of whose deposits ever succeeds."""
    with realm.person() as created:
        yield created


@pytest.fixture
def unlucky_token(realm: Realm, unlucky: Person) -> str:
    return realm.token_of(unlucky)


@pytest.fixture
def leftovers(unlucky: Person, database: Tables, objects: Objects) -> Leftovers:
    """What `unlucky` leaves from now on."""
    return Leftovers(unlucky, database, objects)


@pytest.fixture
def citizen_token(realm: Realm) -> str:
    """The token of a citizen of the development realm, whom tests share."""
    return realm.token("citizen")
