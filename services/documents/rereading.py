"""Reading again what the vault holds, so that damage is found before somebody needs the document.

Each content is read within a period, whole, by whichever process is free: the store's bytes must
open (authenticated encryption) and be those that were deposited (SHA-256). So many bytes in a turn,
so that people's readings go first. Whoever takes a content puts its next reading off by a lease:
a process that dies leaves it to another.
"""

import hashlib
import logging
import time
from datetime import timedelta

from administration.documents.v1 import events_pb2
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from prometheus_client import Counter, Gauge
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from backbone.database import Transactions
from backbone.errors import Damaged, Gone, Unavailable
from backbone.events import Publisher
from backbone.settings import PREFIX, load
from services.documents.content_row import ContentRow, State
from services.documents.contents import Contents

log = logging.getLogger(__name__)

# A turn of the loop.
TURN_SECONDS = 1.0
# Until another process may take up a content that one took.
LEASE = timedelta(hours=1)
# Readings that must find the same damage: it may be the reading.
READINGS = 2

REREAD = Counter("contents_reread_total", "Contents read again, by what came of it.", ["outcome"])
REREAD_BYTES = Counter("contents_reread_bytes_total", "Bytes that were read again.")
DAMAGED = Gauge("contents_damaged", "Contents that are known to be damaged.")
OVERDUE = Gauge("content_reread_overdue_seconds", "For how long the next content is due.")


class RereadSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}REREAD_")

    days: float = Field(default=90.0, gt=0, description="within which each content is read again")
    bytes_per_second: int = Field(
        default=8 * 1024**2, ge=1024, description="that one process reads again"
    )


class Reading:
    """One content, as far as it was read."""

    def __init__(self, row: ContentRow, failures: int = 0) -> None:
        self.row, self.failures = row, failures
        self.offset, self.digest = 0, hashlib.sha256()


class Rereading:
    """What this process reads again."""

    def __init__(self, settings: RereadSettings) -> None:
        self.settings = settings
        self.reading: Reading | None = None


class Rereader:
    """One turn."""

    def __init__(
        self, db: Transactions, events: Publisher, contents: Contents, state: Rereading
    ) -> None:
        self._db, self._events, self._contents, self._state = db, events, contents, state
        self._period = timedelta(days=state.settings.days)

    def turn(self) -> None:
        """Reads for at most a turn's worth of bytes."""
        left = int(self._state.settings.bytes_per_second * TURN_SECONDS)
        while left > 0:
            reading = self._state.reading = self._state.reading or self._next()
            if reading is None:
                return
            try:
                left -= self._read(reading, left)
            except Damaged:
                self._once_more(reading)
            except Gone:
                # Erased: there is nothing left to keep whole.
                self._end(reading, "erased", reread_time=func.now() + self._period)
            except Unavailable:
                # Nothing is known, and the next content would fare no better.
                self._end(reading, "unavailable", reread_time=func.now() + LEASE)
                return

    def _next(self) -> Reading | None:
        with self._db.transaction() as session:
            row = session.scalar(
                select(ContentRow)
                .where(
                    ContentRow.state == State.AVAILABLE,
                    ContentRow.verified_time <= func.now() - self._period,
                    or_(ContentRow.reread_time.is_(None), ContentRow.reread_time <= func.now()),
                )
                .order_by(ContentRow.verified_time)
                .limit(1)
                .with_for_update(skip_locked=True, key_share=True)
            )
            DAMAGED.set(_damaged_count(session))
            if row is None:
                OVERDUE.set(0)
                return None
            age = time.time() - row.verified_time.timestamp()
            OVERDUE.set(max(0.0, age - self._period.total_seconds()))
            longest = row.size_bytes / self._state.settings.bytes_per_second * READINGS
            _note(session, row, reread_time=func.now() + LEASE + timedelta(seconds=longest))
        return Reading(row)

    def _read(self, reading: Reading, limit: int) -> int:
        """Reads on, up to `limit` bytes; how many.

        Raises:
            Damaged: it is not what was deposited. Gone, Unavailable: as `Contents.get`.
        """
        row = reading.row
        length = min(limit, row.size_bytes - reading.offset)
        for chunk in self._contents.get(row, reading.offset, length):
            reading.digest.update(chunk)
            reading.offset += len(chunk)
            REREAD_BYTES.inc(len(chunk))
        if reading.offset == row.size_bytes:
            if reading.digest.hexdigest() != row.sha256:
                raise Damaged("The content is not what was deposited.")
            well = {"verified_time": func.now(), "reread_time": None, "damage_time": None}
            self._end(reading, "well", **well)
        return length

    def _once_more(self, reading: Reading) -> None:
        """Perhaps it was the reading; or its key was renewed meanwhile: the row is read too."""
        failures = reading.failures + 1
        if failures == READINGS:
            self._end(reading, "damaged", reread_time=func.now() + self._period)
            return
        with self._db.transaction() as session:
            row = session.scalar(_having(reading.row).limit(1))
        self._state.reading = Reading(row, failures) if row is not None else None

    def _end(self, reading: Reading, outcome: str, **noted: object) -> None:
        """Notes what came of a reading for every version that has this content."""
        self._state.reading = None
        REREAD.labels(outcome).inc()
        with self._db.transaction() as session:
            _note(session, reading.row, **noted)
            if outcome == "damaged":
                self._tell(session, reading.row)
            DAMAGED.set(_damaged_count(session))

    def _tell(self, session: Session, damaged: ContentRow) -> None:
        """Tells of each version once, until its content was found well again."""
        unknown = _having(damaged).where(ContentRow.damage_time.is_(None))
        for row in session.scalars(unknown.with_for_update(key_share=True)):
            row.damage_time = func.now()
            log.error("document %s, version %d, is damaged", row.told_id, row.version)
            event = events_pb2.DocumentDamaged(
                document_id=str(row.told_id), owner_id=str(row.owner_id), version=row.version
            )
            self._events.publish(event)


def _having(row: ContentRow) -> Select[ContentRow]:
    """The versions that have this content."""
    return select(ContentRow).where(ContentRow.content_id == row.content_id)


def _note(session: Session, row: ContentRow, **values: object) -> None:
    statement = update(ContentRow).where(ContentRow.content_id == row.content_id)
    session.execute(statement.values(**values), execution_options={"synchronize_session": False})


def _damaged_count(session: Session) -> int:
    query = select(func.count(ContentRow.content_id.distinct()))
    return session.scalar(query.where(ContentRow.damage_time.is_not(None))) or 0


class Rereads(DependencyProvider):  # type: ignore[misc]
    """Injects the `Rereading` of this process."""

    def setup(self) -> None:
        self._state = Rereading(load(RereadSettings))

    def get_dependency(self, worker_ctx: WorkerContext) -> Rereading:
        return self._state
