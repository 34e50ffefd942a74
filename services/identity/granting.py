"""Granting and revoking consents: the row, its signed record and its event, in one transaction."""

import uuid
from datetime import UTC, datetime

from administration.identity.v1 import events_pb2

from backbone.database import Transactions
from backbone.errors import Conflict
from backbone.events import Publisher
from services.identity.consents import ConsentRow, Consents
from services.identity.domain.consent import State, Terms, statement
from services.identity.signing import Signer

# The `typ` of a record.
RECORD = "consent+jws"


class Granting:
    """What a person does with their consents."""

    def __init__(
        self, db: Transactions, events: Publisher, signer: Signer, issuer: str, account_id: str
    ) -> None:
        self._db, self._events, self._signer = db, events, signer
        self._issuer, self._account_id = issuer, account_id

    def grant(self, terms: Terms) -> ConsentRow:
        """The consent of these terms, new or already there.

        Raises:
            Conflict: it is active with another end.
        """
        with self._db.transaction() as session:
            consents = Consents(session, self._account_id)
            found = consents.active(terms)
            if found is not None:
                return found
            row = ConsentRow(
                consent_id=uuid.uuid4(),
                account_id=uuid.UUID(self._account_id),
                administration=terms.administration,
                purpose=terms.purpose,
                scopes=list(terms.scopes),
                expire_time=terms.expire_time,
                create_time=datetime.now(UTC),
            )
            row.grant_record = self._record(row)
            consents.add(row)
            event = events_pb2.ConsentGranted(
                consent_id=str(row.consent_id),
                account_id=self._account_id,
                administration=row.administration,
                scopes=row.scopes,
            )
            event.expire_time.FromDatetime(row.expire_time)
            event.create_time.FromDatetime(row.create_time)
            self._events.publish(event)
        return row

    def revoke(self, consent_id: str) -> ConsentRow:
        """Raises:
        NotFound: it is none of this person's. Conflict: it has expired.
        """
        with self._db.transaction() as session:
            row = Consents(session, self._account_id).get(consent_id, lock=True)
            if row.state() is State.REVOKED:
                return row
            if row.state() is State.EXPIRED:
                raise Conflict("The consent has ended by itself.", reason="CONSENT_EXPIRED")
            row.revoke_time = datetime.now(UTC)
            row.revocation_record = self._record(row)
            event = events_pb2.ConsentRevoked(
                consent_id=consent_id,
                account_id=self._account_id,
                administration=row.administration,
            )
            event.revoke_time.FromDatetime(row.revoke_time)
            self._events.publish(event)
        return row

    def _record(self, row: ConsentRow) -> str:
        said = statement(
            self._issuer,
            str(row.consent_id),
            self._account_id,
            row.terms,
            row.create_time.astimezone(UTC),
            row.revoke_time,
        )
        return self._signer.sign(RECORD, said)
