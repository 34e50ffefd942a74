"""The owners' keys: from identity's keyring, kept in memory for a while, never stored."""

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from administration.identity.v1 import keyring_pb2
from nameko.containers import WorkerContext

from backbone.errors import Damaged, Gone, Unavailable, reason_of
from backbone.rpc import GrpcClient

log = logging.getLogger(__name__)

# What the contract of GetKeys allows.
KEEP_SECONDS = 300.0
MAX_OWNERS = 10_000


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """One of an owner's keys. It wraps the keys of contents, and encrypts nothing else."""

    key_id: uuid.UUID
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Kept:
    keys: tuple[OwnerKey, ...]
    until: float


class Identity(Protocol):
    """What is asked of identity."""

    def get_keys(self, request: keyring_pb2.GetKeysRequest) -> keyring_pb2.GetKeysResponse:
        """Raises `grpc.RpcError` when the call fails."""


class OwnerKeys:
    """The keys of owners. Safe to share between threads."""

    def __init__(self, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self._identity, self._clock = identity, clock
        # In the order in which they were fetched, and so in that of their end.
        self._kept: OrderedDict[uuid.UUID, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def newest(self, owner_id: uuid.UUID) -> OwnerKey:
        """The key that wraps what is new.

        Raises:
            Gone: the owner's keys were destroyed. Unavailable: the keyring does not answer.
        """
        return self._keys(owner_id)[0]

    def named(self, owner_id: uuid.UUID, key_id: uuid.UUID) -> OwnerKey:
        """The key that wrapped something.

        Raises:
            Gone, Unavailable: as above. Damaged: the keyring has no such key.
        """
        # One that is newer than those kept is asked for.
        for keys in (self._keys, self._fetched):
            for key in keys(owner_id):
                if key.key_id == key_id:
                    return key
        raise Damaged("The keyring lacks the key of this document.", reason="KEY_UNKNOWN")

    def forget(self, owner_ids: Iterable[uuid.UUID]) -> None:
        """Drops the keys of some owners, and all that were kept for long enough."""
        with self._lock:
            for owner_id in owner_ids:
                self._kept.pop(owner_id, None)
            self._forget_old()

    def holds(self, owner_id: uuid.UUID, key_id: uuid.UUID) -> bool:
        """Whether this key is among those that are kept."""
        kept = self._kept.get(owner_id)
        return kept is not None and any(key.key_id == key_id for key in kept.keys)

    def _keys(self, owner_id: uuid.UUID) -> tuple[OwnerKey, ...]:
        kept = self._kept.get(owner_id)
        if kept is not None and self._clock() < kept.until:
            return kept.keys
        return self._fetched(owner_id)

    def _fetched(self, owner_id: uuid.UUID) -> tuple[OwnerKey, ...]:
        # From before the call: a destruction while it runs is one that the answer may not know.
        until = self._clock() + KEEP_SECONDS
        try:
            answer = self._identity.get_keys(keyring_pb2.GetKeysRequest(owner_id=str(owner_id)))
        except grpc.RpcError as error:
            raise _told(error) from error
        keys = tuple(OwnerKey(uuid.UUID(key.key_id), key.key) for key in answer.keys)
        with self._lock:
            self._kept.pop(owner_id, None)
            self._kept[owner_id] = _Kept(keys, until)
            self._forget_old()
        return keys

    def _forget_old(self) -> None:
        now = self._clock()
        while self._kept:
            oldest = next(iter(self._kept))
            if len(self._kept) <= MAX_OWNERS and now < self._kept[oldest].until:
                return
            del self._kept[oldest]


def _told(error: Any) -> Gone | Unavailable:
    """A failed call as the vault's caller is told of it."""
    if reason_of(error) == "KEY_DESTROYED":
        return Gone("The content was erased: its key was destroyed.", reason="ERASED")
    log.warning("the keyring gave no key: %s", error.code().name)
    return Unavailable("The keyring does not answer.", reason="KEYRING_UNAVAILABLE")


class Keyring(GrpcClient):
    """Injects the `OwnerKeys`."""

    def __init__(self) -> None:
        super().__init__("identity")

    def setup(self) -> None:
        super().setup()
        self._keys = OwnerKeys(self._stub)

    def get_dependency(self, worker_ctx: WorkerContext) -> OwnerKeys:  # type: ignore[override]
        return self._keys
