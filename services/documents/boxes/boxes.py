"""Drop boxes within one transaction: found by those they concern, joined, closed, forgotten."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from administration.documents.v1 import boxes_pb2
from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backbone import paging
from backbone.errors import NotFound
from backbone.tokens import Caller
from services.documents.boxes.hand_ins import HandIns
from services.documents.boxes.rows import BoxDepositorRow, BoxRow, depositor
from services.documents.documents import subject_id
from services.documents.domain.box import code_hash, next_reminder

BATCH = 100
_COLUMNS = (BoxRow.create_time, BoxRow.box_id)


class Boxes:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: BoxRow) -> None:
        """Adds a box; whom it is addressed to is its depositor."""
        self._session.add(row)
        self._session.flush()
        if row.account_id is not None:
            self.join(row, row.account_id)

    def join(self, row: BoxRow, account_id: uuid.UUID) -> None:
        """Makes somebody a depositor; nothing happens when they are."""
        statement = insert(BoxDepositorRow).values(
            box_id=row.box_id,
            account_id=account_id,
            reminder_time=next_reminder(row.deadline, datetime.now(UTC)),
        )
        self._session.execute(statement.on_conflict_do_nothing())

    def with_code(self, code: str) -> BoxRow:
        """The open box that has a code.

        Raises:
            NotFound: none has it.
        """
        row = self._session.scalar(select(BoxRow).where(BoxRow.code_hash == code_hash(code)))
        if row is None or not row.open:
            raise _not_found()
        return row

    def visible(self, box_id: str, caller: Caller) -> BoxRow:
        """A box of the caller's administration, or that they deposit in.

        Raises:
            NotFound: it does not exist, or is not the caller's to see.
        """
        own = BoxRow.box_id.in_(_deposited_in_by(subject_id(caller.subject)))
        if caller.administration and "agent" in caller.roles:
            return self._one(box_id, or_(own, BoxRow.administration == caller.administration))
        return self._one(box_id, own)

    def of_administration(self, box_id: str, administration: str, *, lock: bool = False) -> BoxRow:
        """Raises:
        NotFound: it does not exist, or is another administration's.
        """
        return self._one(box_id, BoxRow.administration == administration, lock=lock)

    def _one(self, box_id: str, condition: ColumnElement[bool], *, lock: bool = False) -> BoxRow:
        query = select(BoxRow).where(BoxRow.box_id == uuid.UUID(box_id), condition)
        row = self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise _not_found()
        return row

    def page(
        self, administration: str, page_size: int, page_token: str
    ) -> tuple[Sequence[BoxRow], str]:
        """An administration's boxes, newest first, and the next page's token.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(BoxRow).where(BoxRow.administration == administration)
        return paging.newest_first(self._session, query, _COLUMNS, page_size, page_token)

    def depositors_page(
        self, account_id: str, page_size: int, page_token: str
    ) -> tuple[Sequence[BoxRow], str]:
        """The boxes that somebody deposits in, likewise."""
        deposited = _deposited_in_by(subject_id(account_id))
        query = select(BoxRow).where(BoxRow.box_id.in_(deposited))
        return paging.newest_first(self._session, query, _COLUMNS, page_size, page_token)

    def own(self, row: BoxRow, account_id: uuid.UUID) -> boxes_pb2.BoxDepositor | None:
        """What a depositor handed in to a box; None when they are none."""
        if self._session.get(BoxDepositorRow, (row.box_id, account_id)) is None:
            return None
        handed_in = HandIns(self._session).of(row.box_id, [account_id])
        return depositor(row, account_id, handed_in[account_id])

    def depositors(
        self, row: BoxRow, page_size: int, page_token: str
    ) -> tuple[list[boxes_pb2.BoxDepositor], str]:
        """A page of a box's depositors, and the token of the next one.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(BoxDepositorRow).where(BoxDepositorRow.box_id == row.box_id)
        columns = (BoxDepositorRow.account_id,)
        rows, token = paging.newest_first(self._session, query, columns, page_size, page_token)
        accounts = [found.account_id for found in rows]
        handed_in = HandIns(self._session).of(row.box_id, accounts)
        return [depositor(row, account, handed_in[account]) for account in accounts], token

    def forget(self, account_id: uuid.UUID) -> int:
        """Forgets what boxes have of an account: those that are addressed to it, and what it handed
        in to others; how many boxes it deposited in.
        """
        left = delete(BoxDepositorRow).where(BoxDepositorRow.account_id == account_id)
        count = self._session.connection().execute(left).rowcount
        self._session.execute(delete(BoxRow).where(BoxRow.account_id == account_id))
        return count

    def forget_over(self) -> bool:
        """Forgets boxes that nobody reads from any more; true when more may wait."""
        over = select(BoxRow.box_id).where(BoxRow.access_end_time <= func.now()).limit(BATCH)
        gone = delete(BoxRow).where(BoxRow.box_id.in_(over))
        return self._session.connection().execute(gone).rowcount == BATCH


def _deposited_in_by(account_id: uuid.UUID) -> Select[uuid.UUID]:
    return select(BoxDepositorRow.box_id).where(BoxDepositorRow.account_id == account_id)


def _not_found() -> NotFound:
    return NotFound("No such box.", reason="BOX_NOT_FOUND")
