"""The end of an account on identity's side: what a service retains, and what follows when it no
longer does. On PostgreSQL, beside a realm in memory.
"""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from administration.identity.v1 import events_pb2, journal_pb2
from sqlalchemy import func, select

from backbone.database import Base
from backbone.errors import Gone
from backbone.wrapping import new_key
from services.identity.domain.account import Profile
from services.identity.ending import Ending
from services.identity.erasing import Erasing
from services.identity.erasures import ErasureRow
from services.identity.fakes import MemoryRealm
from services.identity.journal import Journal, LineRow
from services.identity.keeping import Keeping
from services.identity.keyring import Keyring
from services.identity.masters import Masters
from services.identity.signing import Signer
from tests.support.events import Scratch

SIGNER, ISSUER = Signer([bytes(32)]), "https://api.example.org"


class Lab:
    def __init__(self, scratch: Scratch) -> None:
        tables = [
            mapper.local_table
            for mapper in Base.registry.mappers
            if mapper.class_.__module__.startswith("services.identity.")
        ]
        Base.metadata.create_all(scratch.engine, tables=tables)  # type: ignore[arg-type]
        self.db, self.events, self.realm = scratch.transactions, scratch.publisher, MemoryRealm()
        self.masters = Masters([new_key()])
        self.account_id = self.realm.add(Profile("Éloïse Essai", "e@courriel.example", True, "fr"))
        self.erasing = Erasing(
            self.db,
            self.events,
            Ending(self.db, self.events, self.realm, 5),
            keeping=Keeping(self.db, self.events, self.masters),
            realm=self.realm,
            signer=SIGNER,
            issuer=ISSUER,
        )
        with self.db.transaction() as session:
            Keyring(session, self.masters).renew(self.account_id)
        row, _ = self.erasing.ask(self.account_id, timedelta())
        self.erasure_id = str(row.erasure_id)
        assert self.erasing.begin()

    def answer(self, service: str, **retained: int) -> None:
        """What a service says: a document erased, and what it retains, by why."""
        item = events_pb2.PersonalDataErased.Item
        items = [item(kind="document", count=1)]
        items += [item(kind="document", count=n, retained_by=why) for why, n in retained.items()]
        self.erasing.answered(
            events_pb2.PersonalDataErased(
                erasure_id=self.erasure_id,
                account_id=self.account_id,
                service=service,
                items=items,
            )
        )

    def accessed(self) -> None:
        """A line of the person's journal that comes after their erasure."""
        event = events_pb2.PersonalDataAccessed(
            person_id=self.account_id, actor_kind=journal_pb2.ACTOR_KIND_ADMINISTRATOR
        )
        with self.db.transaction() as session:
            Journal(session).append("documents", event, SIGNER, ISSUER)

    def lines(self) -> int:
        with self.db.transaction() as session:
            query = select(func.count()).where(LineRow.person_id.is_not(None))
            return session.scalar(query) or 0

    def has_keys(self) -> bool:
        with self.db.transaction() as session:
            try:
                Keyring(session, self.masters).renew(self.account_id)
            except Gone:
                return False
        return True

    def certified(self) -> dict[str, Any]:
        """What the certificate says of each service, by kind and by what retains it."""
        with self.db.transaction() as session:
            (row,) = session.scalars(select(ErasureRow)).all()
        payload = row.certificate.split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return {
            part["service"]: {
                (item["kind"], item.get("retainedBy", "")): int(item["count"])
                for item in part["items"]
            }
            for part in said["parts"]
        }


@pytest.fixture
def lab(scratch: Scratch) -> Lab:
    return Lab(scratch)


def test_the_keys_go_with_the_account_when_nothing_is_retained(lab: Lab) -> None:
    lab.answer("documents")
    assert not lab.erasing.finish()
    lab.answer("notifications")
    assert lab.erasing.finish()
    assert lab.certified()["identity"]["key", ""] == 1
    assert not lab.has_keys()


def test_the_keys_of_what_is_retained_stay_and_go_with_the_last_of_it(lab: Lab) -> None:
    lab.answer("notifications")
    lab.answer("documents", LEGAL_HOLD=2)
    assert lab.erasing.finish()
    first = lab.certified()
    assert first["documents"]["document", "LEGAL_HOLD"] == 2
    assert ("key", "") not in first["identity"]
    assert lab.has_keys()
    assert lab.account_id not in lab.realm.users

    lab.accessed()
    lab.answer("documents", LEGAL_HOLD=1)
    assert lab.certified()["documents"]["document", "LEGAL_HOLD"] == 1
    assert lab.has_keys()
    for _ in range(2):
        lab.answer("documents")
        last = lab.certified()
        assert ("document", "LEGAL_HOLD") not in last["documents"]
        assert last["identity"]["key", ""] == 1
        assert last["identity"]["journal_line", ""] == 1
    assert not lab.has_keys()
    assert not lab.lines()
