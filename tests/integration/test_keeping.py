"""What is kept, destroyed and erased, step by step: on PostgreSQL, with a store that fails."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from administration.documents.v1 import boxes_pb2
from administration.identity.v1 import events_pb2
from sqlalchemy import func, select, text

from backbone.acting import Acting
from backbone.errors import Conflict, InvalidInput, NotFound, Unavailable
from backbone.receipts.destruction import stated
from backbone.tokens import Caller
from services.documents.boxes.rows import HandedIn, HandInRow
from services.documents.content_row import ContentRow
from services.documents.documents import DocumentRow, State
from services.documents.domain.retention import Disposition
from services.documents.erasures import Erasures
from services.documents.reconciling import Reconciler, ReconcileSettings, Rounds, Stored
from services.documents.retention.destructions import Cause
from services.documents.retention.holds import Holds
from services.documents.retention.keeping import Keeping, require_deletable, retain
from services.documents.retention.locked import LockedObjectRow
from services.documents.sharing.shares import ShareRow
from services.documents.sharing.sharing import Shares
from services.documents.versions import VersionRow
from tests.support.events import Scratch
from tests.support.keeping import CLASSES, SIGNER, Vault
from tests.support.polling import eventually

ADMIN = str(uuid.uuid4())
# What an erasure tells of each time.
NOTHING = {(kind, ""): 0 for kind in ("document", "destruction", "share_received", "box_joined")}


@pytest.fixture
def vault(scratch: Scratch) -> Vault:
    return Vault(scratch)


def past() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)


def keep(vault: Vault, document_id: uuid.UUID, name: str) -> None:
    with vault.locked(document_id) as (_, row):
        retain(row, CLASSES.get(name), datetime.now(UTC))
    vault.settle()


def place(vault: Vault, document_id: uuid.UUID) -> str:
    with vault.locked(document_id) as (session, row):
        hold_id = str(Holds(session).place(row, "Contentieux", ADMIN).hold_id)
    vault.settle()
    return hold_id


def release(vault: Vault, document_id: uuid.UUID, hold_id: str) -> None:
    with vault.locked(document_id) as (session, row):
        Holds(session).release(row, hold_id, ADMIN)


def published(vault: Vault) -> list[tuple[str, dict[str, Any]]]:
    """The events that were published, in their order: type and data."""
    with vault.scratch.engine.connect() as connection:
        query = text("SELECT attributes, data FROM outbox ORDER BY position")
        rows = connection.execute(query).all()
    return [(named["type"].rpartition(".")[2], json.loads(data)) for named, data in rows]


# ---- retention ------------------------------------------------------------------------------


def test_a_retention_is_lengthened_and_never_shortened(vault: Vault) -> None:
    document_id = vault.deposit()
    keep(vault, document_id, "court")
    keep(vault, document_id, "long")
    with vault.locked(document_id) as (_, row):
        with pytest.raises(Conflict) as refused:
            retain(row, CLASSES.get("court"), datetime.now(UTC))
        assert refused.value.reason == "RETENTION_SHORTENED"
        assert row.retain_until is not None
        assert vault.store.retained[row.key] == row.retain_until
        assert row.retain_until.isoformat() in refused.value.detail


def test_a_class_whose_time_is_over_for_a_document_is_refused(vault: Vault) -> None:
    document_id = vault.deposit(create_time=datetime.now(UTC) - timedelta(days=366 * 2))
    with vault.locked(document_id) as (_, row), pytest.raises(InvalidInput) as refused:
        retain(row, CLASSES.get("court"), datetime.now(UTC))
    assert refused.value.fields[0].reason == "ENDED"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"state": State.REFUSED}, "DOCUMENT_REFUSED"),
        ({"purge_time": datetime(2999, 1, 1, tzinfo=UTC)}, "DOCUMENT_TRASHED"),
        ({"expire_time": datetime(2999, 1, 1, tzinfo=UTC)}, "DOCUMENT_EXPIRES"),
    ],
)
def test_what_is_not_there_to_stay_is_not_retained(
    vault: Vault, values: dict[str, Any], reason: str
) -> None:
    with vault.locked(vault.deposit(**values)) as (_, row), pytest.raises(Conflict) as refused:
        retain(row, CLASSES.get("court"), datetime.now(UTC))
    assert refused.value.reason == reason


def test_a_document_that_is_being_checked_is_not_waited_for(vault: Vault) -> None:
    document_id = vault.deposit(state=State.CHECKING)
    with vault.scratch.engine.begin() as checker:
        checker.execute(select(DocumentRow).with_for_update())
        with vault.db.transaction() as session, pytest.raises(Conflict) as refused:
            Keeping(session).owned(str(document_id), vault.owner_id)
    assert refused.value.reason == "DOCUMENT_CHECKING"
    with vault.db.transaction() as session, pytest.raises(NotFound):
        Keeping(session).owned(str(document_id), uuid.uuid4())


def test_a_retained_document_cannot_be_deleted_and_is_told_why(vault: Vault) -> None:
    document_id = vault.deposit()
    keep(vault, document_id, "court")
    with vault.locked(document_id) as (_, row), pytest.raises(Conflict) as refused:
        require_deletable(row, "Code, article 1")
    assert refused.value.reason == "DOCUMENT_RETAINED"
    assert "Code, article 1" in refused.value.detail


def test_the_end_destroys_where_the_class_says_so_and_tells_otherwise(vault: Vault) -> None:
    destroyed, reviewed, unknown = vault.deposit(), vault.deposit(), vault.deposit()
    for document_id, name in ((destroyed, "court"), (reviewed, "revue"), (unknown, "ancienne")):
        vault.set(document_id, retention_class=name, retain_until=past())
    assert vault.destroy()
    assert not vault.destroy()
    (certificate,) = vault.certificates()
    assert certificate.document_id == destroyed
    said = stated(certificate.certificate)
    assert (said.cause, said.retention_class) == (Cause.RETENTION_ENDED, "court")
    assert said.basis == "Code, article 1"
    SIGNER.verifier.require_signed(certificate.certificate)
    told = set()
    with vault.db.transaction() as session:
        while row := Keeping(session).ended(CLASSES.destroying()):
            row.retention_ended = True
            session.flush()
            told.add(row.document_id)
    assert told == {reviewed, unknown}
    assert CLASSES.disposition("ancienne") is Disposition.REVIEW


# ---- the trash ------------------------------------------------------------------------------


def test_what_is_in_the_trash_is_seen_by_its_owner_and_not_by_who_acts_for_them(
    vault: Vault,
) -> None:
    document_id, owner = vault.deposit(), str(vault.owner_id)
    representative = Acting(caller(str(uuid.uuid4())), owner, mandate_id=str(uuid.uuid4()))
    with vault.db.transaction() as session:
        shares = Shares(session)
        assert shares.readable(str(document_id), representative)
        session.get_one(DocumentRow, document_id).purge_time = datetime(2999, 1, 1, tzinfo=UTC)
        assert shares.readable(str(document_id), Acting(caller(owner), owner))
        with pytest.raises(NotFound):
            shares.readable(str(document_id), representative)


def caller(subject: str) -> Caller:
    return Caller(subject, "citizen-portal", frozenset({"citizen"}), "", time.time() + 60, "")


def test_a_share_of_what_is_in_the_trash_gives_nothing_until_it_is_restored(vault: Vault) -> None:
    document_id, share_id = vault.deposit(), uuid.uuid4()
    with vault.db.transaction() as session:
        row = ShareRow(
            share_id=share_id,
            document_id=document_id,
            administration="caf-martinique",
            purpose="Dossier",
            expire_time=datetime(2999, 1, 1, tzinfo=UTC),
        )
        session.add(row)
    later = datetime.now(UTC) + timedelta(days=30)
    # A reading asks this again and again while it lasts; a box tells what was handed in.
    for purge_time, standing, state in (
        (None, {share_id}, boxes_pb2.HAND_IN_STATE_THERE),
        (later, set(), boxes_pb2.HAND_IN_STATE_WITHDRAWN),
        (None, {share_id}, boxes_pb2.HAND_IN_STATE_THERE),
    ):
        vault.set(document_id, purge_time=purge_time)
        with vault.db.transaction() as session:
            assert Shares(session).standing([share_id]) == standing
            share = session.get_one(ShareRow, share_id)
            document = session.get_one(DocumentRow, document_id)
            assert HandedIn(HandInRow(), share, document).state == state


# ---- versions -------------------------------------------------------------------------------


def test_what_is_decided_of_a_document_locks_the_objects_of_every_version(vault: Vault) -> None:
    document_id = vault.deposit()
    keys = [str(key) for key in (document_id, vault.version(document_id))]
    keep(vault, document_id, "court")
    place(vault, document_id)
    # One that comes later, too.
    keys.append(str(vault.version(document_id)))
    assert vault.settle()
    assert not vault.settle()
    found = vault.row(document_id)
    assert found is not None
    assert (found.version, vault.store.retained) == (3, dict.fromkeys(keys, found.retain_until))
    assert vault.store.held == set(keys)
    vault.set(document_id, purge_time=past())
    assert not vault.destroy()


def test_a_version_is_locked_once_it_is_accepted_though_a_later_one_is_shown(vault: Vault) -> None:
    """What is refused is not kept: until its check has ended, nothing locks it."""
    document_id = vault.deposit()
    slow, refused = (vault.version(document_id, accepted=False) for _ in range(2))
    keep(vault, document_id, "court")
    fast = vault.version(document_id)
    assert vault.settle()
    assert set(vault.store.retained) == {str(document_id), str(fast)}
    vault.accept(slow)
    assert vault.settle()
    assert str(slow) in vault.store.retained
    found = vault.row(document_id)
    assert found is not None
    assert found.key == str(fast)
    vault.store.delete(str(refused))


def test_a_version_that_the_store_keeps_for_longer_lengthens_it_for_all(vault: Vault) -> None:
    document_id, until = vault.deposit(), datetime.now(UTC) + timedelta(days=3650)
    keys = [str(document_id), *(str(vault.version(document_id)) for _ in range(2))]
    vault.store.retain(keys[1], until)
    with vault.locked(document_id) as (_, row):
        retain(row, CLASSES.get("court"), datetime.now(UTC))
    while vault.settle():
        pass
    assert vault.store.retained == dict.fromkeys(keys, until)


def test_a_document_is_destroyed_with_every_version(vault: Vault) -> None:
    document_id = vault.deposit()
    vault.version(document_id)
    vault.version(document_id, accepted=False)
    vault.set(document_id, purge_time=past())
    assert vault.destroy()
    assert not vault.store.objects
    assert not rows(vault)
    (certificate,) = vault.certificates()
    assert stated(certificate.certificate).sha256 == "cd" * 32


def test_a_destruction_waits_for_a_check_that_may_bring_bytes(vault: Vault) -> None:
    document_id = vault.deposit()
    version = str(vault.version(document_id, accepted=False))
    brought = vault.store.objects.pop(version)
    vault.set(document_id, purge_time=past())
    with vault.db.transaction() as check:
        check.scalars(select(VersionRow).with_for_update(key_share=True)).one()
        other = threading.Thread(target=vault.destroy)
        other.start()
        eventually(lambda: waits_for_version(vault), what="the destruction to wait")
        assert str(document_id) in vault.store.objects
        vault.store.objects[version] = brought
    other.join(20)
    assert not vault.store.objects
    assert not rows(vault)


def waits_for_version(vault: Vault) -> bool:
    """Whether somebody waits for the lock of versions' rows."""
    query = text(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND query LIKE '%version_of = %FOR UPDATE%'"
    )
    with vault.scratch.engine.connect() as connection:
        return bool(connection.scalar(query))


