"""A ZIP that is never held whole: its bytes, as its files are read."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class File(NamedTuple):
    """One file of the archive; its content is read when its turn comes."""

    name: str
    content: Iterable[bytes]
    # Not what is compressed already, as most documents are.
    compress: bool = True


def zipped(files: Iterable[File]) -> Iterator[bytes]:
    """The archive's bytes, in chunks; whatever the files raise passes through.

    Sizes and checksums follow each file (APPNOTE 6.3, section 4.3.9), as nothing is read twice.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name)
            entry.compress_type = zipfile.ZIP_DEFLATED if file.compress else zipfile.ZIP_STORED
            entry.external_attr = 0o600 << 16
            # How long it will be is not known: it may be longer than 2 GiB.
            with archive.open(entry, "w", force_zip64=True) as writer:
                for chunk in file.content:
                    writer.write(chunk)
                    yield from sink.taken()
            yield from sink.taken()
    yield from sink.taken()


class _Sink(io.RawIOBase):
    """Where the writer of the archive writes; it cannot seek there."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._chunks.append(bytes(data))
        return len(data)

    def taken(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        return chunks
