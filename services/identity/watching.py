"""Reading the realm's logs: each entry becomes its events once, and what is missing is told.

Keycloak saves an entry with its own transaction, but tells listeners before it commits; so its logs
are read instead, with an overlap. The rows, the events and the cursor are one transaction: whatever
is killed in between, the next pass finds the realm's log and ours as they were.
"""

import itertools
import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from administration.identity.v1 import events_pb2
from google.protobuf.message import Message
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from prometheus_client import Counter
from sqlalchemy.orm import Session

from backbone.database import Transactions
from backbone.ended import Kind
from backbone.errors import NotFound, Unavailable
from backbone.events import Publisher
from services.identity.accounts import Accounts, told
from services.identity.domain.realm_event import (
    ABOUT_PROFILES,
    NAMESPACE,
    RealmEvent,
    Stream,
    Type,
)
from services.identity.ending import ended
from services.identity.realm import RealmDirectory
from services.identity.realm_log import CursorRow, RealmLog

log = logging.getLogger(__name__)

# An entry's time is that of its beginning. Most are committed at once; Keycloak gives up a
# transaction after 300 s, so none comes later than that: a deep pass looks back as far.
QUICK, DEEP = timedelta(seconds=5), timedelta(seconds=330)
# A log that was not read for as long is read deeply.
PAUSED = timedelta(seconds=60)
# Of new entries in one transaction.
BATCH, CHUNK = 2000, 500

MISSED = Counter("realm_events_missed_total", "Times that entries of the realm may be lost.")


