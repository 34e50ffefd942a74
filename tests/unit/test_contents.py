"""Contents: unreadable at the store, bound to their document and owner, gone with their keys."""

import secrets
import uuid
from collections.abc import Callable, Iterator

import pytest

from backbone.errors import Damaged, Gone, Unavailable
from services.documents.contents import Contents
from services.documents.documents import DocumentRow
from services.documents.domain.sealing import SEGMENT_BYTES
from services.documents.fakes import MemoryKeyring, MemoryStore
from services.documents.keys import KEEP_SECONDS, MAX_OWNERS, OwnerKeys

DATA = secrets.token_bytes(SEGMENT_BYTES * 3 + 1000)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def keyring() -> MemoryKeyring:
    return MemoryKeyring()


@pytest.fixture
def keys(keyring: MemoryKeyring, clock: Clock) -> OwnerKeys:
    return OwnerKeys(keyring, clock)


@pytest.fixture
def contents(store: MemoryStore, keys: OwnerKeys) -> Contents:
    return Contents(store, keys)


def row(owner_id: uuid.UUID | None = None, size: int = len(DATA)) -> DocumentRow:
    return DocumentRow(document_id=uuid.uuid4(), owner_id=owner_id or uuid.uuid4(), size_bytes=size)


def deposited(contents: Contents, owner_id: uuid.UUID | None = None) -> DocumentRow:
    made = row(owner_id)
    contents.put(made, [DATA])
    return made


def read(contents: Contents, made: DocumentRow, offset: int = 0, length: int = 0) -> bytes:
    return b"".join(contents.get(made, offset, length or made.size_bytes - offset))


def test_a_content_and_each_part_of_it_are_read_as_they_were_put(contents: Contents) -> None:
    made = deposited(contents)
    assert read(contents, made) == DATA
    for offset, length in ((0, 1), (SEGMENT_BYTES - 60, 100), (len(DATA) - 1, 1)):
        assert read(contents, made, offset, length) == DATA[offset : offset + length]


def test_the_store_holds_nothing_of_the_content_nor_of_its_key(
    contents: Contents, store: MemoryStore, keys: OwnerKeys
) -> None:
    made = deposited(contents)
    held = store.objects[made.key]
    assert len(held) > len(DATA)
    for start in range(0, len(DATA), 4096):
        assert DATA[start : start + 32] not in held
    assert made.sealed_key is not None
    assert keys.newest(made.owner_id).key not in made.sealed_key


def test_the_same_content_twice_is_two_different_objects(
    contents: Contents, store: MemoryStore
) -> None:
    owner = uuid.uuid4()
    first, second = deposited(contents, owner), deposited(contents, owner)
    assert store.objects[first.key] != store.objects[second.key]


def swap_objects(store: MemoryStore, one: DocumentRow, other: DocumentRow) -> None:
    store.objects[one.key], store.objects[other.key] = (
        store.objects[other.key],
        store.objects[one.key],
    )


def swap_keys(store: MemoryStore, one: DocumentRow, other: DocumentRow) -> None:
    one.sealed_key, other.sealed_key = other.sealed_key, one.sealed_key


def swap_both(store: MemoryStore, one: DocumentRow, other: DocumentRow) -> None:
    swap_objects(store, one, other)
    swap_keys(store, one, other)


@pytest.mark.parametrize("swap", [swap_objects, swap_keys, swap_both])
@pytest.mark.parametrize("same_owner", [True, False])
def test_a_document_never_shows_another_ones_content(
    swap: Callable[[MemoryStore, DocumentRow, DocumentRow], None],
    same_owner: bool,
    contents: Contents,
    store: MemoryStore,
) -> None:
    one = deposited(contents)
    other = deposited(contents, one.owner_id if same_owner else None)
    swap(store, one, other)
    for made in (one, other):
        with pytest.raises(Damaged):
            read(contents, made)


def test_a_document_that_is_given_another_owner_is_not_readable(contents: Contents) -> None:
    made = deposited(contents)
    made.owner_id = uuid.uuid4()
    with pytest.raises(Damaged):
        read(contents, made)