def rows(vault: Vault) -> int:
    """Contents of whatever document or version."""
    with vault.db.transaction() as session:
        return session.scalar(select(func.count()).select_from(ContentRow)) or 0


def test_an_erasure_says_how_many_objects_of_all_versions_a_lock_keeps(vault: Vault) -> None:
    document_id = vault.deposit()
    keep(vault, document_id, "court")
    version = vault.version(document_id)
    started(vault)
    while vault.erase():
        pass
    assert answers(vault) == [{**NOTHING, ("document", ""): 1, ("unreadable_object", ""): 2}]
    assert not rows(vault)
    with vault.db.transaction() as session:
        kept = {row.object_id for row in session.scalars(select(LockedObjectRow))}
    assert kept == {document_id, version}
    assert {str(key) for key in kept} == set(vault.store.objects)


def test_an_erasure_waits_quietly_for_a_held_document_with_versions(vault: Vault) -> None:
    document_id = vault.deposit()
    vault.version(document_id)
    hold_id = place(vault, document_id)
    started(vault)
    assert vault.erase()
    assert not vault.erase()
    assert answers(vault) == [{**NOTHING, ("document", "LEGAL_HOLD"): 1}]
    assert len(vault.store.objects) == 2
    release(vault, document_id, hold_id)
    while vault.erase():
        pass
    assert not vault.store.objects
    assert answers(vault)[-1] == {**NOTHING, ("document", ""): 1}