class Watching:
    """Reads the logs, one process at a time."""

    def __init__(self, db: Transactions, events: Publisher, realm: RealmDirectory) -> None:
        self._db, self._events, self._realm = db, events, realm

    def read(self, stream: Stream, *, deep: bool = False) -> bool:
        """Takes what is new in a log; true when there may be more.

        Raises:
            Unavailable: the realm does not answer. What it tells later is found then.
        """
        with self._db.transaction() as session:
            cursor = RealmLog(session, stream).claim()
            if cursor is None:
                return False
            begun = datetime.now(UTC)
            deep = deep or begun - cursor.read_until > PAUSED
            return self._pass(session, cursor, begun, deep=deep)

    def _pass(self, session: Session, cursor: CursorRow, begun: datetime, *, deep: bool) -> bool:
        stream = Stream(cursor.stream)
        entries = RealmLog(session, stream)
        since = cursor.read_until - (DEEP if deep else QUICK)
        if deep:
            entries.purge()
            # The last that we know should still be there: if it is not, nor may others be.
            since = min(since, entries.last() or since)
            since = self._check_saving(cursor, since, begun)
        new, until, seen = 0, begun, set[uuid.UUID]()
        entries_told = self._realm.events(stream, since)
        while new < BATCH and (chunk := list(itertools.islice(entries_told, CHUNK))):
            seen |= {each.event_id for each in chunk}
            for event in entries.add(chunk):
                new += 1
                self._tell(event)
                if event.type in ABOUT_PROFILES:
                    self._follow(session, event.account_id)
            until = chunk[-1].time
        if new < BATCH:
            until = begun
        if deep and (lost := entries.lose(seen, since, until)):
            self._miss(stream, lost, begun)
        cursor.read_until = max(cursor.read_until, until)
        return new >= BATCH

    def _check_saving(self, cursor: CursorRow, since: datetime, begun: datetime) -> datetime:
        """Tells what the realm cannot have kept; returns from when on it has."""
        saving = self._realm.saving(Stream(cursor.stream))
        oldest = begun - saving.kept if saving.kept else since
        if not saving.enabled:
            self._miss(Stream(cursor.stream), cursor.read_until, begun)
        elif oldest > cursor.read_until:
            self._miss(Stream(cursor.stream), cursor.read_until, oldest)
        return max(since, oldest)

    def _miss(self, stream: Stream, from_time: datetime, to_time: datetime) -> None:
        MISSED.inc()
        log.error("%s of the realm may be lost: %s to %s", stream, from_time, to_time)
        event = events_pb2.RealmEventsMissed(log_id=stream)
        event.from_time.FromDatetime(from_time)
        event.to_time.FromDatetime(to_time)
        self._events.publish(event)

    def _tell(self, event: RealmEvent) -> None:
        for number, fact in enumerate(self._facts(event)):
            # The realm's identifier is the first fact's; the others have theirs from it.
            fact_id = uuid.uuid5(NAMESPACE, f"{event.event_id}/{number}") if number else None
            self._events.publish(fact, event_id=fact_id or event.event_id, time=event.time)

    def _follow(self, session: Session, account_id: str) -> None:
        """Brings an account that is known up to date: its next token may be minutes away."""
        accounts = Accounts(session)
        if not account_id or accounts.find(account_id) is None:
            return
        now = datetime.now(UTC)
        try:
            profile = self._realm.profile(account_id)
        except NotFound:
            # Deleted meanwhile, which the log tells by itself.
            return
        account, seen = accounts.see(account_id, profile, now)
        if (fact := told(account, seen, now)) is not None:
            self._events.publish(fact)

    def _facts(self, event: RealmEvent) -> Iterator[Message]:
        account_id, client_id = event.account_id, event.client_id
        if event.type is Type.SIGN_IN_FAILED:
            known = event.error != "client_not_found"
            yield events_pb2.SignInFailed(
                failure_id=str(event.event_id),
                account_id=account_id,
                # Of an unknown client, this is what somebody typed.
                client_id=client_id if known else "",
                error_code=event.error,
            )
        elif event.type is Type.SIGNED_IN and account_id:
            yield events_pb2.SignedIn(account_id=account_id, client_id=client_id)
        elif event.type is Type.REGISTERED and account_id:
            yield events_pb2.AccountRegistered(account_id=account_id, client_id=client_id)
        elif event.type is Type.EMAIL_VERIFIED and account_id:
            yield events_pb2.EmailVerified(account_id=account_id)
        elif event.type is Type.SIGNED_OUT and account_id:
            yield events_pb2.SignedOut(account_id=account_id, client_id=client_id)
        elif event.type in (Type.DELETED_SELF, Type.ACCOUNT_DELETED) and account_id:
            yield events_pb2.AccountDeleted(account_id=account_id)
        yield from self._endings(event)

    def _endings(self, event: RealmEvent) -> Iterator[Message]:
        """What ended in the realm itself ends everywhere: who signed out in the portal, whom an
        administrator signed out, disabled or deleted in the console.
        """
        now = datetime.now(UTC)
        if event.type in (Type.SIGNED_OUT, Type.SESSION_ENDED) and event.session_id:
            yield ended(Kind.SESSION, event.session_id, now)
        elif event.type is Type.SESSIONS_ENDED:
            yield ended(Kind.ACCOUNT, event.account_id, event.time)
        elif event.account_id and self._is_gone(event):
            yield ended(Kind.ACCOUNT, event.account_id, now)
        elif event.type is Type.CLIENT_CHANGED:
            state = self._realm.client_state(event.client_key)
            if state is not None and not state[1]:
                yield ended(Kind.CLIENT, state[0], now)

    def _is_gone(self, event: RealmEvent) -> bool:
        if event.type is Type.ACCOUNT_CHANGED:
            return not self._realm.is_enabled(event.account_id)
        return event.type in (Type.DELETED_SELF, Type.ACCOUNT_DELETED)


class Watch(DependencyProvider):  # type: ignore[misc]
    """Injects itself: `read` reads both logs, and tells of a realm that does not answer."""

    def __init__(self) -> None:
        self._trouble: str | None = None

    def get_dependency(self, worker_ctx: WorkerContext) -> "Watch":
        return self

    def check_well(self) -> str | None:
        return self._trouble

    def read(self, watching: Watching, *, deep: bool = False) -> bool:
        """One pass over each log; true when there may be more."""
        try:
            more = [watching.read(stream, deep=deep) for stream in Stream]
        except Unavailable:
            if self._trouble is None:
                log.warning("the realm does not answer: its events are read later")
            self._trouble = "the realm does not answer: its events are read later"
            return False
        self._trouble = None
        return any(more)
