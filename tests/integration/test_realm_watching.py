"""The realm's logs become events once each, and what is missing is told."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from backbone.errors import Unavailable
from backbone.events.tables import outbox
from services.identity import watching
from services.identity.accounts import Accounts, Seen
from services.identity.domain.account import Profile
from services.identity.domain.realm_event import RealmEvent, Stream, Type
from services.identity.fakes import MemoryRealm
from services.identity.realm import Saving
from services.identity.realm_log import CursorRow
from services.identity.watching import Watch, Watching
from tests.support.events import Scratch
from tests.support.identity_tables import identity_tables, published

PROFILE = Profile("Éloïse Essai", "eloise@courriel.example", True, "fr")
START = datetime.now(UTC) - timedelta(hours=2)


@pytest.fixture
def tables(scratch: Scratch) -> Iterator[Scratch]:
    with identity_tables(scratch, START) as opened:
        yield opened


@pytest.fixture
def realm() -> MemoryRealm:
    return MemoryRealm()


@pytest.fixture
def reader(tables: Scratch, realm: MemoryRealm) -> Watching:
    return Watching(tables.transactions, tables.publisher, realm)


def entry(realm: MemoryRealm, ago: float = 60, **values: Any) -> RealmEvent:
    """One more line of the realm's log, made so many seconds ago."""
    given: dict[str, Any] = {
        "event_id": uuid.uuid4(),
        "stream": Stream.USERS,
        "type": Type.SIGNED_IN,
        "time": datetime.now(UTC) - timedelta(seconds=ago),
        "account_id": str(uuid.uuid4()),
        "client_id": "portal",
    }
    made = RealmEvent(**{**given, **values})
    realm.log.append(made)
    return made


def test_a_known_account_follows_what_the_realm_says(
    tables: Scratch, reader: Watching, realm: MemoryRealm
) -> None:
    known, unknown = realm.add(PROFILE), realm.add(PROFILE)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    with tables.transactions.transaction() as session:
        Accounts(session).see(known, PROFILE, long_ago)
    renamed = replace(PROFILE, email="autre@courriel.example")
    for account_id in (known, unknown):
        realm.users[account_id].profile = renamed
        entry(realm, type=Type.EMAIL_VERIFIED, account_id=account_id)
    entry(realm, type=Type.PROFILE_CHANGED, account_id=known)
    read(reader)
    with tables.transactions.transaction() as session:
        found = Accounts(session).find(known)
        assert found is not None
        assert found.profile == renamed
        assert Accounts(session).find(unknown) is None
        # What a token of before says brings nothing back.
        again, seen = Accounts(session).see(known, PROFILE, datetime.now(UTC) - timedelta(hours=1))
        assert (again.profile, seen) == (renamed, Seen.KNOWN)
    told = [each for each in published(tables) if each[0] == "AccountUpdated"]
    assert told == [("AccountUpdated", known)]


def read(reader: Watching, stream: Stream = Stream.USERS, *, deep: bool = False) -> None:
    """One pass and what it says is left."""
    while reader.read(stream, deep=deep):
        pass


def test_an_entry_is_told_once_with_its_own_identifier_and_time(
    reader: Watching, realm: MemoryRealm, tables: Scratch
) -> None:
    made = entry(realm)
    for _ in range(3):
        read(reader)
        read(reader, deep=True)
    with tables.engine.connect() as connection:
        (row,) = connection.execute(select(outbox)).all()
    assert row.attributes["id"] == str(made.event_id)
    assert datetime.fromisoformat(row.attributes["time"]) == made.time
    assert published(tables) == [("SignedIn", made.account_id)]


def test_each_type_becomes_its_facts_and_what_ended_ends_everywhere(
    reader: Watching, realm: MemoryRealm, tables: Scratch
) -> None:
    gone, disabled, enabled = (realm.add(PROFILE) for _ in range(3))
    del realm.users[gone]
    realm.set_enabled(disabled, enabled=False)
    realm.clients |= {"off": False, "on": True}
    failed = entry(realm, 50, type=Type.SIGN_IN_FAILED, account_id="", error="client_not_found")
    for ago, values in (
        (49, {"type": Type.REGISTERED, "account_id": enabled}),
        (48, {"type": Type.EMAIL_VERIFIED, "account_id": enabled}),
        (47, {"type": Type.SIGNED_OUT, "account_id": enabled, "session_id": "s-1"}),
        (46, {"type": Type.ACCOUNT_DELETED, "account_id": gone, "stream": Stream.ADMIN}),
        (45, {"type": Type.ACCOUNT_CHANGED, "account_id": disabled, "stream": Stream.ADMIN}),
        (44, {"type": Type.ACCOUNT_CHANGED, "account_id": enabled, "stream": Stream.ADMIN}),
        (43, {"type": Type.SESSION_ENDED, "session_id": "s-2", "stream": Stream.ADMIN}),
        (42, {"type": Type.CLIENT_CHANGED, "client_key": "key of off", "stream": Stream.ADMIN}),
        (41, {"type": Type.CLIENT_CHANGED, "client_key": "key of on", "stream": Stream.ADMIN}),
        (40, {"type": Type.SESSIONS_ENDED, "account_id": enabled, "stream": Stream.ADMIN}),
    ):
        entry(realm, ago, **{"account_id": "", **values})
    read(reader)
    read(reader, Stream.ADMIN)
    assert published(tables) == [
        ("SignInFailed", str(failed.event_id)),
        ("AccountRegistered", enabled),
        ("EmailVerified", enabled),
        ("SignedOut", enabled),
        ("AccessEnded", "s-1"),
        ("AccountDeleted", gone),
        ("AccessEnded", gone),
        ("AccessEnded", disabled),
        ("AccessEnded", "s-2"),
        ("AccessEnded", "off"),
        ("AccessEnded", enabled),
    ]
    with tables.engine.connect() as connection:
        rows = connection.execute(select(outbox)).all()
    assert len({row.attributes["id"] for row in rows}) == len(rows)
    (told,) = (bytes(row.data) for row in rows if row.key == str(failed.event_id))
    assert b"client_not_found" in told
    # Of an unknown client, the name is what somebody typed.
    assert b"portal" not in told


