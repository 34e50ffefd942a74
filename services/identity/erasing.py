"""The end of an account: asked for, cancelled, begun, and done once every service has answered.

Each step is one transaction with its event. What is done in the realm can be done twice, and is
done before the commit that says so: a crash leaves a step that is taken again.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from administration.identity.v1 import events_pb2
from google.protobuf.json_format import MessageToDict
from sqlalchemy.orm import Session

from backbone.database import Transactions
from backbone.errors import Conflict, NotFound
from backbone.events import Publisher
from services.identity.ending import Ending
from services.identity.erasures import ErasureRow, Erasures, State, digest
from services.identity.journal import Journal
from services.identity.keeping import Keeping
from services.identity.personal_data import forget
from services.identity.realm import RealmDirectory
from services.identity.signing import Signer

# Those that hold something about people, beside identity: each subscribes to ErasureStarted.
HOLDERS = ("documents", "notifications")
OWN = "identity"
# The `typ` of a certificate.
CERTIFICATE = "erasure+jws"


class Erasing:
    """What is done about erasures."""

    def __init__(
        self,
        db: Transactions,
        events: Publisher,
        ending: Ending,
        *,
        keeping: Keeping,
        realm: RealmDirectory,
        signer: Signer,
        issuer: str,
    ) -> None:
        self._db, self._events, self._ending = db, events, ending
        self._keeping, self._realm, self._signer, self._issuer = keeping, realm, signer, issuer

    def ask(self, account_id: str, grace: timedelta) -> tuple[ErasureRow, str]:
        """The erasure, and the code that cancels it; the account is disabled from now on.

        Raises:
            Conflict: it was asked for already.
        """
        code = secrets.token_urlsafe(24)
        with self._db.transaction() as session:
            row = Erasures(session).add(account_id, code, datetime.now(UTC) + grace)
            if row is None:
                detail = "The end of this account was asked for already."
                raise Conflict(detail, reason="ERASURE_EXISTS")
            self._ending.close(account_id)
            event = events_pb2.ErasureRequested(
                erasure_id=str(row.erasure_id), account_id=account_id
            )
            event.due_time.FromDatetime(row.due_time)
            self._events.publish(event)
        return row, code

    def cancel(self, erasure_id: str, cancel_code: str) -> ErasureRow:
        """Raises:
        NotFound: it does not exist, or has another code. Conflict: it is too late.
        """
        with self._db.transaction() as session:
            row = Erasures(session).get(erasure_id, lock=True)
            if not secrets.compare_digest(row.cancel_digest, digest(cancel_code)):
                raise NotFound("No such erasure.", reason="ERASURE_NOT_FOUND")
            if row.state in (State.ERASING, State.ERASED):
                raise Conflict("The erasure has begun.", reason="ERASURE_BEGUN")
            if row.state == State.SCHEDULED:
                self._cancel(row)
                self._ending.enable(str(row.account_id), str(row.account_id))
        return row

    def cancel_of(self, account_id: str) -> None:
        """Cancels the erasure of an account that somebody enables again, if it has one."""
        with self._db.transaction() as session:
            row = Erasures(session).scheduled(account_id)
            if row is not None:
                self._cancel(row)

    def _cancel(self, row: ErasureRow) -> None:
        row.state = State.CANCELLED
        self._events.publish(
            events_pb2.ErasureCancelled(
                erasure_id=str(row.erasure_id), account_id=str(row.account_id)
            )
        )

    def begin(self) -> bool:
        """Begins one erasure whose time has come; true when there was one."""
        with self._db.transaction() as session:
            row = Erasures(session).due()
            if row is None:
                return False
            row.state = State.ERASING
            self._events.publish(
                events_pb2.ErasureStarted(
                    erasure_id=str(row.erasure_id), account_id=str(row.account_id)
                )
            )
        return True

    def answered(self, fact: events_pb2.PersonalDataErased) -> None:
        """Notes what a service did; what it had retained when the rest was erased, too."""
        with self._db.transaction() as session:
            row = Erasures(session).get(fact.erasure_id, lock=True)
            part = {"service": fact.service, "items": _items(fact)}
            row.parts = {**row.parts, fact.service: part}
            if row.state == State.ERASED:
                self._go_on(session, row, fact.account_id)

    def finish(self) -> bool:
        """Ends one erasure that all have answered; true when there was one.

        The keys of a person of whom something is retained are kept: it could not be read.

        Raises:
            Unavailable: the realm does not answer; nothing is done, and it is tried again.
        """
        with self._db.transaction() as session:
            row = Erasures(session).answered(HOLDERS)
            if row is None:
                return False
            self._erase(session, row)
        return True

    def _erase(self, session: Session, row: ErasureRow) -> None:
        account_id = str(row.account_id)
        self._realm.delete_account(account_id)
        counts = forget(session, account_id)
        counts["journal_line"] = Journal(session).forget(account_id, self._signer, self._issuer)
        if not _retained(row):
            self._keeping.destroy(account_id)
            counts["key"] = 1
        _count(row, counts)
        row.state, row.account_id = State.ERASED, None
        row.certificate = self._certify(row)
        self._events.publish(
            events_pb2.AccountErased(erasure_id=str(row.erasure_id), account_id=account_id)
        )

    def _go_on(self, session: Session, row: ErasureRow, account_id: str) -> None:
        """More was erased of what a service had retained: the keys go with the last of it."""
        if not _retained(row):
            counts = _counted(row)
            if self._keeping.destroy(account_id):
                counts["key"] = 1
            # What was done about it since: nobody is left to read it.
            forgotten = Journal(session).forget(account_id, self._signer, self._issuer)
            counts["journal_line"] = counts.get("journal_line", 0) + forgotten
            _count(row, counts)
        row.certificate = self._certify(row)

    def _certify(self, row: ErasureRow) -> str:
        """Signs what was done: it names the erasure, and nobody."""
        statement = {
            "iss": self._issuer,
            "iat": int(datetime.now(UTC).timestamp()),
            "sub": str(row.erasure_id),
            "requested": int(row.create_time.timestamp()),
            "parts": [part for _, part in sorted(row.parts.items())],
        }
        return self._signer.sign(CERTIFICATE, statement)


def _items(fact: events_pb2.PersonalDataErased) -> list[dict[str, Any]]:
    return [MessageToDict(item) for item in fact.items]


def _retained(row: ErasureRow) -> bool:
    """Whether a service keeps something of the person."""
    return any(item.get("retainedBy") for part in row.parts.values() for item in part["items"])


def _counted(row: ErasureRow) -> dict[str, int]:
    """What identity itself erased, by kind."""
    return {item["kind"]: int(item["count"]) for item in row.parts[OWN]["items"]}


def _count(row: ErasureRow, counts: dict[str, int]) -> None:
    items = [{"kind": kind, "count": str(count)} for kind, count in counts.items()]
    row.parts = {**row.parts, OWN: {"service": OWN, "items": items}}
