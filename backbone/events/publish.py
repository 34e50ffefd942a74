"""Publishing: an event is a row of the caller's transaction, then the relay's work."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from sqlalchemy import event, insert, text
from sqlalchemy.orm import Session

from backbone.database import DatabasePool, after_commit, current_session
from backbone.events import envelope, topics
from backbone.events.backlog import Backlog
from backbone.events.relay import Relay
from backbone.events.tables import outbox
from backbone.settings import EventSettings, KafkaSettings, load

_PENDING = "backbone.events.pending"

_INSERT = insert(outbox)

# The locks that the outbox's trigger takes, all at once and in the order of their numbers: keys
# share them, so two transactions in the order of their keys could wait for each other.
_LOCKS = text("""
    SELECT pg_advisory_xact_lock(hashtext(current_schema()), number)
    FROM (SELECT DISTINCT hashtext(key) & 1023 AS number
          FROM unnest(CAST(:keys AS text[])) AS key ORDER BY number) AS locks
""")


class Publisher:
    """Publishes events in the open transaction: they exist when it commits, and only then."""

    def __init__(
        self, source: str, schemas: str, relay: Relay, backlog: Backlog | None = None
    ) -> None:
        """Without `backlog`, whatever waits for Kafka, more is taken."""
        self._source = source
        self._schemas = schemas
        self._relay = relay
        self._backlog = backlog

    def publish(
        self, message: Message, *, event_id: uuid.UUID | None = None, time: datetime | None = None
    ) -> None:
        """Adds an event to the transaction that is open on this thread.

        `event_id` and `time` are for what somebody else has told: the same again has the same id,
        and consumers apply it once.

        Raises:
            RuntimeError: no transaction is open.
            ContractError: the message is not an event. ValueError: no key, or too large.
            Unavailable: too many events wait for Kafka already.
        """
        session = current_session()
        if self._backlog is not None:
            self._backlog.require_room()
        attributes = envelope.attributes(message, self._source, self._schemas, event_id, time)
        data = envelope.encode_data(message)
        for topic in topics.topics_of(message.DESCRIPTOR):
            enqueue(session, topic, attributes["subject"], attributes, data)
        after_commit(self._relay.wake)


def enqueue(
    session: Session, topic: str, key: str, attributes: Mapping[str, str], data: bytes
) -> None:
    """Has a transaction put a record into the outbox when it commits. Whoever puts some there
    before, one by one, takes the locks of their keys out of order.
    """
    row = {"topic": topic, "key": key, "attributes": attributes, "data": data}
    session.info.setdefault(_PENDING, []).append(row)


@event.listens_for(Session, "before_commit")
def _insert(session: Session) -> None:
    # Last in the transaction, so that the locks of the keys are held as briefly as can be, and are
    # taken in one order: a savepoint's release is no commit.
    if session.in_nested_transaction():
        return
    pending: list[dict[str, Any]] = session.info.pop(_PENDING, [])
    keys = {row["key"] for row in pending}
    if len(keys) > 1:
        session.execute(_LOCKS, {"keys": list(keys)})
    if pending:
        # One row as one: the driver's way for many costs several times as much.
        session.connection().execute(_INSERT, pending if len(pending) > 1 else pending[0])


class Events(DependencyProvider):  # type: ignore[misc]
    """Injects the `Publisher`; runs the relay of the service's outbox."""

    pool = DatabasePool()

    def __init__(self) -> None:
        self._relay: Relay | None = None
        self._backlog: Backlog | None = None

    def setup(self) -> None:
        assert self.pool.transactions is not None
        name = self.container.service_name
        engine, settings = self.pool.transactions.engine, load(EventSettings)
        self._relay = relay = Relay(engine, load(KafkaSettings))
        self._backlog = backlog = Backlog(engine, settings.outbox_limit)
        schemas = f"{settings.public_url.rstrip('/')}/schemas"
        self._publisher = Publisher(f"/services/{name}", schemas, relay, backlog)

    def start(self) -> None:
        assert self._relay is not None
        assert self._backlog is not None
        self.container.spawn_managed_thread(self._relay.run, identifier="relay")
        self.container.spawn_managed_thread(self._backlog.run, identifier="backlog")

    def stop(self) -> None:
        if self._relay is not None:
            self._relay.stop()
        if self._backlog is not None:
            self._backlog.stop()

    def kill(self) -> None:
        self.stop()

    def get_dependency(self, worker_ctx: WorkerContext) -> Publisher:
        return self._publisher

    def check_well(self) -> str | None:
        """What is published waits in the outbox while Kafka is away: the service stays ready."""
        return self._relay.trouble if self._relay else "the relay has not started"
