"""Deposits whose state is to be decided, within one transaction."""

import uuid
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.documents.content_row import ContentRow, State


class Deposits:
    def __init__(self, session: Session) -> None:
        self._session = session

    def next_to_check(self, *, quarantined: bool = False) -> ContentRow | None:
        """A deposit whose check is due, locked until the transaction ends; None when none is free.
        `quarantined`: of those alone whose bytes are in the quarantine.

        Shares refer to the row, and do not wait for its lock.
        """
        query = (
            select(ContentRow)
            .where(ContentRow.state == State.CHECKING, ContentRow.check_time <= func.now())
            .order_by(ContentRow.check_time)
            .limit(1)
            .with_for_update(skip_locked=True, key_share=True)
        )
        if quarantined:
            query = query.where(ContentRow.quarantined)
        return self._session.scalar(query)

    def to_check(self, key: str) -> ContentRow | None:
        """A deposit that is not checked, locked; None when it is, or is being so now."""
        query = (
            select(ContentRow)
            .where(ContentRow.content_id == uuid.UUID(key))
            .where(ContentRow.state == State.CHECKING, ContentRow.quarantined.is_(False))
            .with_for_update(skip_locked=True, key_share=True)
        )
        return self._session.scalar(query)

    def states_between(self, after: str, last: str) -> dict[str, tuple[str, datetime]]:
        """State and time of every content with a greater key than `after`, up to `last`; "" is no
        bound.
        """
        query = select(ContentRow.content_id, ContentRow.state, ContentRow.deposit_time)
        if after:
            query = query.where(ContentRow.content_id > uuid.UUID(after))
        if last:
            query = query.where(ContentRow.content_id <= uuid.UUID(last))
        return {str(key): (state, made) for key, state, made in self._session.execute(query)}

    def oldest_unchecked(self) -> datetime | None:
        """When the deposit was made that waits longest for its check."""
        query = select(func.min(ContentRow.deposit_time))
        return self._session.scalar(query.where(ContentRow.state == State.CHECKING))
