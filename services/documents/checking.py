"""Checking deposits: each once, by whichever replica is free, before anybody can read it."""

import logging
import threading
import time
from collections.abc import Iterable

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from opentelemetry import trace
from prometheus_client import Counter, Gauge, Histogram
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import telemetry
from backbone.database import Transactions, after_commit
from backbone.errors import Damaged, DomainError, Unavailable
from backbone.events import Publisher
from backbone.settings import PREFIX, load
from services.documents.antivirus import Antivirus, AntivirusSettings, Clamd
from services.documents.checks import pipeline
from services.documents.checks.archives import Limits
from services.documents.checks.pipeline import Choice, Passed, Policy, Subject
from services.documents.checks.verdict import Reason, Refused
from services.documents.content_row import ContentRow
from services.documents.contents import Contents
from services.documents.deposits import Deposits
from services.documents.domain.deposit import Announcement, Intake
from services.documents.finding.reader.kinds import module_of
from services.documents.quarantine import Quarantine
from services.documents.quotas import hold_payers
from services.documents.store import ObjectStore
from services.documents.versions import VersionRow, Versions

log = logging.getLogger(__name__)

# How often deposits are looked for that another process took, or left.
LOOK_SECONDS = 1.0
# For how long a step goes on with one more deposit.
MOMENT_SECONDS = 0.5
# Of checks that fail by themselves, and of readings that give other bytes than were deposited, or
# less: the pauses between them last a second or two.
MAX_FAILURES = 3

CHECKED = Counter("documents_checked_total", "Documents checked, by what came of it.", ["outcome"])
DURATION = Histogram(
    "document_check_seconds",
    "From the beginning of a check to its end.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120),
)
WAITING = Gauge("document_check_oldest_seconds", "Age of the oldest deposit that is not checked.")
ANTIVIRUS_UP = Gauge("antivirus_up", "1 when the antivirus answered last, 0 when it did not.")


class CheckSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}CHECKS_")

    macros: Choice = Field(default=Choice.REMARK, description="documents with macros")
    not_scanned: Choice = Field(
        default=Choice.REFUSE, description="documents beyond what the antivirus can scan"
    )
    archive_entries: int = Field(default=10_000, ge=1, description="of an archive, all layers")
    archive_bytes: int = Field(default=1024**3, ge=1, description="unpacked, all layers")
    archive_ratio: int = Field(default=200, ge=1, description="unpacked to packed")
    archive_layers: int = Field(default=3, ge=1, description="archives within archives")

    def policy(self) -> Policy:
        limits = Limits(
            entries=self.archive_entries,
            unpacked_bytes=self.archive_bytes,
            ratio=self.archive_ratio,
            layers=self.archive_layers,
        )
        return Policy(self.macros, self.not_scanned, limits)


class Checks:
    """How a process checks: by which antivirus, by which policy; and what wakes its checkers."""

    def __init__(self, antivirus: Antivirus, policy: Policy) -> None:
        self.antivirus, self.policy = antivirus, policy
        self._bell = threading.Semaphore(0)
        # Set when the antivirus failed: it is asked whether it is back before a deposit is.
        self.doubt = True

    def limit(self, limit: int) -> int:
        """The largest document that can be available, where `limit` is the largest otherwise."""
        if self.policy.not_scanned is Choice.REMARK:
            return limit
        return min(limit, self.antivirus.max_bytes)

    def ring(self) -> None:
        """There is something to check."""
        self._bell.release()

    def wait(self, timeout: float) -> None:
        """Until there may be something to check, or `timeout` seconds."""
        self._bell.acquire(timeout=timeout)
        # One step checks many.
        while self._bell.acquire(blocking=False):
            pass

    def possible(self) -> bool:
        """Whether deposits can be checked now."""
        if self.doubt:
            self.doubt = self.antivirus.missing() is not None
            ANTIVIRUS_UP.set(0 if self.doubt else 1)
        return not self.doubt


