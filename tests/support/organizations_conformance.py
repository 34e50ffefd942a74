"""What every `RealmOrganizations` does: one body, run on the fake and on the real realm."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from backbone.errors import Unavailable
from services.identity.domain.organisation import Kind, Registration
from services.identity.realm_organizations import RealmOrganizations
from tests.support.organisations import new_siret

NOBODY = str(uuid.uuid4())
# The realm gives members by tens where nobody asks for more.
MORE_THAN_A_PAGE = 12


class OrganizationsConformance:
    """Subclass it with fixtures `organizations`, `new_account` (makes one, gives its identifier),
    `is_agent` (of an account) and `disable` (an organization, by its identifier).
    """

    @pytest.fixture
    def registration(self) -> Registration:
        alias = f"essai-{uuid.uuid4().hex[:12]}"
        return Registration(Kind.ADMINISTRATION, alias, "Ville d’Essai", new_siret())

    def test_an_organization_is_made_once_and_then_taken_over(
        self, organizations: RealmOrganizations, registration: Registration
    ) -> None:
        made = organizations.ensure(registration)
        renamed = replace(registration, name="Ville d’Essai-sur-Mer", siret=new_siret())
        assert organizations.ensure(registration) == organizations.ensure(renamed) == made
        other = replace(registration, alias=f"{registration.alias}-2", siret=new_siret())
        assert organizations.ensure(other) != made

    def test_an_administration_is_one_that_is_enabled_and_no_company(
        self,
        organizations: RealmOrganizations,
        registration: Registration,
        disable: Callable[[str], None],
    ) -> None:
        assert registration.alias not in organizations.administrations()
        realm_id = organizations.ensure(registration)
        assert registration.alias in organizations.administrations()
        disable(realm_id)
        assert registration.alias not in organizations.administrations()
        organizations.ensure(registration)
        assert registration.alias in organizations.administrations()
        organizations.ensure(replace(registration, kind=Kind.COMPANY))
        assert registration.alias not in organizations.administrations()

    def test_a_member_is_one_until_removed_however_often_it_is_said(
        self,
        organizations: RealmOrganizations,
        registration: Registration,
        new_account: Callable[[], str],
    ) -> None:
        realm_id, first, second = organizations.ensure(registration), new_account(), new_account()
        for account_id in (first, first, second):
            assert organizations.add_member(realm_id, account_id)
        organizations.ensure(registration)
        assert sorted(organizations.members(realm_id)) == sorted([first, second])
        for _ in range(2):
            organizations.remove_member(realm_id, first)
            assert organizations.members(realm_id) == [second]

    def test_every_member_is_given(
        self,
        organizations: RealmOrganizations,
        registration: Registration,
        new_account: Callable[[], str],
    ) -> None:
        realm_id = organizations.ensure(registration)
        accounts = [new_account() for _ in range(MORE_THAN_A_PAGE)]
        assert all(organizations.add_member(realm_id, account_id) for account_id in accounts)
        assert sorted(organizations.members(realm_id)) == sorted(accounts)

    def test_whom_the_realm_does_not_have_becomes_nothing(
        self, organizations: RealmOrganizations, registration: Registration
    ) -> None:
        realm_id = organizations.ensure(registration)
        assert not organizations.add_member(realm_id, NOBODY)
        organizations.remove_member(realm_id, NOBODY)
        for agent in (True, False):
            organizations.set_agent(NOBODY, agent=agent)
        assert organizations.members(realm_id) == []

    def test_an_agent_is_one_until_said_otherwise(
        self,
        organizations: RealmOrganizations,
        new_account: Callable[[], str],
        is_agent: Callable[[str], bool],
    ) -> None:
        account_id = new_account()
        assert not is_agent(account_id)
        for agent in (True, True, False, False):
            organizations.set_agent(account_id, agent=agent)
            assert is_agent(account_id) == agent

    def test_of_an_organization_that_is_not_there_the_realm_tells_nothing(
        self, organizations: RealmOrganizations, new_account: Callable[[], str]
    ) -> None:
        with pytest.raises(Unavailable):
            organizations.members(NOBODY)
        with pytest.raises(Unavailable):
            organizations.add_member(NOBODY, new_account())
