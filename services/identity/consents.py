"""Consents, as identity stores them, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from administration.identity.v1 import consents_pb2
from sqlalchemy import DateTime, String, func, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import Conflict, NotFound
from services.identity.domain.consent import State, Terms, state


class ConsentRow(Base):
    """A consent; never deleted, as it proves what was allowed and until when."""

    __tablename__ = "consents"

    consent_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    administration: Mapped[str] = mapped_column(String(63))
    purpose: Mapped[str] = mapped_column(String)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(63)))
    expire_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    revoke_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    grant_record: Mapped[str] = mapped_column(String)
    revocation_record: Mapped[str] = mapped_column(String, default="")

    @property
    def terms(self) -> Terms:
        return Terms(
            self.administration,
            self.purpose,
            tuple(self.scopes),
            self.expire_time.astimezone(UTC),
        )

    def state(self) -> State:
        return state(self.expire_time, self.revoke_time, datetime.now(UTC))

    def to_proto(self) -> consents_pb2.Consent:
        message = consents_pb2.Consent(
            consent_id=str(self.consent_id),
            administration=self.administration,
            purpose=self.purpose,
            scopes=self.scopes,
            state=consents_pb2.ConsentState.ValueType(self.state()),
            grant_record=self.grant_record,
            revocation_record=self.revocation_record,
        )
        message.expire_time.FromDatetime(self.expire_time)
        message.create_time.FromDatetime(self.create_time)
        if self.revoke_time is not None:
            message.revoke_time.FromDatetime(self.revoke_time)
        return message


class Consents:
    """One person's consents within one transaction."""

    def __init__(self, session: Session, account_id: str) -> None:
        self._session = session
        self._account_id = uuid.UUID(account_id)

    def active(self, terms: Terms) -> ConsentRow | None:
        """The consent that these terms are already, found by one caller at a time.

        Raises:
            Conflict: it is there, with another end.
        """
        lock = func.pg_advisory_xact_lock(func.hashtext(f"consents {self._account_id}"))
        self._session.execute(select(lock))
        row = self._session.scalar(
            select(ConsentRow).where(
                ConsentRow.account_id == self._account_id,
                ConsentRow.administration == terms.administration,
                ConsentRow.purpose == terms.purpose,
                ConsentRow.scopes == list(terms.scopes),
                ConsentRow.revoke_time.is_(None),
                ConsentRow.expire_time > datetime.now(UTC),
            )
        )
        if row is not None and row.expire_time != terms.expire_time:
            raise Conflict(
                f"The consent {row.consent_id} says this until {row.expire_time.isoformat()}:"
                " revoke it first.",
                reason="CONSENT_EXISTS",
            )
        return row

    def add(self, row: ConsentRow) -> None:
        self._session.add(row)
        self._session.flush()

    def get(self, consent_id: str, *, lock: bool = False) -> ConsentRow:
        """Raises:
        NotFound: it does not exist, or is another's.
        """
        query = select(ConsentRow).where(
            ConsentRow.consent_id == uuid.UUID(consent_id),
            ConsentRow.account_id == self._account_id,
        )
        row = self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound("No such consent.", reason="CONSENT_NOT_FOUND")
        return row

    def page(self, page_size: int, page_token: str) -> tuple[Sequence[ConsentRow], str]:
        """Newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(ConsentRow).where(ConsentRow.account_id == self._account_id)
        columns = (ConsentRow.create_time, ConsentRow.consent_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def granting(self, administration: str, scope: str) -> ConsentRow | None:
        """The active consent that lets an administration have a scope; the longest one."""
        return self._session.scalar(
            select(ConsentRow)
            .where(
                ConsentRow.account_id == self._account_id,
                ConsentRow.administration == administration,
                ConsentRow.scopes.contains([scope]),
                ConsentRow.revoke_time.is_(None),
                ConsentRow.expire_time > datetime.now(UTC),
            )
            .order_by(ConsentRow.expire_time.desc())
            .limit(1)
        )
