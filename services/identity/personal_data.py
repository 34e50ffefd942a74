"""What identity holds about a person: in files of records, and forgotten."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import delete, or_
from sqlalchemy.orm import Session

from backbone.personal_data import Reader
from services.identity.accounts import AccountRow, Accounts, to_proto
from services.identity.consents import ConsentRow, Consents
from services.identity.journal import Journal
from services.identity.levels import LevelRecordRow, Levels
from services.identity.mandates import MandateRow, Mandates
from services.identity.orders import OrderRow
from services.identity.organisations import MembershipRow, memberships_of
from services.identity.realm_log import RealmEventRow, sign_ins

PAGE_SIZE = 200
Records = tuple[Iterable[Message], str]


def held(session: Session, account_id: str) -> Mapping[str, Reader]:
    """The files of one person, within one transaction."""

    def account(_: str) -> Records:
        found = Accounts(session).find(account_id)
        return ([to_proto(found)] if found else []), ""

    def consents(page_token: str) -> Records:
        rows, following = Consents(session, account_id).page(PAGE_SIZE, page_token)
        return [row.to_proto() for row in rows], following

    def mandates(page_token: str) -> Records:
        rows, following = Mandates(session).page(account_id, PAGE_SIZE, page_token)
        return [row.to_proto() for row in rows], following

    def levels(page_token: str) -> Records:
        rows, following = Levels(session, account_id).page(PAGE_SIZE, page_token)
        return [row.to_proto() for row in rows], following

    def logins(page_token: str) -> Records:
        rows, following = sign_ins(session, account_id, PAGE_SIZE, page_token)
        return [row.to_proto() for row in rows], following

    def memberships(_: str) -> Records:
        own = memberships_of(session, account_id)
        return [member.to_membership(row) for member, row in own], ""

    def journal(page_token: str) -> Records:
        lines = Journal(session)
        rows, following = lines.page(account_id, PAGE_SIZE, page_token)
        return lines.entries(rows), following

    return {
        "account": account,
        "consents": consents,
        "mandates": mandates,
        "levels": levels,
        "sign-ins": logins,
        "memberships": memberships,
        "journal": journal,
    }


def forget(session: Session, account_id: str) -> dict[str, int]:
    """Deletes all of it; how many rows there were, by kind."""
    key = uuid.UUID(account_id)
    of_person: dict[str, Any] = {
        "account": delete(AccountRow).where(AccountRow.account_id == key),
        "consent": delete(ConsentRow).where(ConsentRow.account_id == key),
        "mandate": delete(MandateRow).where(
            or_(MandateRow.principal_id == key, MandateRow.representative_id == key)
        ),
        "membership": delete(MembershipRow).where(MembershipRow.account_id == key),
        "level": delete(LevelRecordRow).where(LevelRecordRow.account_id == key),
        "sign_in": delete(RealmEventRow).where(RealmEventRow.account_id == key),
        "order": delete(OrderRow).where(OrderRow.account_id == key),
    }
    return {
        kind: session.connection().execute(statement).rowcount
        for kind, statement in of_person.items()
    }