# ---- the store does not answer, or a process dies between two lines --------------------------


def test_what_was_decided_while_the_store_was_away_is_locked_when_it_is_back(
    vault: Vault,
) -> None:
    document_id = vault.deposit()
    vault.store.away = True
    with vault.locked(document_id) as (session, row):
        retain(row, CLASSES.get("court"), datetime.now(UTC))
        Holds(session).place(row, "Contentieux", ADMIN)
    with pytest.raises(Unavailable):
        vault.settle()
    vault.store.away = False
    assert vault.settle()
    assert not vault.settle()
    assert str(document_id) in vault.store.held
    found = vault.row(document_id)
    assert found is not None
    assert vault.store.retained[str(document_id)] == found.retain_until


def test_a_store_that_keeps_an_object_for_longer_than_the_row_says_is_believed(
    vault: Vault,
) -> None:
    document_id, until = vault.deposit(), datetime.now(UTC) + timedelta(days=3650)
    vault.store.retain(str(document_id), until)
    vault.set(document_id, purge_time=past())
    assert vault.destroy()
    assert not vault.destroy()
    kept = vault.row(document_id)
    assert kept is not None
    assert kept.retain_until == until
    assert not vault.certificates()


def test_a_hold_that_we_did_not_place_is_not_lifted_and_not_asked_for_again_and_again(
    vault: Vault,
) -> None:
    document_id = vault.deposit(purge_time=past())
    vault.store.hold(str(document_id), on=True)
    assert vault.destroy()
    assert not vault.destroy()
    assert str(document_id) in vault.store.objects


