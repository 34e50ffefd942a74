"""What an operator does with the events of one consumer: look, retry, skip, replay."""

import inspect
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from sqlalchemy import delete, exists, func, select, update

from backbone.database import Transactions
from backbone.events import envelope, topics
from backbone.events.parking import Parking, as_record
from backbone.events.subscribe import Subscribe
from backbone.events.tables import dead_letters, inbox, parked
from backbone.runner import service_class
from backbone.settings import EventSettings, KafkaSettings

Line = dict[str, Any]


def subscriptions(consumer: str) -> dict[str, str]:
    """The event types that a service handles, each with its topic.

    Raises:
        LookupError: no such service, or one that handles no event.
    """
    found = {
        entrypoint.event.DESCRIPTOR.full_name: topics.internal(entrypoint.event.DESCRIPTOR)
        for _, method in inspect.getmembers(service_class(consumer), inspect.isfunction)
        for entrypoint in getattr(method, ENTRYPOINT_EXTENSIONS_ATTR, ())
        if isinstance(entrypoint, Subscribe)
    }
    if not found:
        raise LookupError(f"`{consumer}` handles no event")
    return found


class Desk:
    """The parked events and dead letters in one consumer's schema."""

    def __init__(
        self, consumer: str, transactions: Transactions, events: EventSettings, kafka: KafkaSettings
    ) -> None:
        self._consumer = consumer
        self._transactions = transactions
        self._events = events
        self._kafka = kafka
        self._subscriptions = subscriptions(consumer)

    def parked(self) -> list[Line]:
        """Every parked event, by key and in order."""
        query = select(parked).order_by(parked.c.topic, parked.c.key, parked.c.position)
        with self._transactions.transaction() as session:
            return [
                {
                    "topic": row.topic,
                    "key": row.key,
                    "type": _type(row),
                    "attempts": row.attempts,
                    "cause": row.cause or "waits behind another of its key",
                    "next": row.next_attempt_time.isoformat(timespec="seconds"),
                }
                for row in session.execute(query)
            ]

    def dead(self) -> list[Line]:
        """Every dead letter, oldest first."""
        query = select(dead_letters).order_by(dead_letters.c.create_time)
        with self._transactions.transaction() as session:
            return [
                {
                    "topic": row.topic,
                    "place": f"{row.partition}@{row.offset}",
                    "key": row.key,
                    "type": _type(row),
                    "cause": row.cause,
                    "died": row.create_time.isoformat(timespec="seconds"),
                }
                for row in session.execute(query)
            ]

    def retry(self, key: str | None) -> int:
        """Makes parked events due now, and parks dead letters again; of one key, or all.

        A dead letter's later events may have been applied already: its place in the order of its
        key is lost, which is the operator's to accept.
        """
        with self._transactions.transaction() as session:
            raised = delete(dead_letters).returning(dead_letters)
            due = update(parked).values(next_attempt_time=func.now()).returning(parked.c.position)
            if key is not None:
                raised, due = (
                    raised.where(dead_letters.c.key == key),
                    due.where(parked.c.key == key),
                )
            parking = Parking(session, self._consumer, self._events)
            rows = sorted(
                session.execute(raised), key=lambda row: (row.topic, row.partition, row.offset)
            )
            count = len(session.execute(due).all())
            for row in rows:
                parking.park(as_record(row))
            return len(rows) + count

    def skip(self, key: str) -> bool:
        """Sends the parked head of a key to the dead letters, so that the next one is tried; false
        when nothing of this key is parked.
        """
        with self._transactions.transaction() as session:
            query = select(parked).where(parked.c.key == key).order_by(parked.c.position).limit(1)
            row = session.execute(query.with_for_update()).one_or_none()
            if row is None:
                return False
            parking = Parking(session, self._consumer, self._events)
            parking.bury(as_record(row), f"skipped by an operator; {row.cause}")
            parking.remove(row.position)
            return True

    def replay(self, since: datetime) -> Iterator[tuple[int, int, int]]:
        """Reads the consumer's topics again from a moment and parks, to be applied now, every event
        that was never applied. Those that were, or wait to be, are left alone: replaying twice
        changes nothing.

        Yields, as it goes: records read, records in all, events parked.
        """
        reader = KafkaConsumer(**topics.client_options(self._kafka), enable_auto_commit=False)
        try:
            ends = _from(reader, set(self._subscriptions.values()), since)
            total = sum(end - reader.position(place) for place, end in ends.items())
            read = found = 0
            while any(reader.position(place) < end for place, end in ends.items()):
                for place, records in reader.poll(timeout_ms=1000).items():
                    fresh = [record for record in records if record.offset < ends[place]]
                    read += len(fresh)
                    found += self._park_unapplied(fresh)
                yield read, total, found
        finally:
            reader.close(autocommit=False)

    def _park_unapplied(self, records: list[Any]) -> int:
        count = 0
        with self._transactions.transaction() as session:
            parking = Parking(session, self._consumer, self._events)
            for record in records:
                if envelope.type_of(record.headers) not in self._subscriptions:
                    continue
                try:
                    received = envelope.decode(record.headers, record.value)
                except envelope.EnvelopeError:
                    # It is among the dead letters, and reads no better today.
                    continue
                if not session.scalar(select(exists().where(inbox.c.event_id == received.id))):
                    count += parking.park(record)
        return count

    def lag(self) -> list[Line]:
        """How far the consumer group is behind, by partition."""
        admin = KafkaAdminClient(**topics.client_options(self._kafka))
        reader = KafkaConsumer(**topics.client_options(self._kafka))
        try:
            committed = admin.list_group_offsets(self._consumer)[self._consumer]
            places = _partitions(reader, set(self._subscriptions.values()))
            ends = reader.end_offsets(places)
            lines = []
            for place in places:
                known = committed.get(place)
                offset = max(0, known.offset) if known is not None else 0
                lines.append(
                    {
                        "topic": place.topic,
                        "partition": place.partition,
                        "committed": offset,
                        "end": ends[place],
                        "lag": ends[place] - offset,
                    }
                )
            return lines
        finally:
            reader.close(autocommit=False)
            admin.close()


