"""A stored document as a file that checks can seek in, of which only a few blocks are in memory.

Nothing is written to a disk: what the store keeps encrypted is in clear in this process alone.
"""

import io
from collections import OrderedDict
from collections.abc import Callable, Iterable

# What is not larger is read once, and held whole.
WHOLE_BYTES = 8 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024
BLOCKS = 6

# Gives the bytes `[offset, offset + length)`, in chunks.
Read = Callable[[int, int], Iterable[bytes]]


class Content(io.RawIOBase):
    """Reads through a cache of blocks, the one used longest ago given up first. Whatever `read`
    raises passes through.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read, self._size, self._position = read, size, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("before the beginning")
        self._position = start + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes: fewer only at the end."""
        end = self._size if size < 0 else min(self._size, self._position + size)
        parts = []
        while self._position < end:
            number, start = divmod(self._position, BLOCK_BYTES)
            part = self._block(number)[start : start + end - self._position]
            parts.append(part)
            self._position += len(part)
        return b"".join(parts)

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK_BYTES
        block = b"".join(self._read(start, min(BLOCK_BYTES, self._size - start)))
        self._blocks[number] = block
        if len(self._blocks) > BLOCKS:
            self._blocks.popitem(last=False)
        return block
