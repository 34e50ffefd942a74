"""Contents: sealed before they leave for the object store, opened when they come back.

Each has a key of its own (`domain/sealing.py`), which the owner's key wraps; the document's row has
it wrapped. The store never sees a content, and nothing can be read without identity's keyring.
"""

import logging
import uuid
from collections.abc import Iterable, Iterator

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from backbone import wrapping
from backbone.errors import Damaged
from services.documents.content_row import ContentRow
from services.documents.domain.deposit import Intake
from services.documents.domain.sealing import ContentKey, Seal, SealBroken
from services.documents.keys import OwnerKey, OwnerKeys
from services.documents.store import ObjectStore

log = logging.getLogger(__name__)

# What the store is told of each object: its true type is in the row alone.
MEDIA_TYPE = "application/octet-stream"


class Contents:
    """The contents of documents, by their rows."""

    def __init__(self, store: ObjectStore, keys: OwnerKeys) -> None:
        self._store, self._keys = store, keys

    def put(self, row: ContentRow, chunks: Iterable[bytes], size_bytes: int = 0) -> None:
        """Stores a document's content whole, or not at all, and sets the row's key. Its size, where
        it is known, saves copies.

        Raises:
            Gone: the owner's keys were destroyed. Unavailable: the keyring or the store does not
            answer. Whatever `chunks` raises passes through.
        """
        owner_key, key = self._keys.newest(row.owner_id), ContentKey.new()
        seal = _seal(row, key)
        size = seal.sealed_size(size_bytes) if size_bytes else 0
        self._store.put(row.key, seal.seal(chunks), MEDIA_TYPE, size)
        _wrap(row, owner_key, key.to_bytes())

    def take(self, row: ContentRow, intake: Intake, size_bytes: int = 0) -> None:
        """The same for what is deposited: the row's size and SHA-256 are those of what came.

        Raises:
            Gone, Unavailable: as above. Whatever `intake` raises passes through.
        """
        self.put(row, intake, size_bytes)
        row.size_bytes, row.sha256 = intake.size_bytes, intake.sha256

    def get(self, row: ContentRow, offset: int, length: int) -> Iterator[bytes]:
        """The content's bytes ``[offset, offset + length)``, in chunks; `length` is at least 1.

        Raises, before the first chunk is asked for:
            Gone, Unavailable: as above. Damaged: the row's key was altered.
        Raises, while it is read:
            Unavailable: the store did not give all. Damaged: it gave other bytes than were sealed;
            those that came before were right.
        """
        seal = _seal(row, ContentKey.of_bytes(self._unwrapped(row)))
        return self._opened(row, seal, offset, length)

    def _opened(self, row: ContentRow, seal: Seal, offset: int, length: int) -> Iterator[bytes]:
        sealed = self._store.get(row.key, *seal.span(offset, length, row.size_bytes))
        try:
            yield from seal.open(sealed, offset, length, row.size_bytes)
        except SealBroken as error:
            log.exception("document %s is damaged", row.told_id)
            raise Damaged("The content is not what was deposited.") from error

    def rewrap(self, row: ContentRow) -> None:
        """Wraps the row's key by the owner's newest; the content stays as it is.

        Raises:
            Gone, Unavailable, Damaged: as above.
        """
        secret = self._unwrapped(row)
        _wrap(row, self._keys.newest(row.owner_id), secret)

    def preview_key(self, row: ContentRow) -> bytes:
        """A key of what is kept beside the content; derived from the content's own, lost with it.

        Raises:
            Gone, Unavailable, Damaged: as above.
        """
        content_key = ContentKey.of_bytes(self._unwrapped(row)).key
        context = b"preview\0" + row.document_id.bytes
        return HKDF(SHA256(), wrapping.KEY_BYTES, None, context).derive(content_key)

    def _unwrapped(self, row: ContentRow) -> bytes:
        if row.owner_key_id is None or row.sealed_key is None:
            raise Damaged("The content of this document is not in the vault.")
        owner_key = self._keys.named(row.owner_id, row.owner_key_id)
        try:
            return wrapping.unwrap(owner_key.key, row.sealed_key, _context(row, owner_key.key_id))
        except wrapping.WrappingError as error:
            log.exception("the key of document %s cannot be unwrapped", row.told_id)
            raise Damaged("The key of this document was altered.") from error


def _wrap(row: ContentRow, owner_key: OwnerKey, secret: bytes) -> None:
    context = _context(row, owner_key.key_id)
    row.owner_key_id, row.sealed_key = (
        owner_key.key_id,
        wrapping.wrap(owner_key.key, secret, context),
    )


def _seal(row: ContentRow, key: ContentKey) -> Seal:
    return Seal(key, b"content\0" + row.content_id.bytes)


def _context(row: ContentRow, key_id: uuid.UUID) -> bytes:
    return b"content key\0" + row.owner_id.bytes + row.content_id.bytes + key_id.bytes
