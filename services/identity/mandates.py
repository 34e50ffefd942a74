"""Mandates, as identity stores them, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from administration.identity.v1 import mandates_pb2
from sqlalchemy import ColumnElement, DateTime, SmallInteger, String, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import NotFound
from services.identity.domain.mandate import Principal, State, state
from services.identity.domain.organisation import Role
from services.identity.orders import Orders
from services.identity.organisations import MembershipRow


class MandateRow(Base):
    """A mandate; never deleted, as it says who could act and until when."""

    __tablename__ = "mandates"

    mandate_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    principal_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    representative_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(63)))
    start_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expire_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    accept_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    end_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_by: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    principal_kind: Mapped[int] = mapped_column(SmallInteger, default=Principal.PERSON)
    # None for one from before this was kept: then the principal.
    offered_by: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))

    def state(self) -> State:
        return state(self.expire_time, self.accept_time, self.end_time, datetime.now(UTC))

    def to_proto(self) -> mandates_pb2.Mandate:
        message = mandates_pb2.Mandate(
            mandate_id=str(self.mandate_id),
            principal_id=str(self.principal_id),
            representative_id=str(self.representative_id),
            scopes=self.scopes,
            ended_by=str(self.ended_by or ""),
            state=mandates_pb2.MandateState.ValueType(self.state()),
            principal_kind=mandates_pb2.PrincipalKind.ValueType(self.principal_kind),
            offered_by=str(self.offered_by or self.principal_id),
        )
        message.start_time.FromDatetime(self.start_time)
        message.expire_time.FromDatetime(self.expire_time)
        message.create_time.FromDatetime(self.create_time)
        if self.accept_time is not None:
            message.accept_time.FromDatetime(self.accept_time)
        if self.end_time is not None:
            message.end_time.FromDatetime(self.end_time)
        return message


class Mandates:
    """Mandates within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: MandateRow) -> None:
        self._session.add(row)
        self._session.flush()

    def get(self, mandate_id: str, account_id: str, *, lock: bool = False) -> MandateRow:
        """A mandate, for either side.

        Raises:
            NotFound: it does not exist, or concerns others.
        """
        query = select(MandateRow).where(
            MandateRow.mandate_id == uuid.UUID(mandate_id), _concerns(account_id)
        )
        row = self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound("No such mandate.", reason="MANDATE_NOT_FOUND")
        return row

    def page(
        self, account_id: str, page_size: int, page_token: str
    ) -> tuple[Sequence[MandateRow], str]:
        """Those of either side, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(MandateRow).where(_concerns(account_id))
        columns = (MandateRow.create_time, MandateRow.mandate_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def granting(self, representative_id: str, principal_id: str, scope: str) -> MandateRow | None:
        """The mandate by which one may act for the other now; the longest one. None for a person
        whose account is disabled, or about to be erased.

        One step only: a mandate of a mandate is never looked for.
        """
        if Orders(self._session).disabled(principal_id):
            return None
        now = datetime.now(UTC)
        return self._session.scalar(
            select(MandateRow)
            .where(
                MandateRow.representative_id == uuid.UUID(representative_id),
                MandateRow.principal_id == uuid.UUID(principal_id),
                MandateRow.scopes.contains([scope]),
                MandateRow.accept_time.is_not(None),
                MandateRow.end_time.is_(None),
                MandateRow.start_time <= now,
                MandateRow.expire_time > now,
            )
            .order_by(MandateRow.expire_time.desc())
            .limit(1)
        )


def _concerns(account_id: str) -> ColumnElement[bool]:
    managed = select(MembershipRow.organisation_id).where(
        MembershipRow.account_id == uuid.UUID(account_id), MembershipRow.role == Role.MANAGER
    )
    return or_(
        MandateRow.principal_id == uuid.UUID(account_id),
        MandateRow.representative_id == uuid.UUID(account_id),
        MandateRow.principal_id.in_(managed),
    )
