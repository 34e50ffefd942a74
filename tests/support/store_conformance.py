"""What every `ObjectStore` does: one body, run on the fake and on the real one."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from backbone.errors import Damaged, Unavailable
from services.documents.s3 import CHUNK_BYTES
from services.documents.store import PART_BYTES, Locked, ObjectStore
from tests.support.polling import eventually
from tests.support.vault import chunks, unique_bytes

# Around the sizes at which an object is cut into parts and chunks.
SIZES = (1, CHUNK_BYTES, CHUNK_BYTES + 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1)


def in_seconds(seconds: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def deleted(store: ObjectStore, key: str) -> bool:
    try:
        store.delete(key)
    except Locked:
        return False
    return True


class StoreConformance:
    """Subclass it with a fixture `store`."""

    @pytest.fixture
    def key(self) -> str:
        return f"essai-{uuid.uuid4()}"

    @pytest.mark.parametrize("size", SIZES)
    def test_an_object_is_read_as_it_was_put(self, store: ObjectStore, key: str, size: int) -> None:
        data = unique_bytes(size)
        for told in (0, size):
            store.put(key, chunks(data), "application/pdf", told)
            assert b"".join(store.get(key, 0, size)) == data
        store.delete(key)

    def test_a_range_is_read_alone(self, store: ObjectStore, key: str) -> None:
        data = unique_bytes(CHUNK_BYTES * 2)
        store.put(key, chunks(data), "application/pdf")
        for offset, length in ((0, 1), (5, 10), (CHUNK_BYTES - 1, 2), (len(data) - 1, 1)):
            assert b"".join(store.get(key, offset, length)) == data[offset : offset + length]
        store.delete(key)

    def test_chunks_are_no_larger_than_they_may_be(self, store: ObjectStore, key: str) -> None:
        data = unique_bytes(CHUNK_BYTES * 3 + 1)
        store.put(key, [data], "application/pdf")
        sizes = [len(chunk) for chunk in store.get(key, 0, len(data))]
        assert sum(sizes) == len(data)
        assert max(sizes) <= CHUNK_BYTES
        store.delete(key)

    @pytest.mark.parametrize("before", [10, PART_BYTES + 10])
    @pytest.mark.parametrize("told", [0, 3 * PART_BYTES])
    def test_what_breaks_on_the_way_is_not_stored(
        self, store: ObjectStore, key: str, before: int, told: int
    ) -> None:
        def broken() -> Iterator[bytes]:
            yield from chunks(unique_bytes(before))
            raise LookupError("the upload breaks")

        with pytest.raises(LookupError, match="the upload breaks"):
            store.put(key, broken(), "application/pdf", told)
        with pytest.raises(Unavailable):
            list(store.get(key, 0, 1))

    def test_an_object_that_is_not_there_cannot_be_read(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(Unavailable):
            list(store.get(key, 0, 1))

    def test_a_short_object_is_never_passed_off_as_whole(
        self, store: ObjectStore, key: str
    ) -> None:
        store.put(key, [b"abc"], "application/pdf")
        for offset, length in ((0, 4), (3, 1), (9, 1)):
            with pytest.raises(Damaged):
                list(store.get(key, offset, length))
        store.delete(key)

    def test_a_deleted_object_is_gone_and_deleting_again_is_nothing(
        self, store: ObjectStore, key: str
    ) -> None:
        store.put(key, [b"abc"], "application/pdf")
        store.put(key, [b"abcd"], "application/pdf")
        store.delete(key)
        with pytest.raises(Unavailable):
            list(store.get(key, 0, 1))
        store.delete(key)

    def test_deleting_leaves_an_object_whose_key_begins_alike(
        self, store: ObjectStore, key: str
    ) -> None:
        store.put(key, [b"abc"], "application/pdf")
        store.put(f"{key}-2", [b"other"], "application/pdf")
        store.delete(key)
        assert b"".join(store.get(f"{key}-2", 0, 5)) == b"other"
        store.delete(f"{key}-2")

    def test_reading_may_stop_half_way(self, store: ObjectStore, key: str) -> None:
        data = unique_bytes(CHUNK_BYTES * 4)
        store.put(key, [data], "application/pdf")
        for _ in range(5):
            reading = iter(store.get(key, 0, len(data)))
            next(reading)
            reading.close()  # type: ignore[attr-defined]
        assert b"".join(store.get(key, 0, len(data))) == data
        store.delete(key)

    def test_a_retained_object_is_kept_until_its_time_and_no_longer(
        self, store: ObjectStore, key: str
    ) -> None:
        store.put(key, [b"abc"], "application/pdf")
        until = in_seconds(8)
        store.retain(key, until)
        with pytest.raises(Locked) as refused:
            store.delete(key)
        assert refused.value.until == until
        assert b"".join(store.get(key, 0, 3)) == b"abc"
        eventually(lambda: deleted(store, key))
        assert datetime.now(UTC) >= until

    def test_a_retention_is_lengthened_and_never_shortened(
        self, store: ObjectStore, key: str
    ) -> None:
        store.put(key, [b"abc"], "application/pdf")
        # Far enough ahead for all that is asked of the store before the first has passed.
        first, second = in_seconds(6), in_seconds(9)
        store.retain(key, first)
        store.retain(key, second)
        store.retain(key, second)
        with pytest.raises(Locked) as refused:
            store.retain(key, first)
        assert refused.value.until == second
        with pytest.raises(Locked) as kept:
            store.delete(key)
        assert kept.value.until == second
        eventually(lambda: deleted(store, key))

    def test_a_held_object_is_kept_until_it_is_released(self, store: ObjectStore, key: str) -> None:
        store.put(key, [b"abc"], "application/pdf")
        for _ in range(2):
            store.hold(key, on=True)
        with pytest.raises(Locked) as refused:
            store.delete(key)
        assert refused.value.until is None
        for _ in range(2):
            store.hold(key, on=False)
        store.delete(key)
        with pytest.raises(Unavailable):
            list(store.get(key, 0, 1))

    def test_locking_what_is_not_there_is_nothing(self, store: ObjectStore, key: str) -> None:
        store.retain(key, in_seconds(60))
        store.hold(key, on=True)
        store.hold(key, on=False)
        store.delete(key)
