"""Consuming: ``@subscribe(Event)`` on a method that gets a `Received[Event]`.

The row that says "this event was applied" is in the transaction of the handler's own effects, and
Kafka's offset is committed after it: an event may arrive twice and acts once. A handler that
fails is tried again with backoff; then the event goes to `dead_letters` with its cause, and the
partition goes on. What is not the event's fault (the database or another service is down) is
waited for, however long.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from nameko.extensions import Entrypoint, SharedExtension
from opentelemetry import trace
from prometheus_client import Counter, Histogram
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError

from backbone import telemetry
from backbone.backoff import Backoff
from backbone.database import DatabasePool
from backbone.errors import Unavailable
from backbone.events import envelope, topics
from backbone.events.envelope import EnvelopeError, Received
from backbone.events.tables import dead_letters, inbox
from backbone.settings import KafkaSettings, load

log = logging.getLogger(__name__)

BATCH = 500
POLL_SECONDS = 0.2
ATTEMPTS = 5
BACKOFF_SECONDS = (0.1, 2.0)
OUTAGES = (Unavailable, OperationalError, InterfaceError)

CONSUMED = Counter("events_consumed_total", "Events by type and outcome.", ["type", "outcome"])
LATENCY = Histogram(
    "events_latency_seconds",
    "From the event's time to the end of its handler.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)


class Stopped(Exception):
    """The service stops while an event is being retried: it will be delivered again."""


class EventConsumer(SharedExtension):  # type: ignore[misc]
    """The consumer group of a service: one thread, a partition at a time."""

    pool = DatabasePool()

    def __init__(self) -> None:
        self._handlers: dict[str, Subscribe] = {}
        self._topics: set[str] = set()
        self._stopping = threading.Event()
        self._quiet = threading.Event()
        self._started = False
        self.trouble: str | None = None

    def register(self, event: type[Message], entrypoint: "Subscribe") -> None:
        """Adds the handler of one event type; before `start`.

        Raises:
            ValueError: the type has a handler already.
        """
        name = event.DESCRIPTOR.full_name
        if name in self._handlers:
            raise ValueError(f"{name} has two handlers in {self.container.service_name}")
        self._handlers[name] = entrypoint
        self._topics.add(topics.internal(event.DESCRIPTOR))

    def start(self) -> None:
        if self._handlers and not self._started:
            self._started = True
            self.container.spawn_managed_thread(self._run, identifier="consumer")

    def stop(self) -> None:
        """Finishes the event at hand, commits, leaves the group."""
        self._stopping.set()
        if self._started:
            self._quiet.wait()

    def kill(self) -> None:
        self._stopping.set()

    def check_ready(self) -> str | None:
        return self.trouble

    def _run(self) -> None:
        backoff = Backoff(*BACKOFF_SECONDS)
        try:
            while not self._stopping.is_set():
                try:
                    self._consume()
                    backoff.reset()
                except (KafkaError, *OUTAGES) as error:
                    self.trouble = f"events cannot be consumed ({type(error).__name__})"
                    log.warning("%s; again in %.1f s", self.trouble, backoff.seconds)
                    backoff.wait(self._stopping)
        finally:
            self._quiet.set()

    def _consume(self) -> None:
        consumer = KafkaConsumer(
            *sorted(self._topics),
            **topics.client_options(load(KafkaSettings)),
            group_id=self.container.service_name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=BATCH,
            max_poll_interval_ms=300_000,
            # A topic created after the service has started is seen within this time.
            metadata_max_age_ms=30_000,
        )
        try:
            while not self._stopping.is_set():
                polled = consumer.poll(timeout_ms=int(POLL_SECONDS * 1000))
                self.trouble = None
                for partition, records in polled.items():
                    self._deliver(consumer, partition, records)
        except Stopped:
            log.info("stopped in the middle of a batch; it will be delivered again")
        finally:
            consumer.close(autocommit=False)

    def _deliver(
        self, consumer: KafkaConsumer, partition: TopicPartition, records: Sequence[ConsumerRecord]
    ) -> None:
        """Applies a partition's records in order and commits their offsets.

        All of them in one transaction, as one commit costs a disk's flush; if any fails, one by
        one, each with its own retries.
        """
        try:
            self._apply(records)
        except Exception as error:  # noqa: BLE001 - whatever it is, each record is tried alone
            if len(records) > 1:
                log.info(
                    "a batch of %d failed (%s): one by one", len(records), type(error).__name__
                )
            for record in records:
                self._insist(record)
        last = records[-1]
        consumer.commit({partition: OffsetAndMetadata(last.offset + 1, "", last.leader_epoch)})

    def _apply(self, records: Sequence[ConsumerRecord]) -> None:
        known = []
        for record in records:
            name = envelope.type_of(record.headers)
            # A record that does not say what it is is no event, and its decoding says so.
            if name is None or name in self._handlers:
                received = envelope.decode(record.headers, record.value)
                known.append((self._handlers[received.type], received))
        if not known:
            return
        assert self.pool.transactions is not None
        with self.pool.transactions.transaction() as session:
            statement = insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)
            rows = [{"event_id": received.id} for _, received in known]
            fresh = set(session.scalars(statement.values(rows)))
            for entrypoint, received in known:
                if received.id in fresh:
                    # Once, even if the same batch holds it twice.
                    fresh.remove(received.id)
                    self._handle(entrypoint, received)
                else:
                    CONSUMED.labels(received.type, "duplicate").inc()

    def _handle(self, entrypoint: "Subscribe", received: Received[Any]) -> None:
        short = received.type.rpartition(".")[2]
        with (
            telemetry.tracer.start_as_current_span(
                f"process {short}",
                context=telemetry.parent(received.traceparent),
                kind=trace.SpanKind.CONSUMER,
                attributes={"messaging.system": "kafka", "messaging.message.id": str(received.id)},
                record_exception=False,
            ),
            self.container.worker(entrypoint, {"event": received}) as method,
        ):
            method(received)
        CONSUMED.labels(received.type, "applied").inc()
        LATENCY.observe(max(0.0, time.time() - received.time.timestamp()))

    def _insist(self, record: ConsumerRecord) -> None:
        attempt, backoff = 0, Backoff(*BACKOFF_SECONDS)
        while True:
            attempt += 1
            try:
                self._apply([record])
            except OUTAGES as error:
                log.warning("an event waits for an outage to end: %s", type(error).__name__)
            except EnvelopeError as error:
                self._bury(record, str(error))
                return
            except Exception as error:
                log.warning("an event failed, attempt %d of %d", attempt, ATTEMPTS, exc_info=True)
                if attempt >= ATTEMPTS:
                    self._bury(record, f"{type(error).__name__} after {attempt} attempts")
                    return
            else:
                return
            if backoff.wait(self._stopping):
                raise Stopped

    def _bury(self, record: ConsumerRecord, cause: str) -> None:
        log.error(
            "dead letter: %s[%d]@%d: %s", record.topic, record.partition, record.offset, cause
        )
        CONSUMED.labels(envelope.type_of(record.headers) or "unknown", "dead").inc()
        assert self.pool.transactions is not None
        with self.pool.transactions.transaction() as session:
            session.execute(
                insert(dead_letters).on_conflict_do_nothing(),
                {
                    "topic": record.topic,
                    "partition": record.partition,
                    "offset": record.offset,
                    "key": _text(record.key),
                    "headers": [[_text(k.encode()), _text(v)] for k, v in record.headers],
                    "data": record.value,
                    "cause": cause,
                },
            )


def _text(raw: bytes | None) -> str | None:
    """What PostgreSQL can keep of a record's bytes as text."""
    return None if raw is None else raw.decode("utf-8", "replace").replace("\0", "\ufffd")


class Subscribe(Entrypoint):  # type: ignore[misc]
    """The entrypoint of one event type's handler."""

    consumer = EventConsumer()

    def __init__(self, event: type[Message], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event = event

    def setup(self) -> None:
        self.consumer.register(self.event, self)

    def start(self) -> None:
        # Not the consumer's own `start`: by now every handler is registered.
        self.consumer.start()

    def stop(self) -> None:
        self.consumer.stop()


Method = TypeVar("Method", bound=Callable[..., None])


def subscribe(event: type[Message]) -> Callable[[Method], Method]:
    """Decorates the handler of an event type: ``def on_…(self, event: Received[Event])``."""
    return Subscribe.decorator(event)  # type: ignore[no-any-return]
