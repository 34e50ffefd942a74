"""The relay: from a service's outbox to Kafka, in order, and off the outbox once acknowledged.

One process leads (a session's advisory lock), the others wait for it to go. It always reads the
outbox from its lowest position: a transaction that commits late is found like any other, which
reading past a remembered position would miss. A crash between Kafka's acknowledgement and the
deletion sends an event again: consumers tell it by its id.
"""

import logging
import threading
import time
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from opentelemetry import trace
from prometheus_client import Counter
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Engine,
    String,
    bindparam,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from backbone import telemetry
from backbone.backoff import Backoff
from backbone.events import envelope, topics
from backbone.events.tables import outbox
from backbone.settings import KafkaSettings

log = logging.getLogger(__name__)

BATCH = 1000
# A batch costs about as much for one event as for ten: after a few, more are waited for.
FEW = 50
GATHER_SECONDS = 0.004
# Of data in one batch, and one event on top: the relay's memory does not grow with the backlog.
BATCH_BYTES = 8 * 1024 * 1024
# Another process's commit does not wake this one: it is polled, more slowly while nothing comes.
POLL_SECONDS = (0.005, 0.2)
# Slowly: events that come steadily, each a few polls after the last, are all found by quick ones.
POLL_GROWTH = 1.2
ELECTION_SECONDS = 0.5
RETRY_SECONDS = (0.2, 2.0)
# An outage that lasts longer ends a leadership: what was sent and not acknowledged is sent again.
FLUSH_SECONDS = 30.0
# Before a topic that Kafka lacks is asked for again: asking takes `max_block_ms`.
HELD_SECONDS = 20.0

PUBLISHED = Counter("outbox_published_total", "Events that Kafka acknowledged.")

# Of a leader whose host vanished, PostgreSQL finds out and frees the lock within ten seconds (by
# default, in two hours); of one that was killed, its kernel tells at once.
_SESSION = text("""
    SET synchronous_commit = off;
    SET tcp_keepalives_idle = 5;
    SET tcp_keepalives_interval = 1;
    SET tcp_keepalives_count = 5;
    SET tcp_user_timeout = 10000
""")
_LOCK = text("SELECT pg_try_advisory_lock(hashtext('backbone.outbox'), hashtext(current_schema()))")

# The first events of the outbox, without those of the topics that are held. Made once: making a
# statement costs more than running it.
_first = (
    select(outbox)
    .where(outbox.c.topic != func.all(bindparam("held", type_=ARRAY(String))))
    .order_by(outbox.c.position)
    .limit(BATCH)
    .subquery()
)
_size = func.octet_length(_first.c.data)
_sized = select(
    _first, (func.sum(_size).over(order_by=_first.c.position) - _size).label("before")
).subquery()
_NEXT = select(_sized).where(_sized.c.before < bindparam("size")).order_by(_sized.c.position)
_DELETE = delete(outbox).where(
    outbox.c.position == func.any(bindparam("positions", type_=ARRAY(BigInteger)))
)


