"""The realm follows the database: how the end of a membership becomes that of its tokens.

On PostgreSQL, beside a realm in memory.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from backbone.tokens import Caller
from services.identity import realm_sync
from services.identity.domain.account import Profile
from services.identity.domain.organisation import Kind, Registration, Role
from services.identity.ending import Ending
from services.identity.fakes import MemoryOrganizations, MemoryRealm
from services.identity.organising import Organising
from services.identity.realm_sync import RealmSync
from tests.support.events import Scratch
from tests.support.identity_tables import due, identity_tables, published
from tests.support.organisations import new_siret

ADMIN = Caller(
    subject="00000000-0000-4000-8000-00000000000a",
    client_id="portal",
    roles=frozenset({"admin"}),
    administration="",
    expires_at=0.0,
    token="",
)


class Lab:
    def __init__(self, tables: Scratch) -> None:
        self.tables, self.realm = tables, MemoryRealm()
        self.organizations = MemoryOrganizations(self.realm)
        db, events = tables.transactions, tables.publisher
        ending = Ending(db, events, self.realm, 5)
        self.organising = Organising(db, events, ending, ADMIN)
        self.sync = RealmSync(db, self.organizations, ending)
        self.account_id = self.realm.add(Profile("Éloïse Essai", "e@courriel.example", True, "fr"))

    def member_of(self, alias: str, kind: Kind = Kind.ADMINISTRATION) -> str:
        """A new organisation, whose agent the person is, in the realm too."""
        made = self.organising.create(Registration(kind, alias, "Essai", new_siret()))
        organisation_id = str(made.organisation_id)
        self.organising.set_member(organisation_id, self.account_id, Role.AGENT)
        while self.sync.step():
            pass
        return organisation_id

    def told(self) -> int:
        """How often the person's access was ended."""
        return published(self.tables).count(("AccessEnded", self.account_id))

    @property
    def agent(self) -> bool:
        return self.realm.users[self.account_id].agent


@pytest.fixture
def lab(scratch: Scratch) -> Iterator[Lab]:
    with identity_tables(scratch, datetime.now(UTC)) as tables:
        yield Lab(tables)


def test_what_the_realm_issues_before_it_knows_is_ended_at_each_try(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the test takes: what was tried is due again when the test says so.
    monkeypatch.setattr(realm_sync, "FIRST_PAUSE", timedelta(minutes=5))
    organisation_id = lab.member_of("ville")
    assert (lab.organizations.members("ville"), lab.agent) == ([lab.account_id], True)
    lab.realm.away = True
    lab.organising.remove_member(organisation_id, lab.account_id)
    assert lab.told() == 1
    for tries in (2, 3):
        due(lab.tables)
        assert lab.sync.step()
        assert lab.told() == tries
    # Not due again yet.
    assert not lab.sync.step()
    lab.realm.away = False
    due(lab.tables)
    assert lab.sync.step()
    assert lab.told() == 4
    assert (lab.organizations.members("ville"), lab.agent) == ([], False)
    assert not lab.sync.step()


def test_who_leaves_one_of_two_administrations_stays_an_agent(lab: Lab) -> None:
    first, _ = lab.member_of("ville"), lab.member_of("caisse")
    lab.organising.remove_member(first, lab.account_id)
    assert lab.sync.step()
    assert lab.organizations.members("caisse") == [lab.account_id]
    assert (lab.agent, lab.told()) == (True, 2)


def test_what_no_service_goes_by_ends_no_access(lab: Lab) -> None:
    company = lab.member_of("boulangerie", Kind.COMPANY)
    office = lab.member_of("ville")
    for role in (Role.MANAGER, Role.AGENT):
        lab.organising.set_member(office, lab.account_id, role)
    lab.organising.remove_member(company, lab.account_id)
    assert lab.sync.step()
    assert lab.organizations.members("boulangerie") == []
    assert (lab.agent, lab.told()) == (True, 0)
