"""Webhooks and their attempts, as exchange stores them, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from administration.exchange.v1 import exchange_pb2
from sqlalchemy import BigInteger, DateTime, Identity, Integer, String, delete, func, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import NotFound, TooMany
from services.exchange.domain import signature
from services.exchange.domain.tries import Cause

# How long calls are signed with the old secret as well, after a rotation.
OVERLAP = timedelta(days=1)


class WebhookRow(Base):
    __tablename__ = "webhooks"

    webhook_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    client_id: Mapped[str] = mapped_column(String)
    topic: Mapped[str] = mapped_column(String)
    url: Mapped[str] = mapped_column(String)
    secret: Mapped[str] = mapped_column(String)
    previous_secret: Mapped[str] = mapped_column(String, default="")
    previous_expire_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # 0 while it is active.
    disabled_cause: Mapped[int] = mapped_column(Integer, default=Cause.NONE)
    # The last event that was delivered, or is not to be.
    cursor: Mapped[int] = mapped_column(BigInteger)
    failed_tries: Mapped[int] = mapped_column(Integer, default=0)
    next_try_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    # Who calls it just now, and until when nobody else does.
    lease: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    lease_end_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # When it last had its turn: the one that waited longest is next.
    turn_time: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    def to_proto(self, last_sequence: int) -> exchange_pb2.Webhook:
        active = not self.disabled_cause
        message = exchange_pb2.Webhook(
            webhook_id=str(self.webhook_id),
            topic=self.topic,
            url=self.url,
            state=(
                exchange_pb2.WEBHOOK_STATE_ACTIVE if active else exchange_pb2.WEBHOOK_STATE_DISABLED
            ),
            disabled_cause=exchange_pb2.DisabledCause.ValueType(self.disabled_cause),
            failed_tries=self.failed_tries,
            backlog=max(0, last_sequence - self.cursor),
        )
        message.create_time.FromDatetime(self.create_time)
        if active and self.failed_tries:
            message.next_try_time.FromDatetime(self.next_try_time)
        return message

    def secrets(self, now: datetime) -> list[str]:
        """What calls are signed with."""
        expires = self.previous_expire_time
        return [self.secret] + ([self.previous_secret] if expires and now < expires else [])

    def rotate(self, now: datetime) -> datetime:
        """Takes a new secret; returns until when the old one is used as well."""
        self.previous_secret, self.secret = self.secret, signature.new_secret()
        self.previous_expire_time = now + OVERLAP
        return self.previous_expire_time

    def enable(self) -> None:
        """Whatever stopped it, its event at hand is due now, with all its tries."""
        self.disabled_cause = Cause.NONE
        self.failed_tries = 0
        self.next_try_time = func.now()


class AttemptRow(Base):
    """A call that was made; never changed."""

    __tablename__ = "attempts"

    attempt_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    webhook_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    event_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    number: Mapped[int] = mapped_column(Integer)
    http_status: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[str] = mapped_column(String)
    duration_ms: Mapped[int] = mapped_column(Integer)
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    def to_proto(self) -> exchange_pb2.WebhookAttempt:
        message = exchange_pb2.WebhookAttempt(
            attempt_id=str(self.attempt_id),
            event_id=str(self.event_id),
            number=self.number,
            http_status=self.http_status,
            outcome=self.outcome,
            duration_ms=self.duration_ms,
        )
        message.create_time.FromDatetime(self.create_time)
        return message


class Webhooks:
    """The webhooks of one client."""

    def __init__(self, session: Session, client_id: str) -> None:
        self._session = session
        self._client_id = client_id

    def add(self, topic: str, url: str, cursor: int, limit: int) -> WebhookRow:
        """Raises:
        TooMany: the client has as many as it may.
        """
        # Two that are made at once are counted one after the other.
        self._session.execute(
            select(func.pg_advisory_xact_lock(func.hashtext(self._client_id), 20177))
        )
        mine = select(func.count()).where(WebhookRow.client_id == self._client_id)
        if self._session.scalars(mine).one() >= limit:
            raise TooMany(f"A client has at most {limit} webhooks: delete one first.")
        row = WebhookRow(
            webhook_id=uuid.uuid4(),
            client_id=self._client_id,
            topic=topic,
            url=url,
            secret=signature.new_secret(),
            cursor=cursor,
        )
        self._session.add(row)
        self._session.flush()
        return row

    def get(self, webhook_id: str, *, lock: bool = False) -> WebhookRow:
        """Raises:
        NotFound: it is not there, or another client's.
        """
        query = select(WebhookRow).where(
            WebhookRow.webhook_id == uuid.UUID(webhook_id), WebhookRow.client_id == self._client_id
        )
        row = self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound("No such webhook.", reason="WEBHOOK_NOT_FOUND")
        return row

    def remove(self, webhook_id: str) -> None:
        """With its attempts. Raises `NotFound` like `get`."""
        self._session.delete(self.get(webhook_id, lock=True))

    def page(self, page_size: int, page_token: str) -> tuple[Sequence[WebhookRow], str]:
        """Webhooks, newest first, and the token of the next page. Raises `InvalidInput`."""
        query = select(WebhookRow).where(WebhookRow.client_id == self._client_id)
        columns = (WebhookRow.create_time, WebhookRow.webhook_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def attempts(
        self, webhook_id: str, page_size: int, page_token: str
    ) -> tuple[Sequence[AttemptRow], str]:
        """Its attempts, newest first, and the token of the next page. Raises like `page`."""
        row = self.get(webhook_id)
        query = select(AttemptRow).where(AttemptRow.webhook_id == row.webhook_id)
        columns = (AttemptRow.attempt_id,)
        return paging.newest_first(self._session, query, columns, page_size, page_token)


def purge_attempts(session: Session, before: datetime) -> None:
    """Forgets attempts that were made before then."""
    session.execute(delete(AttemptRow).where(AttemptRow.create_time < before))
