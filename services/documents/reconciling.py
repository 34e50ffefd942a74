"""What a crash left: objects without a row, rows without an object, objects of refused documents.

An object comes before its row, so one without a row is either on its way or left behind: it is
removed once it is older than a grace. That grace is also what an operator has who brought an older
backup of the database back: `objects_without_rows` tells, before anything is gone.
"""

import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from prometheus_client import Counter, Gauge
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import text

from backbone.database import Transactions
from backbone.events import Publisher
from backbone.settings import PREFIX, load
from services.documents import s3
from services.documents.checks.verdict import Reason
from services.documents.content_row import State
from services.documents.deposits import Deposits
from services.documents.retention.locked import LockedObjects
from services.documents.store import Locked, ObjectStore

log = logging.getLogger(__name__)

PAGE = 1000
# A row that is younger may be of an object that was not there when the objects were listed.
YOUNG = timedelta(minutes=1)

UNOWNED = Gauge("objects_without_rows", "Objects of the vault without a row, in the last round.")
LOST = Gauge("documents_without_objects", "Available documents whose object is not there.")
RECONCILED = Counter("documents_reconciled_total", "What was set right, by what it was.", ["kind"])

_LOCK = text(
    "SELECT pg_try_advisory_xact_lock(hashtext('documents.reconcile'), hashtext(current_schema()))"
)


class ReconcileSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}RECONCILE_")

    every: float = Field(default=3600.0, gt=0, description="seconds between two rounds")
    grace: float = Field(
        default=7 * 86400.0, ge=0, description="seconds before an object without a row is removed"
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of the vault."""

    key: str
    modified: datetime


class Inventory(Protocol):
    """What the reconciliation needs of an object store beside its verbs."""

    def after(self, key: str) -> Iterator[Stored]:
        """The objects whose key is greater, in the order of their keys.

        Raises:
            Unavailable: the store does not answer.
        """


class S3Inventory:
    """An `Inventory` of the bucket of documents."""

    def __init__(self, settings: s3.StorageSettings) -> None:
        self._bucket = settings.bucket
        self._client = s3.connect(settings)

    def after(self, key: str) -> Iterator[Stored]:
        with s3.translated():
            for item in self._client.list_objects(
                bucket_name=self._bucket, recursive=True, start_after=key or None
            ):
                if _is_ours(key := str(item.object_name)):
                    yield Stored(key, item.last_modified or datetime.now(UTC))


def _is_ours(key: str) -> bool:
    try:
        return str(uuid.UUID(key)) == key
    except ValueError:
        return False


class Rounds:
    """Where this process is in its round, and when the next one begins."""

    def __init__(self, inventory: Inventory, settings: ReconcileSettings) -> None:
        self.inventory, self.settings = inventory, settings
        self.key, self.unowned, self.lost = "", 0, 0
        # What the last whole round saw.
        self.last_unowned = self.last_lost = 0
        self._next = time.monotonic() + settings.every

    def due(self) -> bool:
        return bool(self.key) or time.monotonic() >= self._next

    def end(self) -> None:
        """The round is over: what it saw is told."""
        self.last_unowned, self.last_lost = self.unowned, self.lost
        UNOWNED.set(self.unowned)
        LOST.set(self.lost)
        self.key, self.unowned, self.lost = "", 0, 0
        self._next = time.monotonic() + self.settings.every


class Reconciler:
    """One step of a round: so many objects, and the rows between them."""

    def __init__(
        self, db: Transactions, events: Publisher, store: ObjectStore, rounds: Rounds
    ) -> None:
        self._db, self._events, self._store, self._rounds = db, events, store, rounds

    def step(self) -> bool:
        """True while the round has more to see. One process at a time has a step."""
        rounds = self._rounds
        # What is listed was there before; its row, if it comes at all, comes soon.
        listed = datetime.now(UTC)
        objects = list(islice(rounds.inventory.after(rounds.key), PAGE))
        last = objects[-1].key if len(objects) == PAGE else ""
        with self._db.transaction() as session:
            if not session.scalar(_LOCK):
                return False
            known = Deposits(session).states_between(rounds.key, last)
            # They are known, and deleted when the store lets them.
            locked = LockedObjects(session).between(rounds.key, last)
        there = {item.key for item in objects}
        for item in (item for item in objects if item.key not in locked):
            self._object(item, known.get(item.key), listed)
        for key, (state, create_time) in known.items():
            if key not in there and create_time < listed - YOUNG:
                self._row(key, state)
        rounds.key = last
        if not last:
            rounds.end()
        return bool(last)

    def _object(self, item: Stored, row: tuple[str, datetime] | None, listed: datetime) -> None:
        if row is not None and row[0] != State.REFUSED:
            return
        if row is None:
            self._rounds.unowned += 1
            if item.modified > listed - timedelta(seconds=self._rounds.settings.grace):
                return
        try:
            self._store.delete(item.key)
        except Locked as lock:
            with self._db.transaction() as session:
                until = LockedObjects(session).add(item.key, lock)
            log.warning("object %s without a document is kept until %s", item.key, until)
            return
        RECONCILED.labels("object_without_row" if row is None else "object_refused").inc()
        log.warning("object %s is removed: it has no document that can be read", item.key)

    def _row(self, key: str, state: str) -> None:
        if state == State.AVAILABLE:
            # Nothing is decided about what people count on: somebody has to look.
            self._rounds.lost += 1
            log.error("document %s is available, and its object is not there", key)
        elif state == State.CHECKING:
            with self._db.transaction() as session:
                row = Deposits(session).to_check(key)
                if row is not None:
                    self._events.publish(row.refuse(Reason.CORRUPTED))
                    RECONCILED.labels("row_without_object").inc()


class Reconciling(DependencyProvider):  # type: ignore[misc]
    """Injects the `Rounds` of this process."""

    def setup(self) -> None:
        self._rounds = Rounds(S3Inventory(load(s3.StorageSettings)), load(ReconcileSettings))

    def get_dependency(self, worker_ctx: WorkerContext) -> Rounds:
        return self._rounds
