"""Feeds, as exchange stores them, within one transaction: a sequence for each topic."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, LargeBinary, String, delete, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from backbone.events import Received
from services.exchange.domain import cursor

# Of data in one page, and one event on top: a gRPC message holds 4 MiB, and JSON in a Struct takes
# up to seven times its text.
PAGE_BYTES = 256 * 1024
PURGE_BATCH = 5000


class FeedRow(Base):
    """A topic: how many events it has had, and up to which they are gone."""

    __tablename__ = "feeds"

    topic: Mapped[str] = mapped_column(String, primary_key=True)
    last_sequence: Mapped[int] = mapped_column(BigInteger)
    purged_sequence: Mapped[int] = mapped_column(BigInteger, default=0)


class FeedEventRow(Base):
    __tablename__ = "feed_events"

    topic: Mapped[str] = mapped_column(String, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    event_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    # The CloudEvents attributes as they came, and the data's JSON.
    attributes: Mapped[dict[str, str]] = mapped_column(JSONB)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )


class Feeds:
    def __init__(self, session: Session) -> None:
        self._session = session

    def append(self, topic: str, event: Received[Any]) -> int:
        """Adds an event; returns its sequence.

        The topic's row is locked until the commit: sequences become visible in their order and
        without a gap, which is what lets a reader go on from the last one it saw.
        """
        sequence = self._session.scalars(
            insert(FeedRow)
            .values(topic=topic, last_sequence=1, purged_sequence=0)
            .on_conflict_do_update(
                index_elements=["topic"], set_={"last_sequence": FeedRow.last_sequence + 1}
            )
            .returning(FeedRow.last_sequence)
        ).one()
        self._session.add(
            FeedEventRow(
                topic=topic,
                sequence=sequence,
                event_id=event.id,
                attributes=event.attributes,
                data=event.encoded,
                time=event.time,
            )
        )
        return sequence

    def after(self, topic: str, sequence: int, limit: int) -> Sequence[FeedEventRow]:
        """Events later than `sequence`, oldest first, about `PAGE_BYTES` of them at most.

        Raises:
            InvalidInput: CURSOR_EXPIRED: the next event is no longer kept.
        """
        size = func.octet_length(FeedEventRow.data)
        following = (
            select(
                FeedEventRow.sequence,
                (func.sum(size).over(order_by=FeedEventRow.sequence) - size).label("before"),
            )
            .where(FeedEventRow.topic == topic, FeedEventRow.sequence > sequence)
            .order_by(FeedEventRow.sequence)
            .limit(limit)
            .subquery()
        )
        query = (
            select(FeedEventRow)
            .join(following, following.c.sequence == FeedEventRow.sequence)
            .where(FeedEventRow.topic == topic, following.c.before < PAGE_BYTES)
            .order_by(FeedEventRow.sequence)
        )
        rows = self._session.scalars(query).all()
        # Sequences have no gap of their own: one that is there is a purge's.
        first = rows[0].sequence if rows else self._state(topic).purged_sequence + 1
        if first > sequence + 1:
            raise cursor.expired()
        return rows

    def next(self, topic: str, sequence: int) -> FeedEventRow | None:
        """The first event later than `sequence` that is kept."""
        query = (
            select(FeedEventRow)
            .where(FeedEventRow.topic == topic, FeedEventRow.sequence > sequence)
            .order_by(FeedEventRow.sequence)
            .limit(1)
        )
        return self._session.scalar(query)

    def start(self, topic: str, since: datetime | None) -> int:
        """Where a reader begins: before the oldest event that is kept, or that is not older."""
        state = self._state(topic)
        if since is None:
            return state.purged_sequence
        query = select(func.min(FeedEventRow.sequence)).where(
            FeedEventRow.topic == topic, FeedEventRow.time >= since
        )
        first = self._session.scalar(query)
        return state.last_sequence if first is None else first - 1

    def last_sequences(self, topics: Iterable[str]) -> dict[str, int]:
        """How far these topics have come; 0 for one that has had no event."""
        wanted = list(topics)
        rows = self._session.scalars(select(FeedRow).where(FeedRow.topic.in_(wanted)))
        return dict.fromkeys(wanted, 0) | {row.topic: row.last_sequence for row in rows}

    def purge(self, before: datetime) -> bool:
        """Forgets events that came before then, a batch of each topic; true when more may wait."""
        more = False
        for topic in self._session.scalars(select(FeedRow.topic).order_by(FeedRow.topic)).all():
            oldest = (
                select(FeedEventRow.sequence)
                .where(FeedEventRow.topic == topic, FeedEventRow.create_time < before)
                .order_by(FeedEventRow.sequence)
                .limit(PURGE_BATCH)
                .subquery()
            )
            last = self._session.scalar(select(func.max(oldest.c.sequence)))
            if last is None:
                continue
            gone = self._session.execute(
                delete(FeedEventRow)
                .where(FeedEventRow.topic == topic, FeedEventRow.sequence <= last)
                .returning(FeedEventRow.sequence)
                .execution_options(synchronize_session=False)
            ).all()
            self._session.execute(
                update(FeedRow).where(FeedRow.topic == topic).values(purged_sequence=last)
            )
            more = more or len(gone) >= PURGE_BATCH
        return more

    def _state(self, topic: str) -> FeedRow:
        found = self._session.get(FeedRow, topic, populate_existing=True)
        return found or FeedRow(topic=topic, last_sequence=0, purged_sequence=0)
