"""Applying events: effects, inbox and parking in one transaction.

A batch is applied whole first, as one commit costs a flush of the disk. If a handler fails it is
rolled back and applied again in parts, each with a savepoint: a part that fails is cut where it
did, down to the one event, which is parked; the rest goes through, together still. What is not an
event's fault (the database or another service is down) fails the batch: its caller waits and tries
again.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from prometheus_client import Counter, Histogram
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from backbone.database import Transactions, savepoint
from backbone.errors import Unavailable
from backbone.events import envelope
from backbone.events.envelope import EnvelopeError, Received
from backbone.events.parking import Parking, as_record, key_of
from backbone.events.tables import inbox
from backbone.settings import EventSettings

log = logging.getLogger(__name__)

OUTAGES = (Unavailable, OperationalError, InterfaceError)

CONSUMED = Counter("events_consumed_total", "Events by type and outcome.", ["type", "outcome"])
LATENCY = Histogram(
    "events_latency_seconds",
    "From the event's time to the end of its handler.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)

# Records that share a savepoint when their batch has failed: what is done again for one of them.
PART = 50

# All in one statement, of one snapshot: the ids of a batch that are entered in the inbox, and the
# keys that wait behind a parked event, none of whose ids is. What is no event has no id.
_ENTER = text("""
    WITH batch AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS text[])
        ) AS batch (id, topic, key)
    ), waiting AS (
        SELECT DISTINCT topic, key FROM batch
        WHERE EXISTS (
            SELECT FROM parked WHERE (parked.topic, parked.key) = (batch.topic, batch.key)
        )
    ), entered AS (
        INSERT INTO inbox (event_id)
        SELECT id FROM batch
        WHERE id IS NOT NULL AND NOT EXISTS (
            SELECT FROM waiting WHERE (waiting.topic, waiting.key) = (batch.topic, batch.key)
        )
        ON CONFLICT DO NOTHING
        RETURNING event_id
    )
    SELECT event_id, NULL AS topic, NULL AS key FROM entered
    UNION ALL SELECT NULL, topic, key FROM waiting
