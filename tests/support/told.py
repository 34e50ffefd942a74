"""Events of a document as notifications gets them, put on its topic by hand; what came of them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from administration.documents.v1.events_pb2 import DocumentDeposited, DocumentShared
from google.protobuf.message import Message
from kafka import KafkaProducer

from backbone.events import envelope
from tests.support.tables import Tables

TOPIC = "administration.documents.v1.Document"
SCHEMAS = "http://127.0.0.1:8000/schemas"
Headers = list[tuple[str, bytes | None]]


@dataclass
class Log:
    """Puts records on the topic that notifications reads, all of one key: on one partition."""

    kafka: KafkaProducer
    database: Tables
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    # Nobody's: what notifications writes for it has no address to go to.
    owner: str = field(default_factory=lambda: str(uuid.uuid4()))

    def put(
        self,
        headers: Headers,
        value: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
    ) -> int:
        """Sends a record, and waits until it is on the log; the number of its partition."""
        record = {"key": key or self.key.encode(), "value": value, "headers": headers}
        sent = self.kafka.send(TOPIC, **record, partition=partition).get(timeout=20)
        return int(sent.partition)

    def deposited(self, owner: str = "") -> tuple[Headers, bytes]:
        return packed(DocumentDeposited(document_id=self.key, owner_id=owner or self.owner))

    def shared(self) -> tuple[Headers, bytes]:
        fact = DocumentShared(
            document_id=self.key, owner_id=self.owner, administration="caf-martinique"
        )
        fact.expire_time.FromSeconds(4_000_000_000)
        return packed(fact)

    def entries(self) -> list[str]:
        """The kinds of the entries in the owner's inbox, in their order."""
        query = "SELECT kind FROM notifications.entries WHERE account_id = %s ORDER BY sequence"
        return [row["kind"] for row in self.database.rows(query, self.owner)]

    def dead(self) -> list[dict[str, Any]]:
        query = 'SELECT * FROM notifications.dead_letters WHERE key = %s ORDER BY "offset"'
        return self.database.rows(query, self.key)

    def parked(self) -> list[dict[str, Any]]:
        query = "SELECT * FROM notifications.parked WHERE key = %s ORDER BY position"
        return self.database.rows(query, self.key)

    def forget(self) -> None:
        for query in (
            "DELETE FROM notifications.parked WHERE key = %s",
            "DELETE FROM notifications.dead_letters WHERE key = %s",
            "DELETE FROM notifications.deliveries WHERE parameters ->> 'document_id' = %s",
        ):
            self.database.rows(query, self.key)


def packed(message: Message) -> tuple[Headers, bytes]:
    attributes = envelope.attributes(message, "/services/documents", SCHEMAS)
    return list(envelope.headers(attributes)), envelope.encode_data(message)


@contextmanager
def opened_log(kafka: KafkaProducer, database: Tables) -> Iterator[Log]:
    """A log of a key of its own; what it left is forgotten at the end."""
    opened = Log(kafka, database)
    try:
        yield opened
    finally:
        opened.forget()
