"""Cursors: where a reader of a feed is, as an opaque text that is its own alone."""

import base64
import binascii
import hashlib
import hmac
import struct

from backbone.errors import InvalidInput

_HEAD = struct.Struct(">Bq")
_VERSION = 1
_TAG_BYTES = 16


class Cursors:
    """Writes and reads cursors. Each is sealed (HMAC-SHA256) for one client and one topic."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, client_id: str, topic: str, sequence: int) -> str:
        """The cursor after the event at `sequence`; 0 is before the first one."""
        head = _HEAD.pack(_VERSION, sequence)
        sealed = head + self._tag(client_id, topic, head)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def read(self, client_id: str, topic: str, cursor: str) -> int:
        """The sequence that `cursor` was written with.

        Raises:
            InvalidInput: it was not written here for this client and topic.
        """
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _foreign() from None
        head, tag = sealed[: _HEAD.size], sealed[_HEAD.size :]
        if len(head) != _HEAD.size or not hmac.compare_digest(
            tag, self._tag(client_id, topic, head)
        ):
            raise _foreign()
        sequence: int = _HEAD.unpack(head)[1]
        return sequence

    def _tag(self, client_id: str, topic: str, head: bytes) -> bytes:
        said = b"\0".join([client_id.encode(), topic.encode(), head])
        return hmac.new(self._key, said, hashlib.sha256).digest()[:_TAG_BYTES]


def expired() -> InvalidInput:
    """The cursor is ours, and what came after it is no longer kept: the reader has to know."""
    return InvalidInput.field(
        "after", "CURSOR_EXPIRED", "the next event is no longer kept: begin again with `since`"
    )


def _foreign() -> InvalidInput:
    return InvalidInput.field(
        "after", "CURSOR", "use a `cursor` that this feed gave to this client, or leave it out"
    )
