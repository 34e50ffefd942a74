"""An object store and a keyring in memory, for unit tests alone."""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
from administration.identity.v1 import keyring_pb2

from backbone import wrapping
from backbone.errors import Damaged, DomainError, Gone, Unavailable, to_grpc
from services.documents.s3 import CHUNK_BYTES
from services.documents.store import Locked


class MemoryStore:
    """An `ObjectStore`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.retained: dict[str, datetime] = {}
        self.held: set[str] = set()

    def put(self, key: str, chunks: Iterable[bytes], media_type: str, size_bytes: int = 0) -> None:
        self.objects[key] = b"".join(chunks)

    def get(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        if key not in self.objects:
            raise Unavailable("The object store does not answer.", reason="STORE_UNAVAILABLE")
        data = self.objects[key][offset : offset + length]
        if len(data) < length:
            raise Damaged("The object store has less than the document.", reason="SHORTENED")
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]

    def delete(self, key: str) -> None:
        if key in self.held:
            raise Locked(None)
        if (until := self.retained.get(key)) and until > datetime.now(UTC):
            raise Locked(until)
        self.objects.pop(key, None)
        self.retained.pop(key, None)

    def retain(self, key: str, until: datetime) -> None:
        if key not in self.objects:
            return
        if (before := self.retained.get(key)) and before > until:
            raise Locked(before)
        self.retained[key] = until

    def hold(self, key: str, *, on: bool) -> None:
        if on and key in self.objects:
            self.held.add(key)
        else:
            self.held.discard(key)


class MemoryKeyring:
    """The `Identity` that gives owners' keys; `calls` counts what it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.away = False
        self._keys: dict[str, list[keyring_pb2.OwnerKey]] = {}
        self._destroyed: set[str] = set()

    def get_keys(self, request: keyring_pb2.GetKeysRequest) -> keyring_pb2.GetKeysResponse:
        self.calls += 1
        if self.away:
            raise _Refused(Unavailable("away"))
        if request.owner_id in self._destroyed:
            raise _Refused(Gone("gone", reason="KEY_DESTROYED"))
        if request.owner_id not in self._keys:
            self.renew(request.owner_id)
        return keyring_pb2.GetKeysResponse(keys=self._keys[request.owner_id])

    def renew(self, owner_id: str) -> uuid.UUID:
        key_id = uuid.uuid4()
        key = keyring_pb2.OwnerKey(key_id=str(key_id), key=wrapping.new_key())
        self._keys[owner_id] = [key, *self._keys.get(owner_id, [])]
        return key_id

    def destroy(self, owner_id: str) -> None:
        self._destroyed.add(owner_id)


class _Refused(grpc.RpcError):
    def __init__(self, error: DomainError) -> None:
        super().__init__()
        self._status = to_grpc(error)

    def code(self) -> grpc.StatusCode:
        return self._status.code

    def details(self) -> str:
        return self._status.details

    def trailing_metadata(self) -> Any:
        return self._status.trailing_metadata
