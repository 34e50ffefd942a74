"""Fixtures of the tests of single services on real components."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from kafka import KafkaProducer

from tests.support.events import Scratch, scratch_schema
from tests.support.fake_realm import FakeRealm
from tests.support.kafka import producer
from tests.support.organisations import Side
from tests.support.realm import Person
from tests.support.tables import Tables
from tests.support.told import Log, opened_log
from tests.support.versitygw import Versitygw, versitygw


@pytest.fixture(scope="session")
def foreign_realm() -> Iterator[FakeRealm]:
    """A realm whose tokens no service of the stack accepts."""
    opened = FakeRealm()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def second_store(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Versitygw]:
    """An S3 server of another make than the stack's."""
    terminal = pytestconfig.get_terminal_writer()
    with versitygw(tmp_path_factory.mktemp("versitygw"), terminal.line) as server:
        yield server


@pytest.fixture
def scratch(stack: dict[str, Any]) -> Iterator[Scratch]:
    """A schema of this test alone, with the tables of events."""
    with scratch_schema(stack) as opened:
        yield opened


@pytest.fixture
def side(gateway: httpx.Client, person: Person, token: str) -> Side:
    """`person`, as they call the gateway."""
    return Side(gateway, token, person.account_id)


@pytest.fixture(scope="module")
def kafka(stack: dict[str, Any]) -> Iterator[KafkaProducer]:
    with producer(stack) as opened:
        yield opened


@pytest.fixture
def log(kafka: KafkaProducer, database: Tables) -> Iterator[Log]:
    """Events of a document of this test alone, as notifications gets them."""
    with opened_log(kafka, database) as opened:
        yield opened
