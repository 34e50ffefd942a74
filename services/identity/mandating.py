"""The life of a mandate: each step is the row and its event, in one transaction."""

import uuid
from datetime import UTC, datetime
from typing import Any

from administration.identity.v1 import events_pb2, mandates_pb2

from backbone.database import Transactions
from backbone.errors import Conflict, Forbidden
from backbone.events import Publisher
from services.identity.domain.mandate import Offer, State
from services.identity.mandates import MandateRow, Mandates


class Mandating:
    """What a person does with the mandates that they gave or were offered."""

    def __init__(self, db: Transactions, events: Publisher, account_id: str) -> None:
        self._db, self._events, self._account_id = db, events, account_id

    def offer(self, offer: Offer) -> MandateRow:
        row = MandateRow(
            mandate_id=uuid.uuid4(),
            principal_id=uuid.UUID(offer.principal_id),
            representative_id=uuid.UUID(offer.representative_id),
            scopes=list(offer.scopes),
            start_time=offer.start_time,
            expire_time=offer.expire_time,
            create_time=datetime.now(UTC),
            principal_kind=offer.principal_kind,
            offered_by=uuid.UUID(self._account_id),
        )
        with self._db.transaction() as session:
            Mandates(session).add(row)
            event = events_pb2.MandateOffered(
                **_sides(row),
                scopes=row.scopes,
                principal_kind=mandates_pb2.PrincipalKind.ValueType(row.principal_kind),
                offered_by=self._account_id,
            )
            event.start_time.FromDatetime(row.start_time)
            event.expire_time.FromDatetime(row.expire_time)
            event.create_time.FromDatetime(row.create_time)
            self._events.publish(event)
        return row

    def accept(self, mandate_id: str) -> MandateRow:
        """Raises:
        NotFound: it concerns others. Forbidden: it is this person's own offer.
        Conflict: it has ended.
        """
        with self._db.transaction() as session:
            row = Mandates(session).get(mandate_id, self._account_id, lock=True)
            if row.representative_id != uuid.UUID(self._account_id):
                raise Forbidden(
                    "The representative accepts a mandate.", reason="MANDATE_NOT_FOR_CALLER"
                )
            if row.state() is State.ENDED:
                raise Conflict("The mandate has ended.", reason="MANDATE_ENDED")
            if row.accept_time is None:
                row.accept_time = datetime.now(UTC)
                event = events_pb2.MandateAccepted(**_sides(row))
                event.accept_time.FromDatetime(row.accept_time)
                self._events.publish(event)
        return row

    def end(self, mandate_id: str) -> MandateRow:
        """Raises:
        NotFound: it concerns others.
        """
        with self._db.transaction() as session:
            row = Mandates(session).get(mandate_id, self._account_id, lock=True)
            if row.state() is not State.ENDED:
                row.end_time, row.ended_by = datetime.now(UTC), uuid.UUID(self._account_id)
                event = events_pb2.MandateEnded(**_sides(row), ended_by=self._account_id)
                event.end_time.FromDatetime(row.end_time)
                self._events.publish(event)
        return row


def _sides(row: MandateRow) -> dict[str, Any]:
    return {
        "mandate_id": str(row.mandate_id),
        "principal_id": str(row.principal_id),
        "representative_id": str(row.representative_id),
    }
