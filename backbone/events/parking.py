"""Where events wait that could not be applied, in order of their key; and where they end.

An event whose handler failed is parked, and so is every later one of its key while any is: other
keys flow on. The head of each key is tried again in the background, more and more slowly; after
its last attempt it goes to the dead letters, and the next one of its key becomes the head.
"""

import hashlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from backbone.backoff import pause
from backbone.events import envelope, topics
from backbone.events.publish import enqueue
from backbone.events.tables import dead_letters, parked
from backbone.settings import EventSettings

log = logging.getLogger(__name__)

LONGEST_PAUSE = timedelta(minutes=5)
HEADS = 100


def key_of(record: ConsumerRecord) -> str:
    """What keeps a record in order. One without a key has an order of its own."""
    if record.key is None:
        return f"{record.partition}@{record.offset}"
    if len(record.key) > envelope.MAX_KEY_BYTES:
        # No index of PostgreSQL's takes it.
        return f"sha256:{hashlib.sha256(record.key).hexdigest()}"
    return _text(record.key)


class Parking:
    """The parked events and the dead letters of a service, within one transaction."""

    def __init__(self, session: Session, consumer: str, settings: EventSettings) -> None:
        self._session = session
        self._consumer = consumer
        self._settings = settings

    def park(self, record: ConsumerRecord, cause: str = "") -> bool:
        """Parks a record: because it failed (`cause`), or behind another one of its key. False when
        it is parked already.
        """
        if cause:
            log.warning("parked %s: %s", _place(record), cause)
        added = self._session.execute(
            insert(parked)
            .values(
                **_columns(record),
                key=key_of(record),
                cause=cause,
                attempts=1 if cause else 0,
                next_attempt_time=func.now() + (self._pause(1) if cause else timedelta()),
            )
            .on_conflict_do_nothing()
            .returning(parked.c.position)
        )
        return added.first() is not None

    def bury(self, record: ConsumerRecord, cause: str) -> None:
        """Puts a record among the dead letters: the table, and the topic ``<topic>.dead``."""
        log.error("dead letter %s: %s", _place(record), cause)
        columns = _columns(record)
        buried = self._session.execute(
            insert(dead_letters)
            .values(**columns, key=key_of(record), cause=cause)
            .on_conflict_do_nothing()
            .returning(dead_letters.c.offset)
        )
        if buried.first() is not None:
            attributes, data = _letter(columns)
            attributes |= {"deadconsumer": self._consumer, "deadcause": cause}
            enqueue(self._session, topics.dead(record.topic), key_of(record), attributes, data)

    def heads(self) -> Sequence[int]:
        """Positions of the first parked event of each key, where its next attempt is due."""
        first = (
            select(parked.c.position, parked.c.next_attempt_time)
            .ext(distinct_on(parked.c.topic, parked.c.key))
            .order_by(parked.c.topic, parked.c.key, parked.c.position)
            .subquery()
        )
        due = select(first.c.position).where(first.c.next_attempt_time <= func.now())
        return self._session.scalars(due.order_by(first.c.next_attempt_time).limit(HEADS)).all()

    def take(self, position: int) -> Row[Any] | None:
        """The parked event at a position, locked; None when another process has it, or had it."""
        query = select(parked).where(parked.c.position == position)
        return self._session.execute(query.with_for_update(skip_locked=True)).one_or_none()

    def remove(self, position: int) -> None:
        self._session.execute(delete(parked).where(parked.c.position == position))

    def failed(self, row: Row[Any], cause: str) -> bool:
        """Counts a failed attempt: tried again later, or, true, dead after the last one."""
        attempts = row.attempts + 1
        if attempts >= self._settings.event_attempts:
            self.bury(as_record(row), f"{cause} (attempt {attempts})")
            self.remove(row.position)
            return True
        self._session.execute(
            update(parked)
            .where(parked.c.position == row.position)
            .values(
                attempts=attempts,
                cause=cause,
                next_attempt_time=func.now() + self._pause(attempts),
            )
        )
        return False

    def _pause(self, attempts: int) -> timedelta:
        return pause(attempts, timedelta(seconds=self._settings.event_pause), LONGEST_PAUSE)


def as_record(row: Row[Any]) -> ConsumerRecord:
    """A parked event as the record that it was."""
    headers = [(name, value.encode()) for name, value in row.headers]
    return ConsumerRecord(
        topic=row.topic,
        partition=row.partition,
        leader_epoch=-1,
        offset=row.offset,
        timestamp=0,
        timestamp_type=0,
        key=row.key.encode(),
        value=None if row.data is None else bytes(row.data),
        headers=headers,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        serialized_header_size=-1,
    )


def _columns(record: ConsumerRecord) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "headers": [[_text(name.encode()), _text(value)] for name, value in record.headers],
        "data": record.value,
    }


def _letter(columns: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """The attributes and the data of a dead letter for its topic.

    What is larger than an event may be is in the table alone: the topic might not take it, and
    the relay would try for ever.
    """
    headers, data = columns["headers"], columns["data"] or b""
    ours = {name.removeprefix("ce_"): value for name, value in headers if name.startswith("ce_")}
    if sum(len(name) + len(value) for name, value in headers) > envelope.MAX_ATTRIBUTES_BYTES:
        ours = {"deadheaders": "too large: see the table"}
    if len(data) > envelope.MAX_DATA_BYTES:
        return ours | {"deaddata": f"{len(data)} bytes: see the table"}, b""
    return ours, data


def _text(raw: bytes | None) -> str:
    """What PostgreSQL can keep of a record's bytes as text."""
    return (raw or b"").decode("utf-8", "replace").replace("\0", "\ufffd")


def _place(record: ConsumerRecord) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"
