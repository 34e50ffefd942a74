"""The fake object store keeps the promises of the real one."""

import pytest

from services.documents.domain.chunks import ChunkReader
from services.documents.fakes import MemoryStore
from tests.support.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


def test_chunks_read_as_a_file_come_in_any_size_asked() -> None:
    reader = ChunkReader(iter([b"abc", b"", b"defgh", b"i"]))
    assert reader.readable()
    assert reader.read(2) == b"ab"
    assert reader.read(0) == b""
    assert reader.read(5) == b"cdefg"
    assert reader.read() == b"hi"
    assert reader.read(10) == b""