def test_a_destruction_that_died_after_the_bytes_is_done_again(vault: Vault) -> None:
    document_id = vault.deposit(purge_time=past())
    vault.store.delete(str(document_id))
    assert vault.destroy()
    assert vault.row(document_id) is None
    assert [row.document_id for row in vault.certificates()] == [document_id]
    assert [name for name, _ in published(vault)] == ["DocumentDestroyed"]


def test_nothing_is_destroyed_or_certified_while_the_store_is_away(vault: Vault) -> None:
    document_id = vault.deposit(purge_time=past())
    vault.store.away = True
    with pytest.raises(Unavailable):
        vault.destroy()
    assert vault.row(document_id) is not None
    assert not vault.certificates()
    assert not published(vault)


# ---- legal holds ----------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["purge_time", "expire_time", "retain_until"])
def test_a_held_document_waits_whatever_its_end_and_goes_when_the_last_hold_does(
    vault: Vault, end: str
) -> None:
    document_id = vault.deposit(retention_class="court" if end == "retain_until" else "")
    first, second = place(vault, document_id), place(vault, document_id)
    vault.set(document_id, **{end: past()})
    assert not vault.destroy()
    release(vault, document_id, first)
    release(vault, document_id, first)
    vault.settle()
    assert not vault.destroy()
    assert str(document_id) in vault.store.held
    release(vault, document_id, second)
    # The store is yet to be told that it was released: destroying does it.
    assert vault.destroy()
    assert str(document_id) not in vault.store.objects
    assert vault.row(document_id) is None


def test_a_hold_that_is_placed_while_a_destruction_begins_is_waited_for(vault: Vault) -> None:
    """The destruction finds the row locked by whoever places the hold, and passes it by."""
    document_id = vault.deposit(purge_time=past())
    with vault.locked(document_id) as (session, row):
        Holds(session).place(row, "Contentieux", ADMIN)
        destroyed: list[bool] = []
        other = threading.Thread(target=lambda: destroyed.append(vault.destroy()))
        other.start()
        other.join(20)
    assert destroyed == [False]
    assert not vault.destroy()
    assert str(document_id) in vault.store.objects


# ---- erasure --------------------------------------------------------------------------------


def started(vault: Vault) -> None:
    fact = events_pb2.ErasureStarted(erasure_id=str(uuid.uuid4()), account_id=str(vault.owner_id))
    with vault.db.transaction() as session:
        Erasures(session).add(fact)


