"""Publishing and relaying by hand, on the real PostgreSQL and the real Kafka."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from administration.notifications.v1.events_pb2 import EmailAccepted
from kafka.consumer.fetcher import ConsumerRecord
from sqlalchemy import Engine, create_engine, text

from backbone.database import Transactions
from backbone.events import Publisher, tables
from backbone.events.backlog import Backlog
from backbone.events.relay import Relay
from deploy.local import kafka_settings

# Nobody subscribes to it: what a test puts there disturbs no service.
TOPIC = "administration.notifications.v1.Delivery"
# Of events that may wait; what is measured is what a test measures itself.
LIMIT = 10_000


class Scratch:
    """A schema with an outbox, and publishers to it."""

    def __init__(self, stack: dict[str, Any], schema: str) -> None:
        self.stack = stack
        self.schema = schema
        self.engine = create_engine(self.url(), pool_size=20)
        self.transactions = Transactions(self.engine)
        self.backlog = Backlog(self.engine, LIMIT)
        self.idle = Relay(self.engine, kafka_settings(stack))
        self.publisher = self.publisher_of(self.idle)

    def url(self, application: str = "scratch") -> str:
        url: str = self.stack["postgres"]["url"].replace("postgresql:", "postgresql+psycopg:")
        options = quote(f"-csearch_path={self.schema}")
        return f"{url}?options={options}&application_name={application}"

    def publisher_of(self, relay: Relay) -> Publisher:
        return Publisher("/services/essai", "http://127.0.0.1:8000/schemas", relay, self.backlog)

    @contextmanager
    def relaying(self) -> Iterator[Publisher]:
        """A relay at work, and a publisher that wakes it."""
        relay = Relay(self.engine, kafka_settings(self.stack))
        thread = threading.Thread(target=relay.run)
        thread.start()
        try:
            yield self.publisher_of(relay)
        finally:
            relay.stop()
            thread.join(30)

    def waiting(self) -> int:
        """How many events are in the outbox."""
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM outbox")).scalar_one())


@contextmanager
def scratch_schema(stack: dict[str, Any]) -> Iterator[Scratch]:
    schema = f"essai_{uuid.uuid4().hex}"
    opened = Scratch(stack, schema)
    _run(opened.engine, f"CREATE SCHEMA {schema}")
    with opened.engine.begin() as connection:
        tables.create(connection)
        tables.create_parked(connection)
    try:
        yield opened
    finally:
        _run(opened.engine, f"DROP SCHEMA {schema} CASCADE")
        opened.engine.dispose()


def fact(key: str, number: int = 0) -> EmailAccepted:
    """An event of `key`, told from the others by its number."""
    return EmailAccepted(delivery_id=key, account_id=str(uuid.uuid4()), kind=str(number))


def of_key(key: str) -> Any:
    """Whether a record is of `key`."""
    return lambda record: record.key == key.encode()


def numbers(records: list[ConsumerRecord], key: str) -> list[int]:
    """The numbers of the facts of a key, in their order on the log."""

    mine = [record for record in records if record.key == key.encode()]
    mine.sort(key=lambda record: (record.partition, record.offset))
    return [int(json.loads(record.value)["kind"]) for record in mine]


def _run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))
