"""The fake realm, its people and its organizations, keeps the promises of the real one."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from services.identity.domain.account import Profile
from services.identity.domain.realm_event import RealmEvent, Stream, Type
from services.identity.fakes import MemoryOrganizations, MemoryRealm
from tests.support.organizations_conformance import OrganizationsConformance
from tests.support.realm_conformance import RealmConformance

PROFILE = Profile("Éloïse Essai", "e@courriel.example", True, "fr")


class TestMemoryRealm(RealmConformance):
    @pytest.fixture
    def directory(self) -> MemoryRealm:
        realm = MemoryRealm()
        realm.clients["essai"] = True
        return realm

    @pytest.fixture
    def account_id(self, directory: MemoryRealm) -> str:
        return directory.add(PROFILE)

    @pytest.fixture
    def client_id(self) -> str:
        return "essai"

    @pytest.fixture
    def sign_in(self, directory: MemoryRealm, account_id: str) -> Callable[[], str | None]:
        def sign_in() -> str | None:
            if not directory.is_enabled(account_id):
                return None
            session_id = directory.sign_in(account_id)
            directory.log.append(
                RealmEvent(
                    uuid.uuid4(),
                    Stream.USERS,
                    Type.SIGNED_IN,
                    datetime.now(UTC),
                    account_id,
                    session_id=session_id,
                )
            )
            return session_id

        return sign_in


class TestMemoryOrganizations(OrganizationsConformance):
    @pytest.fixture
    def organizations(self) -> MemoryOrganizations:
        return MemoryOrganizations(MemoryRealm())

    @pytest.fixture
    def new_account(self, organizations: MemoryOrganizations) -> Callable[[], str]:
        return lambda: organizations.realm.add(PROFILE)

    @pytest.fixture
    def is_agent(self, organizations: MemoryOrganizations) -> Callable[[str], bool]:
        return lambda account_id: organizations.realm.users[account_id].agent

    @pytest.fixture
    def disable(self, organizations: MemoryOrganizations) -> Callable[[str], None]:
        def disable(realm_id: str) -> None:
            organizations.found[realm_id].enabled = False

        return disable