""")
_ENTER_ONE = insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)

Handler = Callable[[Received[Any]], None]


class Applier:
    """Applies records with the handlers of a service, by event type."""

    def __init__(
        self,
        consumer: str,
        transactions: Transactions,
        handlers: Mapping[str, Handler],
        settings: EventSettings,
    ) -> None:
        self._consumer = consumer
        self._transactions = transactions
        self._handlers = handlers
        self._settings = settings

    def apply(self, records: Sequence[ConsumerRecord]) -> None:
        """Applies records, in the order given; parks or buries those that fail.

        Raises:
            Unavailable, OperationalError, InterfaceError: an outage; what was applied by then
                is in the inbox, and the records can be given again.
        """
        ours = [record for record in records if self._concerns(record)]
        if ours and not self._whole(ours):
            self._in_parts(ours)

    def retry_parked(self) -> bool:
        """Tries the head of each key whose attempt is due; true when there was one.

        Raises:
            Unavailable, OperationalError, InterfaceError: an outage; no attempt is counted.
        """
        with self._transactions.transaction() as session:
            heads = self._parking(session).heads()
        for position in heads:
            with self._transactions.transaction() as session:
                self._retry(session, position)
        return bool(heads)

    def _concerns(self, record: ConsumerRecord) -> bool:
        name = envelope.type_of(record.headers)
        # Neither another event of the entity, which this service does not read, nor a record that
        # is no event at all: decoding it tells what is wrong with it.
        return name in self._handlers or name is None or not envelope.known(name)

    def _whole(self, records: Sequence[ConsumerRecord]) -> bool:
        """Whether none of them fails; if one does, nothing was done."""
        try:
            with self._transactions.transaction() as session:
                for _ in self._each(session, records):
                    pass
        except OUTAGES:
            raise
        except Exception:  # noqa: BLE001 - met again, and told, once it is known whose it is
            return False
        return True

    def _in_parts(self, records: Sequence[ConsumerRecord]) -> None:
        try:
            with self._transactions.transaction() as session:
                parts = [records[at : at + PART] for at in range(0, len(records), PART)]
                # The next one is the last of the list.
                parts.reverse()
                while parts:
                    part = parts.pop()
                    parts += reversed(self._part(session, part))
        except OUTAGES:
            raise
        except Exception as error:  # noqa: BLE001 - the commit's: it does not say for which record
            if len(records) > 1:
                for record in records:
                    self._in_parts([record])
                return
            with self._transactions.transaction() as session:
                self._set_aside(session, records[0], error)

    def _part(
        self, session: Session, records: Sequence[ConsumerRecord]
    ) -> list[Sequence[ConsumerRecord]]:
        """Applies records, or sets the one of them aside; the parts that are to be applied instead
        if there are more, and one failed.
        """
        done = 0
        try:
            with savepoint():
                for _ in self._each(session, records):
                    done += 1
        except OUTAGES:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one record's
            if len(records) == 1:
                self._set_aside(session, records[0], error)
                return []
            # After the last one: what they wrote failed together, and does not say whose it is.
            at = done if done < len(records) else len(records) // 2
            return [
                part for part in (records[:at], records[at : at + 1], records[at + 1 :]) if part
            ]
        return []

    def _each(self, session: Session, records: Sequence[ConsumerRecord]) -> Iterator[None]:
        """Applies records together; a step for each of them."""
        batch = [_read(record) for record in records]
        keys = [(record.topic, key_of(record)) for record in records]
        ids = {
            "ids": [None if isinstance(read, EnvelopeError) else read.id for read in batch],
            "topics": [topic for topic, _ in keys],
            "keys": [key for _, key in keys],
        }
        rows = session.connection().execute(_ENTER, ids).all()
        fresh = {row.event_id for row in rows if row.event_id is not None}
        waiting = {(row.topic, row.key) for row in rows if row.event_id is None}
        for record, key, read in zip(records, keys, batch, strict=True):
            if key in waiting:
                self._park(self._parking(session), record)
            elif isinstance(read, EnvelopeError):
                self._bury(self._parking(session), record, read)
            else:
                self._handle_once(read, fresh)
            yield

    def _set_aside(self, session: Session, record: ConsumerRecord, error: Exception) -> None:
        log.warning("an event failed", exc_info=error)
        self._park(self._parking(session), record, type(error).__name__)

    def _retry(self, session: Session, position: int) -> None:
        parking = self._parking(session)
        row = parking.take(position)
        if row is None:
            return
        record = as_record(row)
        try:
            with savepoint():
                self._apply_one(session, record)
        except OUTAGES:
            raise
        except EnvelopeError as error:
            # The contracts that this process knows are not those that it was parked with.
            self._bury(parking, record, error)
            parking.remove(position)
        except Exception as error:
            log.warning("a parked event failed, attempt %d", row.attempts + 1, exc_info=error)
            if parking.failed(row, type(error).__name__):
                self._count(record, "dead")
        else:
            parking.remove(position)

    def _apply_one(self, session: Session, record: ConsumerRecord) -> None:
        received = envelope.decode(record.headers, record.value)
        fresh = session.scalars(_ENTER_ONE, {"event_id": received.id})
        self._handle_once(received, set(fresh))

    def _handle_once(self, received: Received[Any], fresh: set[uuid.UUID]) -> None:
        if received.id not in fresh:
            CONSUMED.labels(received.type, "duplicate").inc()
            return
        # Once, even if the same batch holds it twice.
        fresh.remove(received.id)
        self._handlers[received.type](received)
        CONSUMED.labels(received.type, "applied").inc()
        LATENCY.observe(max(0.0, time.time() - received.time.timestamp()))

    def _park(self, parking: Parking, record: ConsumerRecord, cause: str = "") -> None:
        self._count(record, "parked")
        parking.park(record, cause)

    def _bury(self, parking: Parking, record: ConsumerRecord, error: EnvelopeError) -> None:
        # It will not read better later, and nothing of its key depends on it.
        self._count(record, "dead")
        parking.bury(record, str(error))

    def _parking(self, session: Session) -> Parking:
        return Parking(session, self._consumer, self._settings)

    def _count(self, record: ConsumerRecord, outcome: str) -> None:
        name = envelope.type_of(record.headers)
        # Anything can be in a header: only types that are known become a series.
        CONSUMED.labels(name if name in self._handlers else "unknown", outcome).inc()


def _read(record: ConsumerRecord) -> Received[Any] | EnvelopeError:
    """The event that a record is, or why it is none."""
    try:
        return envelope.decode(record.headers, record.value)
    except EnvelopeError as error:
        return error