def answers(vault: Vault) -> list[dict[tuple[str, str], int]]:
    """What was told of the erasure, each time: counts by kind and by what retains them."""
    return [
        {
            (item["kind"], item.get("retainedBy", "")): int(item.get("count", 0))
            for item in data["items"]
        }
        for name, data in published(vault)
        if name == "PersonalDataErased"
    ]


def test_an_erasure_takes_all_but_what_is_held_and_goes_on_when_it_is_free(vault: Vault) -> None:
    for _ in range(21):
        vault.deposit()
    held = [vault.deposit(), vault.deposit()]
    holds = [place(vault, document_id) for document_id in held]
    started(vault)
    while vault.erase():
        pass
    assert set(vault.store.objects) == {str(document_id) for document_id in held}
    assert answers(vault) == [{**NOTHING, ("document", ""): 21, ("document", "LEGAL_HOLD"): 2}]
    for document_id, hold_id in zip(held, holds, strict=True):
        release(vault, document_id, hold_id)
        while vault.erase():
            pass
    assert not vault.store.objects
    assert [answer.get(("document", "LEGAL_HOLD"), 0) for answer in answers(vault)] == [2, 1, 0]
    assert answers(vault)[-1]["document", ""] == 23
    with vault.db.transaction() as session:
        assert not Erasures(session).concerns(vault.owner_id)


def test_an_erasure_leaves_bytes_that_a_lock_keeps_unreadable_until_it_ends(vault: Vault) -> None:
    kept, gone = vault.deposit(), vault.deposit()
    keep(vault, kept, "court")
    started(vault)
    while vault.erase():
        pass
    # The row had the only copy of the content's key.
    assert vault.row(kept) is None
    assert vault.row(gone) is None
    assert set(vault.store.objects) == {str(kept)}
    assert answers(vault) == [{**NOTHING, ("document", ""): 2, ("unreadable_object", ""): 1}]
    (item,) = [
        item
        for _, data in published(vault)
        for item in data.get("items", [])
        if item["kind"] == "unreadable_object"
    ]
    assert datetime.fromisoformat(item["retainedUntil"]) == vault.store.retained[str(kept)]
    # Not asked for before its time, and then deleted.
    assert not vault.delete_unlocked()
    vault.store.retained[str(kept)] = past()
    with vault.db.transaction() as session:
        session.get_one(LockedObjectRow, kept).delete_time = past()
    assert vault.delete_unlocked()
    assert not vault.delete_unlocked()
    assert not vault.store.objects


def test_an_erasure_forgets_what_proved_earlier_destructions(vault: Vault) -> None:
    vault.deposit(purge_time=past())
    vault.destroy()
    started(vault)
    while vault.erase():
        pass
    assert not vault.certificates()
    assert answers(vault) == [{**NOTHING, ("destruction", ""): 1}]


# ---- the reconciliation ---------------------------------------------------------------------


class OneObject:
    """An `Inventory` of one old object."""

    def __init__(self, key: uuid.UUID) -> None:
        self._stored = Stored(str(key), datetime.now(UTC) - timedelta(days=400))

    def after(self, key: str) -> Iterator[Stored]:
        yield self._stored


def round_of(vault: Vault, key: uuid.UUID) -> Rounds:
    rounds = Rounds(OneObject(key), ReconcileSettings(grace=0))
    assert not Reconciler(vault.db, vault.scratch.publisher, vault.store, rounds).step()
    return rounds


def test_an_object_that_a_lock_keeps_is_no_alarm_and_is_not_tried(vault: Vault) -> None:
    document_id = vault.deposit()
    keep(vault, document_id, "court")
    started(vault)
    while vault.erase():
        pass
    # It would raise.
    vault.store.away = True
    assert round_of(vault, document_id).last_unowned == 0


def test_an_object_without_a_row_that_turns_out_locked_is_noted_once(vault: Vault) -> None:
    key = uuid.uuid4()
    vault.store.put(str(key), [b"abc"], "application/pdf")
    vault.store.retain(str(key), datetime.now(UTC) + timedelta(days=1))
    assert round_of(vault, key).last_unowned == 1
    assert round_of(vault, key).last_unowned == 0
    assert str(key) in vault.store.objects