def test_an_entry_that_is_committed_late_is_found(
    reader: Watching, realm: MemoryRealm, tables: Scratch
) -> None:
    read(reader)
    late, later = entry(realm, 3), entry(realm, 200)
    read(reader)
    assert published(tables) == [("SignedIn", late.account_id)]
    read(reader, deep=True)
    assert published(tables)[1:] == [("SignedIn", later.account_id)]


def test_what_was_made_while_nobody_read_is_read_in_batches_and_none_is_lost(
    reader: Watching, realm: MemoryRealm, tables: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BATCH", 20)
    monkeypatch.setattr(watching, "CHUNK", 7)
    made = [entry(realm, 5000 - number) for number in range(100)]
    assert reader.read(Stream.USERS)
    read(reader)
    assert published(tables) == [("SignedIn", each.account_id) for each in made]


def test_a_pass_that_is_killed_leaves_all_as_it_was(
    reader: Watching, realm: MemoryRealm, tables: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [entry(realm) for _ in range(3)]
    tell, told = reader._tell, 0

    def killed(event: RealmEvent) -> None:
        nonlocal told
        told += 1
        if told == 2:
            raise KeyboardInterrupt
        tell(event)

    with monkeypatch.context() as patched:
        patched.setattr(reader, "_tell", killed)
        with pytest.raises(KeyboardInterrupt):
            read(reader)
    assert published(tables) == []
    read(reader)
    assert {key for _, key in published(tables)} == {each.account_id for each in made}


def test_a_realm_that_does_not_answer_is_told_and_read_later(
    reader: Watching, realm: MemoryRealm, tables: Scratch
) -> None:
    watch = Watch()
    made = entry(realm)
    realm.away = True
    with pytest.raises(Unavailable):
        reader.read(Stream.USERS)
    assert not watch.read(reader)
    assert watch.check_well() is not None
    realm.away = False
    watch.read(reader)
    assert watch.check_well() is None
    assert published(tables) == [("SignedIn", made.account_id)]


def test_one_process_reads_at_a_time(reader: Watching, realm: MemoryRealm, tables: Scratch) -> None:
    entry(realm)
    with tables.engine.begin() as other:
        other.execute(select(CursorRow).with_for_update())
        assert not reader.read(Stream.USERS)
        assert published(tables) == []
    read(reader)
    assert len(published(tables)) == 1


def test_entries_that_expired_before_they_were_read_are_a_gap(
    reader: Watching, realm: MemoryRealm, tables: Scratch
) -> None:
    realm.kept[Stream.USERS] = Saving(enabled=True, kept=timedelta(hours=1))
    made = entry(realm)
    read(reader)
    read(reader, deep=True)
    assert published(tables) == [("RealmEventsMissed", "events"), ("SignedIn", made.account_id)]


def test_a_log_that_is_not_saved_is_a_gap(
    reader: Watching, realm: MemoryRealm, tables: Scratch
) -> None:
    realm.kept[Stream.ADMIN] = Saving(enabled=False, kept=None)
    read(reader, Stream.ADMIN)
    assert published(tables) == [("RealmEventsMissed", "admin-events")]


def test_entries_that_were_removed_from_the_log_are_a_gap_told_once(
    reader: Watching, realm: MemoryRealm, tables: Scratch
) -> None:
    entry(realm, 6000)
    entry(realm, 3000)
    read(reader)
    read(reader, deep=True)
    assert len(published(tables)) == 2
    realm.log.clear()
    for _ in range(3):
        read(reader, deep=True)
    assert published(tables)[2:] == [("RealmEventsMissed", "events")]


def test_no_process_takes_a_quiet_log_for_a_gap(reader: Watching, tables: Scratch) -> None:
    for _ in range(3):
        read(reader, deep=True)
    assert published(tables) == []
