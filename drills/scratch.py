"""A place of a drill's own on the running stack: a schema, a topic, a consumer group."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString
from urllib.parse import quote

from google.protobuf.message import Message
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.consumer.fetcher import ConsumerRecord
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.sql.elements import TextClause

from backbone.database import Transactions
from backbone.events import tables, topics
from deploy.local import Stack, kafka_settings
from drills.fact import fact_class

_TABLES = """
-- The last number of each key; the lock of its row orders the commits of the key.
CREATE TABLE keys (key text PRIMARY KEY, last int NOT NULL DEFAULT 0);
-- What was committed, by the very transactions that published it.
CREATE TABLE facts (
    mark text PRIMARY KEY, key text NOT NULL, number int NOT NULL, fails int NOT NULL
);
-- What handlers did. Nothing is unique here, so that an effect that is repeated is seen.
CREATE TABLE effects (
    position bigserial, mark text NOT NULL, key text NOT NULL, number int NOT NULL,
    process text NOT NULL, applied timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""
PAUSE = 0.2


class Scratch:
    """Where one run of a drill happens; its processes are given `run` and `environment`."""

    def __init__(self, stack: Stack, run: str) -> None:
        self.run = run
        self.fact: type[Message] = fact_class(run)
        self.topic = topics.internal(self.fact.DESCRIPTOR)
        self.kafka = kafka_settings(stack)
        self._url: str = stack["postgres"]["url"].replace("postgresql:", "postgresql+psycopg:")
        self.engine: Engine = create_engine(self.url("drill"), pool_size=20)
        self.transactions = Transactions(self.engine)

    def url(self, application: str) -> str:
        """The address of the schema, for a program that PostgreSQL shall know by a name."""
        options = quote(f"-csearch_path={self.run}")
        return f"{self._url}?options={options}&application_name={application}"

    def environment(self, application: str, **changes: str) -> dict[str, str]:
        """The environment of a program on this schema and this Kafka."""
        return {
            "BACKBONE_DATABASE_URL": self.url(application),
            "BACKBONE_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "BACKBONE_KAFKA_USERNAME": self.kafka.username,
            "BACKBONE_KAFKA_PASSWORD": self.kafka.password.get_secret_value(),
            "BACKBONE_LOG_LEVEL": "WARNING",
            **changes,
        }

    def rows(self, query: LiteralString, **values: Any) -> list[Any]:
        """The rows of a query in the schema."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), values))

    def count(self, table: LiteralString) -> int:
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])

    @contextmanager
    def reader(self) -> Iterator[KafkaConsumer]:
        """A consumer without a group, placed nowhere."""
        opened = KafkaConsumer(**topics.client_options(self.kafka), enable_auto_commit=False)
        try:
            yield opened
        finally:
            opened.close(autocommit=False)

    def ends(self, reader: KafkaConsumer) -> dict[TopicPartition, int]:
        """Where each partition of the topic ends."""
        numbers = reader.partitions_for_topic(self.topic) or ()
        return dict(reader.end_offsets([TopicPartition(self.topic, number) for number in numbers]))

    def wire(self) -> list[ConsumerRecord]:
        """Every record on the topic, in the order of each partition."""
        with self.reader() as reader:
            ends = self.ends(reader)
            reader.assign(list(ends))
            reader.seek_to_beginning(*ends)
            records: list[ConsumerRecord] = []
            while any(reader.position(place) < end for place, end in ends.items()):
                for batch in reader.poll(timeout_ms=500).values():
                    records += batch
            return records

    def settle(self, patience: float = 60.0) -> bool:
        """Waits until nothing is on its way: the outbox and the parked events are empty, and the
        consumer group is at the end of the topic. False when nothing moved for `patience` seconds.
        """
        admin = KafkaAdminClient(**topics.client_options(self.kafka))
        try:
            with self.reader() as reader:
                left, moved = -1, time.monotonic()
                while True:
                    now = self.count("outbox") + self.count("parked") + self._lag(admin, reader)
                    if now == 0:
                        return True
                    if now != left:
                        left, moved = now, time.monotonic()
                    elif time.monotonic() - moved > patience:
                        return False
                    time.sleep(PAUSE)
        finally:
            admin.close()

    def _lag(self, admin: KafkaAdminClient, reader: KafkaConsumer) -> int:
        committed = admin.list_group_offsets(self.run)[self.run]
        return sum(
            end - max(0, committed[place].offset if place in committed else 0)
            for place, end in self.ends(reader).items()
        )


@contextmanager
def scratch(stack: Stack) -> Iterator[Scratch]:
    """A fresh place, with the tables of events and those of the ledger; gone at the end."""
    opened = Scratch(stack, f"drill_{uuid.uuid4().hex[:12]}")
    made = [opened.topic, topics.dead(opened.topic)]
    admin = KafkaAdminClient(**topics.client_options(opened.kafka))
    try:
        admin.create_topics(
            [NewTopic(name, opened.kafka.partitions, opened.kafka.replication) for name in made]
        )
        _execute(opened.engine, text(f"CREATE SCHEMA {opened.run}"))
        with opened.engine.begin() as connection:
            tables.create(connection)
            tables.create_parked(connection)
        _execute(opened.engine, text(_TABLES))
        yield opened
    finally:
        _execute(opened.engine, text(f"DROP SCHEMA IF EXISTS {opened.run} CASCADE"))
        opened.engine.dispose()
        admin.delete_topics(made)
        if opened.run in {group["group_id"] for group in admin.list_groups()}:
            admin.delete_groups([opened.run])
        admin.close()


def _execute(engine: Engine, statement: TextClause) -> None:
    with engine.begin() as connection:
        connection.execute(statement)
