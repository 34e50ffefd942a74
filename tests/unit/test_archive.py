"""The archive of an export: whole for any reader of ZIPs, and never held in memory."""

import io
import zipfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.documents.archive import File, zipped

names = st.text("abcdé/ -", min_size=1, max_size=20)
contents = st.lists(st.binary(max_size=2000), max_size=5)


@given(st.dictionaries(names, contents, max_size=6), st.booleans())
def test_every_file_is_read_back(files: dict[str, list[bytes]], compress: bool) -> None:
    data = b"".join(zipped(File(name, parts, compress) for name, parts in files.items()))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: b"".join(parts) for name, parts in files.items()
        }


def test_a_file_is_read_as_the_archive_is_written() -> None:
    read = 0

    def content() -> Iterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield bytes(100_000)

    archive = zipped([File("grand.bin", content(), compress=False)])
    next(archive)
    assert read < 3
    assert sum(map(len, archive)) > 9_900_000
    assert read == 100


def test_what_a_file_raises_passes_through() -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        list(zipped([File("a", broken())]))
