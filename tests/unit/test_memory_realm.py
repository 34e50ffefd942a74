"""The fake realm keeps the promises of the real one."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from services.identity.domain.account import Profile
from services.identity.domain.realm_event import RealmEvent, Stream, Type
from services.identity.fakes import MemoryRealm
from tests.support.realm_conformance import RealmConformance


class TestMemoryRealm(RealmConformance):
    @pytest.fixture
    def directory(self) -> MemoryRealm:
        realm = MemoryRealm()
        realm.clients["essai"] = True
        return realm

    @pytest.fixture
    def account_id(self, directory: MemoryRealm) -> str:
        return directory.add(Profile("Éloïse Essai", "e@courriel.example", True, "fr"))

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