def test_a_changed_and_a_cut_object_are_never_passed_off(
    contents: Contents, store: MemoryStore
) -> None:
    made = deposited(contents)
    whole = store.objects[made.key]
    store.objects[made.key] = whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]
    with pytest.raises(Damaged):
        read(contents, made)
    store.objects[made.key] = whole[: 2 * SEGMENT_BYTES]
    with pytest.raises((Damaged, Unavailable)):
        read(contents, made)


def test_without_the_keyring_nothing_is_stored_and_nothing_begins_to_be_read(
    contents: Contents, store: MemoryStore, keyring: MemoryKeyring, clock: Clock
) -> None:
    made = deposited(contents)
    clock.now += KEEP_SECONDS
    keyring.away = True
    with pytest.raises(Unavailable) as refused:
        contents.put(row(), [DATA])
    assert refused.value.reason == "KEYRING_UNAVAILABLE"
    assert store.objects.keys() == {made.key}
    with pytest.raises(Unavailable):
        contents.get(made, 0, 1)
    keyring.away = False
    assert read(contents, made) == DATA


def test_what_breaks_on_the_way_is_not_stored_and_passes_through(
    contents: Contents, store: MemoryStore
) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA
        raise LookupError

    with pytest.raises(LookupError):
        contents.put(row(), broken())
    assert not store.objects


def test_with_the_keys_the_contents_are_gone_although_the_objects_are_there(
    contents: Contents, store: MemoryStore, keyring: MemoryKeyring, keys: OwnerKeys
) -> None:
    made, other = deposited(contents), deposited(contents)
    keyring.destroy(str(made.owner_id))
    keys.forget([made.owner_id])
    with pytest.raises(Gone) as refused:
        contents.get(made, 0, 1)
    assert refused.value.reason == "ERASED"
    assert made.key in store.objects
    with pytest.raises(Gone):
        contents.put(row(made.owner_id), [DATA])
    assert read(contents, other) == DATA


def test_keys_are_kept_for_five_minutes_and_not_longer(
    contents: Contents, keyring: MemoryKeyring, keys: OwnerKeys, clock: Clock
) -> None:
    made = deposited(contents)
    clock.now += KEEP_SECONDS - 1
    read(contents, made)
    assert keyring.calls == 1
    clock.now += 1
    read(contents, made)
    assert keyring.calls == 2
    # Nor are they held in memory, though nobody asks for them any more.
    clock.now += KEEP_SECONDS
    keys.forget([])
    assert made.owner_key_id is not None
    assert not keys.holds(made.owner_id, made.owner_key_id)


def test_the_keys_of_a_bounded_number_of_owners_are_kept(
    keys: OwnerKeys, keyring: MemoryKeyring
) -> None:
    owners = [uuid.uuid4() for _ in range(MAX_OWNERS + 10)]
    kept = {owner: keys.newest(owner).key_id for owner in owners}
    held = [owner for owner in owners if keys.holds(owner, kept[owner])]
    assert held == owners[10:]


def test_a_renewed_key_wraps_again_and_leaves_the_object_alone(
    contents: Contents, store: MemoryStore, keyring: MemoryKeyring, keys: OwnerKeys
) -> None:
    made = deposited(contents)
    before, held = (made.owner_key_id, made.sealed_key), store.objects[made.key]
    newest = keyring.renew(str(made.owner_id))
    # Still kept: what is wrapped by the earlier key is read as before.
    assert read(contents, made) == DATA
    keys.forget([made.owner_id])
    contents.rewrap(made)
    assert made.owner_key_id == newest
    assert (made.owner_key_id, made.sealed_key) != before
    assert store.objects[made.key] == held
    assert read(contents, made) == DATA


def test_a_key_that_is_newer_than_those_kept_is_asked_for(
    contents: Contents, store: MemoryStore, keyring: MemoryKeyring
) -> None:
    owner = uuid.uuid4()
    deposited(contents, owner)
    keyring.renew(str(owner))
    # By another process, which has the newer key already.
    made = deposited(Contents(store, OwnerKeys(keyring)), owner)
    assert read(contents, made) == DATA


def test_a_key_that_the_keyring_lacks_is_told_as_damage(contents: Contents) -> None:
    made = deposited(contents)
    made.owner_key_id = uuid.uuid4()
    with pytest.raises(Damaged) as refused:
        contents.get(made, 0, 1)
    assert refused.value.reason == "KEY_UNKNOWN"