def tail(
    kafka: KafkaSettings, wanted: set[str], since: datetime | None, follow: bool
) -> Iterator[Line]:
    """Events of topics as they are on Kafka, from a moment on, or from now on.

    Raises:
        LookupError: Kafka lacks one of the topics.
    """
    reader = KafkaConsumer(**topics.client_options(kafka), enable_auto_commit=False)
    try:
        if missing := [topic for topic in sorted(wanted) if not _partitions(reader, {topic})]:
            raise LookupError(
                f"Kafka has no topic {', '.join(missing)}: `backbone topics plan` names those that"
                " there should be"
            )
        ends = _from(reader, wanted, since)
        while follow or any(reader.position(place) < end for place, end in ends.items()):
            for place, records in reader.poll(timeout_ms=500).items():
                for record in records:
                    yield {
                        "topic": place.topic,
                        "place": f"{place.partition}@{record.offset}",
                        **{
                            name.removeprefix("ce_"): value.decode("utf-8", "replace")
                            for name, value in record.headers
                            if name in ("ce_time", "ce_id", "ce_type")
                        },
                        "data": (record.value or b"").decode("utf-8", "replace"),
                    }
    finally:
        reader.close(autocommit=False)


def _partitions(reader: KafkaConsumer, wanted: set[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic in sorted(wanted)
        for number in sorted(reader.partitions_for_topic(topic) or ())
    ]


def _from(
    reader: KafkaConsumer, wanted: set[str], since: datetime | None
) -> dict[TopicPartition, int]:
    """Places a reader at a moment (None: now); returns where each partition ends now."""
    places = _partitions(reader, wanted)
    reader.assign(places)
    ends: dict[TopicPartition, int] = reader.end_offsets(places)
    starts = {}
    if since is not None:
        starts = reader.offsets_for_times(dict.fromkeys(places, int(since.timestamp() * 1000)))
    for place in places:
        found = starts.get(place)
        reader.seek(place, found.offset if found is not None else ends[place])
    return ends


def _type(row: Any) -> str:
    return next((value for name, value in row.headers if name == "ce_type"), "?")