class Relay:
    """Runs on a thread of its own until `stop`."""

    def __init__(self, engine: Engine, settings: KafkaSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._wake = threading.Event()
        self._stopping = threading.Event()
        # Why nothing is being published just now; None while all is well.
        self.trouble: str | None = None
        # Topics that Kafka lacks, and until when their events are passed over.
        self._held: dict[str, float] = {}

    def wake(self) -> None:
        """There is something to send: called after a commit of this process."""
        self._wake.set()

    def stop(self) -> None:
        """What is committed is sent by the next start, or by another process."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Leads or waits to lead, until stopped; outages are retried, with backoff."""
        backoff = Backoff(*RETRY_SECONDS)
        while not self._stopping.is_set():
            try:
                self._lead_once()
                backoff.reset()
            except (SQLAlchemyError, KafkaError) as error:
                self.trouble = f"the outbox cannot be relayed ({type(error).__name__})"
                log.warning("%s; again in %.1f s", self.trouble, backoff.seconds)
                backoff.wait(self._stopping)

    def _lead_once(self) -> None:
        with self._engine.connect() as pooled:
            connection = pooled.execution_options(isolation_level="AUTOCOMMIT")
            try:
                # A lost acknowledgement costs a second sending, so a commit need not wait for disk.
                connection.execute(_SESSION)
                if connection.execute(_LOCK).scalar():
                    self._lead(connection)
                else:
                    self.trouble = None
                    self._stopping.wait(ELECTION_SECONDS)
            finally:
                # The lock and the setting belong to the session: it does not go back to the pool.
                connection.invalidate()

    def _lead(self, connection: Connection) -> None:
        producer = KafkaProducer(
            **topics.client_options(self._settings),
            client_id="backbone-relay",
            acks="all",
            enable_idempotence=True,
            # What is given to it goes out together, when it is flushed.
            linger_ms=1000,
            batch_size=256 * 1024,
            # Longer than a flush: no batch is given up while a later one of its partition, which
            # may hold later events of its keys, is still sent.
            delivery_timeout_ms=120_000,
            bootstrap_timeout_ms=10_000,
            request_timeout_ms=10_000,
            max_block_ms=10_000,
        )
        pause = POLL_SECONDS[0]
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                sent = self._relay_batch(connection, producer)
                self.trouble = self._missing()
                if sent:
                    pause = POLL_SECONDS[0]
                    if sent < FEW:
                        self._stopping.wait(GATHER_SECONDS)
                else:
                    self._wake.wait(pause)
                    pause = min(pause * POLL_GROWTH, POLL_SECONDS[1])
        finally:
            _abandon(producer)

    def _relay_batch(self, connection: Connection, producer: KafkaProducer) -> int:
        now = time.monotonic()
        held = [topic for topic, until in self._held.items() if until > now]
        rows = connection.execute(_NEXT, {"held": held, "size": BATCH_BYTES}).all()
        self._hold_missing(producer, {row.topic for row in rows})
        rows = [row for row in rows if row.topic not in self._held]
        if not rows:
            return 0
        spans = [_span(row) for row in rows if "traceparent" in row.attributes]
        futures = [
            producer.send(
                row.topic,
                key=row.key.encode(),
                value=bytes(row.data),
                headers=envelope.headers(row.attributes),
            )
            for row in rows
        ]
        producer.flush(timeout=FLUSH_SECONDS)
        acknowledged = [
            row.position
            for row, future in zip(rows, futures, strict=True)
            if future.is_done and future.succeeded()
        ]
        connection.execute(_DELETE, {"positions": acknowledged})
        PUBLISHED.inc(len(acknowledged))
        for span in spans:
            span.end()
        for future in futures:
            # The first failure ends this leadership: a new producer starts from what is left.
            future.get(timeout=0)
        return len(rows)

    def _hold_missing(self, producer: KafkaProducer, wanted: set[str]) -> None:
        """Holds the events of topics that Kafka lacks: those of the others go on."""
        for topic in wanted:
            try:
                producer.partitions_for(topic)
            except KafkaTimeoutError:
                self._held[topic] = time.monotonic() + HELD_SECONDS
                log.warning("Kafka has no topic %s: run `backbone topics apply`", topic)
            else:
                self._held.pop(topic, None)

    def _missing(self) -> str | None:
        names = ", ".join(sorted(self._held))
        return f"Kafka has no topic {names}: run `backbone topics apply`" if names else None


def _abandon(producer: KafkaProducer) -> None:
    """Closes a producer with all that it could not send: whoever leads next sends it again."""
    try:
        producer.close(timeout=1)
    except KafkaTimeoutError:
        # kafka-python 3.0.12 does not close what it cannot flush: in an outage, each leadership
        # would leave a thread behind, which sends all it holds once Kafka is back.
        producer._sender.force_close()


def _span(row: Any) -> trace.Span:
    """An event on its way, from its row in the outbox to Kafka's acknowledgement."""
    return telemetry.tracer.start_span(
        # A dead letter may be anything, even of no type.
        f"publish {row.attributes.get('type', '').rpartition('.')[2]}",
        context=telemetry.parent(row.attributes["traceparent"]),
        kind=trace.SpanKind.PRODUCER,
        attributes={"messaging.system": "kafka", "messaging.destination.name": row.topic},
        start_time=int(row.create_time.timestamp() * 1e9),
    )
