"""Orders about access: recorded and told first, then done in the realm, whatever fails between."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backbone.errors import InvalidInput, NotFound
from services.identity import orders
from services.identity.domain.account import Profile
from services.identity.ending import Ending
from services.identity.fakes import MemoryRealm
from tests.support.events import Scratch
from tests.support.identity_tables import due, identity_tables, published, undone

PROFILE = Profile("Éloïse Essai", "eloise@courriel.example", True, "fr")
ADMIN = "00000000-0000-4000-8000-00000000000a"


@pytest.fixture(autouse=True)
def no_pause_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """`due` ends them: half a second may pass between two lines of a test."""
    monkeypatch.setattr(orders, "FIRST_PAUSE", timedelta(hours=1))
    monkeypatch.setattr(orders, "LONGEST_PAUSE", timedelta(hours=1))


@pytest.fixture
def tables(scratch: Scratch) -> Iterator[Scratch]:
    with identity_tables(scratch, datetime.now(UTC)) as opened:
        yield opened


@pytest.fixture
def realm() -> MemoryRealm:
    made = MemoryRealm()
    made.clients["portal"] = True
    return made


@pytest.fixture
def account_id(realm: MemoryRealm) -> str:
    return realm.add(PROFILE)


@pytest.fixture
def ending(tables: Scratch, realm: MemoryRealm) -> Ending:
    return Ending(tables.transactions, tables.publisher, realm, 5)


def test_an_order_is_told_at_once_and_again_once_the_realm_has_done_it(
    ending: Ending, tables: Scratch, realm: MemoryRealm, account_id: str
) -> None:
    session_id = realm.sign_in(account_id)
    ending.end_session(account_id, session_id, current="")
    assert published(tables) == [("AccessEnded", session_id)]
    assert len(realm.sessions(account_id)) == 1
    assert ending.sessions(account_id) == []
    assert ending.carry_out()
    assert realm.sessions(account_id) == []
    assert published(tables) == [("AccessEnded", session_id)] * 2
    assert not ending.carry_out()


def test_an_order_needs_no_answer_of_the_realm_and_is_tried_until_it_answers(
    ending: Ending, tables: Scratch, realm: MemoryRealm, account_id: str
) -> None:
    session_id = realm.sign_in(account_id)
    realm.away = True
    ending.end_session(account_id, session_id, current=session_id)
    ending.end_sessions(account_id, account_id)
    ending.disable(account_id, ADMIN)
    before = len(published(tables))
    assert before == 3
    assert not ending.carry_out()
    # What the realm may have given meanwhile is ended too, and nothing is tried in a hurry.
    assert len(published(tables)) == before + 1
    while undone(tables):
        realm.away = False
        due(tables)
        assert ending.carry_out()
    assert realm.sessions(account_id) == []
    assert not realm.is_enabled(account_id)


def test_a_process_that_is_killed_after_the_realm_did_it_leaves_an_order_for_the_next(
    ending: Ending,
    tables: Scratch,
    realm: MemoryRealm,
    account_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending.disable(account_id, ADMIN)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ending, "_tell", killed)
        with pytest.raises(KeyboardInterrupt):
            ending.carry_out()
    assert not realm.is_enabled(account_id)
    assert (undone(tables), published(tables)) == (1, [("AccessEnded", account_id)])
    assert ending.carry_out()
    assert (undone(tables), published(tables)) == (0, [("AccessEnded", account_id)] * 2)


def test_who_signs_in_after_all_sessions_were_ended_keeps_theirs(
    ending: Ending, tables: Scratch, realm: MemoryRealm, account_id: str
) -> None:
    old = realm.sign_in(account_id)
    ending.end_sessions(account_id, account_id)
    new = realm.sign_in(account_id)
    assert ending.carry_out()
    assert [each.session_id for each in realm.sessions(account_id)] == [new]
    assert ("AccessEnded", old) in published(tables)
    assert ("AccessEnded", new) not in published(tables)


def test_orders_about_one_account_are_done_in_their_order(
    ending: Ending, tables: Scratch, realm: MemoryRealm, account_id: str
) -> None:
    realm.away = True
    ending.disable(account_id, ADMIN)
    assert not ending.carry_out()
    realm.away = False
    ending.enable(account_id, ADMIN)
    # The first is not due yet: the second waits for it.
    assert not ending.carry_out()
    due(tables)
    assert ending.carry_out()
    assert not realm.is_enabled(account_id)
    assert ending.carry_out()
    assert realm.is_enabled(account_id)


def test_an_order_is_done_by_one_process_and_hinders_no_other(
    ending: Ending, tables: Scratch, realm: MemoryRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = realm.add(PROFILE), realm.add(PROFILE)
    asked, leave = threading.Event(), threading.Event()
    set_enabled = realm.set_enabled

    def slow(account_id: str, *, enabled: bool) -> None:
        if account_id == first:
            asked.set()
            assert leave.wait(20)
        set_enabled(account_id, enabled=enabled)

    monkeypatch.setattr(realm, "set_enabled", slow)
    ending.disable(first, ADMIN)
    thread = threading.Thread(target=ending.carry_out)
    thread.start()
    assert asked.wait(20)
    ending.disable(second, ADMIN)
    assert ending.carry_out()
    assert not realm.is_enabled(second)
    assert not ending.carry_out()
    leave.set()
    thread.join(20)
    assert undone(tables) == 0


def test_what_the_realm_no_longer_has_is_done(
    ending: Ending, tables: Scratch, realm: MemoryRealm, account_id: str
) -> None:
    ending.revoke_client("portal", ADMIN)
    ending.disable(account_id, ADMIN)
    del realm.clients["portal"], realm.users[account_id]
    assert ending.carry_out()
    assert ending.carry_out()
    assert undone(tables) == 0


def test_an_order_that_makes_no_sense_is_refused(
    ending: Ending, tables: Scratch, account_id: str
) -> None:
    with pytest.raises(InvalidInput):
        ending.disable(ADMIN, ADMIN)
    with pytest.raises(InvalidInput):
        ending.revoke_client("identity", ADMIN)
    with pytest.raises(NotFound):
        ending.revoke_client("nobody", ADMIN)
    with pytest.raises(NotFound):
        ending.end_session(account_id, "nobody's", current="")
    assert published(tables) == []
