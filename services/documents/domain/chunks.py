"""Chunks as a file."""

import io
from collections.abc import Iterable, Iterator
from itertools import islice


def gathered(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The same bytes in fewer chunks: `count` at a time are one."""
    rest = iter(chunks)
    while part := b"".join(islice(rest, count)):
        yield part


class ChunkReader(io.RawIOBase):
    """Chunks as a file, for what reads."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes: fewer only at the end. Whatever the chunks raise passes through."""
        parts, wanted = [], size if size >= 0 else 1 << 62
        while wanted:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._rest = memoryview(chunk)
            part, self._rest = self._rest[:wanted], self._rest[wanted:]
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)
