"""Tells the realm of organisations and members: the database says what is to be, the realm follows.

A step does one thing and records that it is done, so a crash in between does it again; every
thing that is told may be told again. What the realm does not take is tried again, more and more
slowly, and holds up nothing else.
"""

import logging
import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from backbone.backoff import pause
from backbone.database import Transactions
from backbone.errors import Unavailable
from services.identity.domain.organisation import Kind, Role
from services.identity.ending import Ending
from services.identity.organisations import MembershipRow, OrganisationRow, joined
from services.identity.realm_organizations import RealmOrganizations

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)


class RealmSync:
    """Carries out what the realm is yet to be told."""

    def __init__(self, db: Transactions, realm: RealmOrganizations, ending: Ending) -> None:
        self._db, self._realm, self._ending = db, realm, ending

    def step(self) -> bool:
        """Tells one thing that is due; true when there was one."""
        with self._db.transaction() as session:
            # An organisation first: its members wait for its identifier in the realm.
            return self._organisation(session) or self._membership(session)

    def _organisation(self, session: Session) -> bool:
        row = session.scalar(
            select(OrganisationRow)
            .where(OrganisationRow.realm_id.is_(None), OrganisationRow.next_time <= func.now())
            .order_by(OrganisationRow.next_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if row is None:
            return False
        try:
            realm_id = self._realm.ensure(row.registration)
            members = self._realm.members(realm_id)
        except Unavailable:
            _later(row)
            return True
        row.realm_id = realm_id
        # One that the realm had already brings its members.
        for account_id in members:
            known = session.get(MembershipRow, (row.organisation_id, uuid.UUID(account_id)))
            if known is None:
                session.add(joined(row, account_id, Role.AGENT))
        return True

    def _membership(self, session: Session) -> bool:
        found = session.execute(
            select(MembershipRow, OrganisationRow)
            .join(OrganisationRow)
            .where(
                MembershipRow.told.is_(False),
                MembershipRow.next_time <= func.now(),
                OrganisationRow.realm_id.is_not(None),
            )
            .order_by(MembershipRow.next_time)
            .limit(1)
            .with_for_update(skip_locked=True, of=MembershipRow)
        ).one_or_none()
        if found is None:
            return False
        member, organisation = found
        try:
            self._tell(session, member, organisation)
        except Unavailable:
            _later(member)
        if member.role is None and organisation.kind == Kind.ADMINISTRATION:
            # What the realm has issued since the last time may still name it.
            self._ending.end_tokens(str(member.account_id))
        return True

    def _tell(self, session: Session, member: MembershipRow, organisation: OrganisationRow) -> None:
        account_id, realm_id = str(member.account_id), str(organisation.realm_id)
        if member.role is not None and not self._realm.add_member(realm_id, account_id):
            log.warning("a member of %s has no account any more", organisation.organisation_id)
            member.role = None
        if member.role is None:
            self._realm.remove_member(realm_id, account_id)
        if organisation.kind == Kind.ADMINISTRATION:
            agent = member.role is not None or self._is_agent_elsewhere(session, member)
            self._realm.set_agent(account_id, agent=agent)
        if member.role is None:
            session.delete(member)
        else:
            member.told, member.attempts = True, 0

    def _is_agent_elsewhere(self, session: Session, member: MembershipRow) -> bool:
        elsewhere = (
            exists()
            .where(
                MembershipRow.account_id == member.account_id,
                MembershipRow.organisation_id != member.organisation_id,
                MembershipRow.role.is_not(None),
                OrganisationRow.organisation_id == MembershipRow.organisation_id,
                OrganisationRow.kind == Kind.ADMINISTRATION,
            )
            .select()
        )
        return bool(session.scalar(elsewhere))


def _later(row: OrganisationRow | MembershipRow) -> None:
    row.attempts += 1
    row.next_time = datetime.now(UTC) + pause(row.attempts, FIRST_PAUSE, LONGEST_PAUSE)
