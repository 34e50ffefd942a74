"""What every `RealmDirectory` does: one body, run on the fake and on the real realm."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backbone.errors import NotFound
from services.identity.domain.realm_event import Stream, Type
from services.identity.realm import RealmDirectory
from tests.support.polling import eventually

NOBODY = str(uuid.uuid4())


class RealmConformance:
    """Subclass it with fixtures `directory`, `account_id`, `sign_in` (the new session's identifier,
    or None when it is refused) and `client_id` (of a client that nobody needs).
    """

    def test_a_person_has_a_profile_and_nobody_has_none(
        self, directory: RealmDirectory, account_id: str
    ) -> None:
        assert directory.profile(account_id).display_name.startswith("Éloïse")
        with pytest.raises(NotFound):
            directory.profile(NOBODY)

    def test_a_language_is_changed_and_nothing_else(
        self, directory: RealmDirectory, account_id: str
    ) -> None:
        before = directory.profile(account_id)
        for locale in ("gcf", "gcf", "en"):
            directory.set_locale(account_id, locale)
            assert directory.profile(account_id) == replace(before, locale=locale)
        with pytest.raises(NotFound):
            directory.set_locale(NOBODY, "en")

    def test_an_account_is_found_by_its_whole_address_in_any_case(
        self, directory: RealmDirectory, account_id: str
    ) -> None:
        email = directory.profile(account_id).email
        assert directory.account_of(email.upper()) == account_id
        assert directory.account_of(email[1:]) is None
        assert directory.account_of("*") is None

    def test_a_session_is_listed_until_it_is_ended(
        self, directory: RealmDirectory, account_id: str, sign_in: Callable[[], str | None]
    ) -> None:
        first, second = sign_in(), sign_in()
        assert first is not None
        live = {each.session_id: each for each in directory.sessions(account_id)}
        assert set(live) == {first, second}
        assert abs(live[first].start_time - datetime.now(UTC)) < timedelta(minutes=1)
        assert live[first].client_ids
        directory.end_session(first)
        directory.end_session(first)
        assert [each.session_id for each in directory.sessions(account_id)] == [second]
        assert directory.sessions(NOBODY) == []

    def test_a_disabled_person_cannot_sign_in_and_keeps_their_profile(
        self, directory: RealmDirectory, account_id: str, sign_in: Callable[[], str | None]
    ) -> None:
        before = directory.profile(account_id)
        directory.set_enabled(account_id, enabled=False)
        assert not directory.is_enabled(account_id)
        assert sign_in() is None
        directory.set_enabled(account_id, enabled=True)
        assert directory.is_enabled(account_id)
        assert sign_in()
        assert directory.profile(account_id) == before
        assert not directory.is_enabled(NOBODY)
        with pytest.raises(NotFound):
            directory.set_enabled(NOBODY, enabled=False)

    def test_a_deleted_person_is_no_more(
        self, directory: RealmDirectory, account_id: str, sign_in: Callable[[], str | None]
    ) -> None:
        directory.delete_account(account_id)
        directory.delete_account(account_id)
        assert sign_in() is None
        with pytest.raises(NotFound):
            directory.profile(account_id)

    def test_a_client_is_found_by_its_name_and_disabled(
        self, directory: RealmDirectory, client_id: str
    ) -> None:
        key = directory.client_key(client_id)
        assert key is not None
        assert directory.client_state(key) == (client_id, True)
        directory.disable_client(key)
        directory.disable_client(key)
        assert directory.client_state(key) == (client_id, False)
        assert directory.client_key("nobody's") is None
        assert directory.client_state(NOBODY) is None
        with pytest.raises(NotFound):
            directory.disable_client(NOBODY)

    def test_its_log_tells_of_sign_ins_in_their_order_each_with_its_identifier(
        self, directory: RealmDirectory, account_id: str, sign_in: Callable[[], str | None]
    ) -> None:
        begun = datetime.now(UTC) - timedelta(seconds=1)
        sessions = [sign_in(), sign_in()]

        def told() -> bool:
            mine = [
                each
                for each in directory.events(Stream.USERS, begun)
                if each.account_id == account_id and each.type is Type.SIGNED_IN
            ]
            return (
                [each.session_id for each in mine] == sessions
                and len({each.event_id for each in mine}) == 2
                and list(directory.events(Stream.USERS, begun))
                == list(directory.events(Stream.USERS, begun))
            )

        eventually(told)
        assert directory.saving(Stream.USERS).enabled
        assert directory.saving(Stream.ADMIN).enabled
        later = datetime.now(UTC) + timedelta(hours=1)
        assert list(directory.events(Stream.USERS, later)) == []
