"""Deposits whose state is to be decided, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.documents.content_row import ContentRow, State

# Deposits that are locked together: none waits long for another.
SMALL_BYTES, AT_ONCE = 1024 * 1024, 8


class Deposits:
    def __init__(self, session: Session) -> None:
        self._session = session

    def next_to_check(self, *, quarantined: bool = False) -> Sequence[ContentRow]:
        """A deposit whose check is due, locked until the transaction ends; with a small one, other
        small ones. None when none is free. `quarantined`: of those alone whose bytes are in the
        quarantine.

        Shares refer to the row, and do not wait for its lock.
        """
        query = (
            select(ContentRow)
            .where(ContentRow.state == State.CHECKING, ContentRow.check_time <= func.now())
            .order_by(ContentRow.check_time)
            .with_for_update(skip_locked=True, key_share=True)
        )
        if quarantined:
            query = query.where(ContentRow.quarantined)
        first = self._session.scalars(query.limit(1)).all()
        if not first or first[0].size_bytes > SMALL_BYTES or first[0].kind != "document":
            return first
        # The one that is locked already is one of them. A version's document is locked after it.
        small = query.where(
            ContentRow.size_bytes <= SMALL_BYTES, ContentRow.kind == "document"
        ).limit(AT_ONCE)
        return self._session.scalars(small).all()

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
