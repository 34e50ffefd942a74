"""Sealed content: authenticated encryption in segments, so that a part costs its segments alone.

The bytes are those of Tink's streaming AEAD "AES-GCM-HKDF" (developers.google.com/tink, AES256,
HKDF-SHA256, nonce prefix of 7 bytes), after the STREAM construction of Hoang, Reyhanitabar, Rogaway
and Vizár (CRYPTO 2015). A segment's nonce holds its number and whether it is the last: segments
that are exchanged, missing, doubled or of another document do not open.

    object    = header, segment 0, …, segment n
    header    = its length (1 byte), salt (32), nonce prefix (7)
    segment i = AES-256-GCM(key, nonce prefix + i (4 bytes) + (1 if it is the last, else 0))
    key       = HKDF-SHA256(content key, salt, info = associated data)

Segments end at multiples of SEGMENT_BYTES in the object; the header takes its room from the first.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.documents.domain.chunks import ChunkReader

# Measured: docs/adr/0013-keyring-and-sealed-content.md.
SEGMENT_BYTES = 256 * 1024
TAG_BYTES = 16


class SealBroken(Exception):
    """Not the bytes that were sealed."""


@dataclass(frozen=True, slots=True)
class ContentKey:
    """What opens one object, and its header, so that no part needs the header's bytes."""

    SALT_BYTES: ClassVar = 32
    PREFIX_BYTES: ClassVar = 7
    HEADER_BYTES: ClassVar = 1 + SALT_BYTES + PREFIX_BYTES

    key: bytes
    salt: bytes
    prefix: bytes

    @classmethod
    def new(cls) -> "ContentKey":
        """Of one object: never to be used for a second one."""
        return cls(os.urandom(32), os.urandom(cls.SALT_BYTES), os.urandom(cls.PREFIX_BYTES))

    @classmethod
    def of_bytes(cls, data: bytes) -> "ContentKey":
        """The inverse of `to_bytes`."""
        return cls(data[:32], data[32:64], data[64:])

    def to_bytes(self) -> bytes:
        """All of it, to be wrapped."""
        return self.key + self.salt + self.prefix

    @property
    def header(self) -> bytes:
        return bytes([self.HEADER_BYTES]) + self.salt + self.prefix


class Seal:
    """Seals and opens one object. `associated_data` says which; it is not in the object."""

    def __init__(
        self, key: ContentKey, associated_data: bytes, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        derived = HKDF(SHA256(), 32, key.salt, associated_data).derive(key.key)
        self._cipher = AESGCM(derived)
        self._key = key
        self._segment = segment_bytes
        # Bytes of content in a segment; of the first, the header takes some.
        self._room = segment_bytes - TAG_BYTES

    def sealed_size(self, size: int) -> int:
        """Bytes of the object of `size` bytes of content."""
        return size + ContentKey.HEADER_BYTES + TAG_BYTES * (self._last(size) + 1)

    def seal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The object, a segment at a time. Whatever `chunks` raises passes through."""
        reader = ChunkReader(chunks)
        header = self._key.header
        index, content = 0, reader.read(self._room - len(header))
        while True:
            following = reader.read(self._room)
            sealed = self._cipher.encrypt(self._nonce(index, not following), content, None)
            yield header + sealed if index == 0 else sealed
            if not following:
                return
            index, content = index + 1, following

    def span(self, offset: int, length: int, size: int) -> tuple[int, int]:
        """The first byte and the count of the object that hold the content's bytes
        ``[offset, offset + length)`` of `size`; `length` is at least 1.
        """
        first, last = self._holding(offset), self._holding(offset + length - 1)
        start = first * self._segment
        return start, min((last + 1) * self._segment, self.sealed_size(size)) - start

    def open(self, sealed: Iterable[bytes], offset: int, length: int, size: int) -> Iterator[bytes]:
        """The content's bytes ``[offset, offset + length)``, a segment at a time, from the bytes of
        the object that `span` names. Whatever `sealed` raises passes through.

        Raises:
            SealBroken: they are not what was sealed; what was yielded before was.
        """
        reader = ChunkReader(sealed)
        first, left = self._holding(offset), length
        skip = offset - self._start(first)
        last = self._last(size)
        for index in range(first, self._holding(offset + length - 1) + 1):
            wanted = min(self._segment, self.sealed_size(size) - index * self._segment)
            content = self._opened(index, index == last, reader.read(wanted))
            part = content[skip : skip + left]
            skip, left = 0, left - len(part)
            yield part

    def _opened(self, index: int, last: bool, segment: bytes) -> bytes:
        if index == 0:
            header = self._key.header
            if segment[: len(header)] != header:
                raise SealBroken("the header is not the one that was sealed")
            segment = segment[len(header) :]
        try:
            return self._cipher.decrypt(self._nonce(index, last), segment, None)
        except InvalidTag:
            raise SealBroken(f"segment {index} is not the one that was sealed") from None

    def _nonce(self, index: int, last: bool) -> bytes:
        return self._key.prefix + index.to_bytes(4, "big") + bytes([last])

    def _holding(self, position: int) -> int:
        """The number of the segment with this byte of the content."""
        return (position + ContentKey.HEADER_BYTES) // self._room

    def _start(self, index: int) -> int:
        """The first byte of the content in a segment."""
        return index * self._room - ContentKey.HEADER_BYTES if index else 0

    def _last(self, size: int) -> int:
        """The number of the last segment; content without a byte has one segment too."""
        return self._holding(max(size, 1) - 1)
