"""What the log holds of a deposit: the hash of 120 bytes, 32 of them random.

    offset  bytes
         0     20   the ASCII characters ``backbone receipt v1`` and a line feed
        20     32   salt: random, of this entry alone
        52     16   identifier of the document (RFC 9562, the 16 octets in network order)
        68      4   version of the document, from 1
        72      8   time of the deposit: microseconds since 1970-01-01T00:00:00Z
        80      8   size in bytes
        88     32   SHA-256 of the content

Integers are unsigned and big-endian. The leaf is ``SHA-256(0x00 || these bytes)`` (RFC 9162). The
salt is kept beside the document and told in its receipt alone: without it nobody can find out from
the log whether a known file was deposited, and when it is erased with the document, what stays in
the log says nothing about anybody.
"""

import struct
import uuid
from dataclasses import dataclass

from backbone.receipts import merkle

SALT_BYTES = 32
_LABEL = b"backbone receipt v1\n"
_FORMAT = struct.Struct(">20s32s16sIQQ32s")


@dataclass(frozen=True, slots=True)
class Entry:
    """A deposit, as the log is told of it."""

    salt: bytes
    document_id: uuid.UUID
    version: int
    time_us: int
    size_bytes: int
    sha256: bytes

    def leaf(self) -> bytes:
        """Its leaf hash.

        Raises:
            ValueError: a field does not fit its place.
        """
        if len(self.salt) != SALT_BYTES or len(self.sha256) != merkle.HASH_BYTES:
            raise ValueError("the salt and the SHA-256 are 32 bytes long")
        try:
            packed = _FORMAT.pack(
                _LABEL,
                self.salt,
                self.document_id.bytes,
                self.version,
                self.time_us,
                self.size_bytes,
                self.sha256,
            )
        except struct.error as error:
            raise ValueError(f"the entry cannot be written: {error}") from None
        return merkle.leaf_hash(packed)