class Checker:
    """One step of checking."""

    def __init__(
        self,
        db: Transactions,
        events: Publisher,
        store: ObjectStore,
        contents: Contents,
        quarantine: Quarantine,
        checks: Checks,
    ) -> None:
        self._db, self._events, self._store, self._contents = db, events, store, contents
        self._quarantine, self._checks = quarantine, checks

    def step(self) -> bool:
        """Checks a deposit that is due, or takes it out of the quarantine for that, and goes on
        with a few more for a moment; False when there was none, or no antivirus.

        The rows are locked from beginning to end: a check has one process, and one that dies
        leaves the deposits to another at once.
        """
        possible, began = self._checks.possible(), time.monotonic()
        moved, refused = list[str](), list[ContentRow]()
        with self._db.transaction() as session:
            deposits = Deposits(session)
            # What is in the quarantine is moved into the vault with or without an antivirus.
            rows = deposits.next_to_check(quarantined=not possible)
            if not rows:
                oldest = deposits.oldest_unchecked()
                WAITING.set(max(0.0, time.time() - oldest.timestamp()) if oldest else 0.0)
                return False
            for row in rows:
                moving = row.quarantined
                if self._move(row) if moving else self._check(row, Versions(session)):
                    refused.append(row)
                if moving and not row.quarantined:
                    moved.append(row.key)
                if self._checks.doubt or time.monotonic() - began > MOMENT_SECONDS:
                    break
            # The payers before the events' keys, which are locked last: a deposit does it so too.
            hold_payers(session, {row.payer for row in refused})
            session.flush()
        for key in moved:
            self._quarantine.empty(key)
        for row in refused:
            # Should this fail, the reconciliation does it: nobody can read them meanwhile.
            self._store.delete(row.key)
        return True

    def _move(self, row: ContentRow) -> bool:
        """Takes a deposit from the quarantine into the vault, where it is checked next; true when
        it is not what was announced, reading after reading, and so refused.
        """
        announced = Announcement(row.name, row.media_type, row.size_bytes, row.sha256)
        try:
            keys = sorted(self._quarantine.sizes(row.key))
            intake = Intake(announced, self._quarantine.read(keys), row.size_bytes)
            self._contents.put(row, intake, row.size_bytes)
        except Unavailable:
            return self._later(row, "later_unavailable")
        except DomainError as error:
            if self._once_more(row):
                # Perhaps it was the reading.
                return self._later(row, "later_corrupted")
            log.warning("document %s is refused: %s", row.told_id, error.reason)
            row.quarantined = False
            return self._refuse(row, Reason.CORRUPTED)
        row.quarantined, row.check_failures = False, 0
        after_commit(self._checks.ring)
        return False

    def _check(self, row: ContentRow, versions: Versions) -> bool:
        """Gives the row its new state, or a later time to be checked; true when it is refused."""
        parent = telemetry.parent(row.traceparent)
        span = telemetry.entry_span("check document", parent, trace.SpanKind.INTERNAL)
        with telemetry.entered(span), DURATION.time():
            try:
                passed = self._passed(row)
            except (Refused, Damaged) as error:
                reason = error.reason if isinstance(error, Refused) else Reason.CORRUPTED
                if reason is Reason.CORRUPTED and self._once_more(row):
                    # Perhaps it was the reading.
                    return self._later(row, "later_corrupted")
                log.warning("document %s is refused: %s", row.told_id, error)
                return self._refuse(row, reason)
            except Unavailable:
                # Neither the document's fault nor ours: it waits, however long.
                self._checks.doubt = True
                return self._later(row, "later_unavailable")
            except Exception:
                log.exception("document %s cannot be checked", row.told_id)
                if self._once_more(row):
                    return self._later(row, "later_failed")
                return self._refuse(row, Reason.UNCHECKABLE)
            CHECKED.labels("available").inc()
            row.to_read = module_of(row.media_type, passed.head) is not None
            self._events.publish(row.accept(passed.remarks))
            if isinstance(row, VersionRow):
                versions.accepted(row)
        return False

    def _passed(self, row: ContentRow) -> Passed:
        def read(offset: int, length: int) -> Iterable[bytes]:
            return self._contents.get(row, offset, length)

        subject = Subject(row.name, row.media_type, row.size_bytes, row.sha256)
        return pipeline.check(subject, read, self._checks.antivirus.scan, self._checks.policy)

    def _once_more(self, row: ContentRow) -> bool:
        row.check_failures += 1
        return row.check_failures < MAX_FAILURES

    def _later(self, row: ContentRow, outcome: str) -> bool:
        CHECKED.labels(outcome).inc()
        row.check_later()
        return False

    def _refuse(self, row: ContentRow, reason: Reason) -> bool:
        CHECKED.labels(reason.lower()).inc()
        self._events.publish(row.refuse(reason))
        return True


class Checking(DependencyProvider):  # type: ignore[misc]
    """Injects the `Checks`. Without the address of an antivirus the service does not start."""

    def setup(self) -> None:
        policy = load(CheckSettings).policy()
        self._checks = Checks(Clamd(load(AntivirusSettings)), policy)

    def get_dependency(self, worker_ctx: WorkerContext) -> Checks:
        return self._checks

    def check_well(self) -> str | None:
        """Whether the antivirus answers: while it does not, deposits are taken, and wait."""
        return self._checks.antivirus.missing()
