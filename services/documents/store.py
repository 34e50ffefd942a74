"""The object store: S3, through the `minio` client, behind five verbs."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from minio.commonconfig import COMPLIANCE, ENABLED
from minio.error import S3Error
from minio.retention import Retention
from minio.versioningconfig import VersioningConfig
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone import telemetry
from backbone.errors import Conflict, Unavailable
from backbone.settings import ConfigurationError, load
from services.documents import s3
from services.documents.domain.chunks import ChunkReader
from services.documents.locking import why_not_locking

# The least that S3 allows of a part that is not the last. One is received while another is sent.
PART_BYTES, PARTS_AT_ONCE = 5 * 1024 * 1024, 2
# What a server says of an object that is not there.
_MISSING = ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed")


class Locked(Conflict):
    """A lock of the store keeps an object: until when; None for a legal hold, which has no end."""

    def __init__(self, until: datetime | None) -> None:
        words = f"until {until.isoformat()}" if until else "by a legal hold"
        super().__init__(f"The object store keeps it {words}.", reason="OBJECT_LOCKED")
        self.until = until


class ObjectStore(Protocol):
    """What the vault needs of an object store. A fake is in `fakes.py`, beside one conformance
    test for both."""

    def put(self, key: str, chunks: Iterable[bytes], media_type: str, size_bytes: int = 0) -> None:
        """Stores an object whole, or not at all. Its size, where it is known, saves copies.

        Raises:
            Unavailable: the store did not take it. Whatever `chunks` raises passes through.
        """

    def get(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        """The bytes ``[offset, offset + length)``, in chunks.

        Raises:
            Unavailable: the store did not give them all. Damaged: it says that it has less.
        """

    def delete(self, key: str) -> None:
        """Removes an object and its versions; nothing happens when there is none.

        Raises:
            Locked: a lock keeps it. Unavailable: the store does not answer.
        """

    def retain(self, key: str, until: datetime) -> None:
        """Keeps an object from being deleted before a time (whole seconds), by anybody: the
        store's operator too. Nothing happens when there is none.

        Raises:
            Locked: it is kept for longer already. Unavailable: the store does not answer.
        """

    def hold(self, key: str, *, on: bool) -> None:
        """Keeps an object from being deleted until that is switched off. Nothing happens when
        there is none.

        Raises:
            Unavailable: the store does not answer.
        """


class S3Store:
    """An `ObjectStore` on a bucket with versioning, object lock and, where the server can,
    encryption at rest."""

    def __init__(self, settings: s3.StorageSettings) -> None:
        self._bucket = settings.bucket
        self._client = s3.connect(settings)

    def ensure_bucket(self) -> None:
        """Creates the bucket where it is missing.

        Raises:
            Unavailable: the store does not answer or refuses.
        """
        with s3.translated():
            if not self._client.bucket_exists(bucket_name=self._bucket):
                self._client.make_bucket(bucket_name=self._bucket, object_lock=True)
            self._client.set_bucket_versioning(
                bucket_name=self._bucket, config=VersioningConfig(ENABLED)
            )
            s3.encrypt_by_default(self._client, self._bucket)

    def require_lock(self) -> None:
        """Raises:
        ConfigurationError: the bucket cannot lock objects. Unavailable: the store does not answer.
        """
        reason = why_not_locking(self._client, self._bucket)
        if reason is None:
            return
        raise ConfigurationError(
            f"cannot start: {reason}, and classes of retention need object lock. It is given to a"
            " bucket when it is made: name another one in BACKBONE_STORAGE_BUCKET, on a server"
            " that has it; or name a file without classes in BACKBONE_RETENTION_CLASSES"
        )

    def put(self, key: str, chunks: Iterable[bytes], media_type: str, size_bytes: int = 0) -> None:
        with telemetry.client_span("S3 PutObject"), s3.translated():
            self._client.put_object(
                bucket_name=self._bucket,
                object_name=key,
                data=ChunkReader(chunks),  # type: ignore[arg-type]
                length=size_bytes or -1,
                part_size=PART_BYTES,
                content_type=media_type,
                num_parallel_uploads=PARTS_AT_ONCE,
            )

    def get(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        left = length
        for chunk in s3.content(self._client, self._bucket, key, offset=offset, length=length):
            left -= len(chunk)
            yield chunk
        if left:
            raise Unavailable("The object store gave less than the document.")

    def delete(self, key: str) -> None:
        with s3.translated():
            versions = self._client.list_objects(
                bucket_name=self._bucket, prefix=key, include_version=True
            )
            for version in [item for item in versions if item.object_name == key]:
                self._delete(key, version.version_id)

    def _delete(self, key: str, version_id: str | None) -> None:
        asked = datetime.now(UTC)
        try:
            self._client.remove_object(
                bucket_name=self._bucket, object_name=key, version_id=version_id
            )
        except S3Error as error:
            # Servers say it with different codes: the lock itself is what tells.
            self._require_unlocked(key, version_id, asked, error)
            raise

    def _require_unlocked(
        self, key: str, version_id: str | None, asked: datetime, cause: S3Error
    ) -> None:
        """Raises:
        Locked: a lock kept the object when its deletion was asked for; it may be over since.
        """
        if self._client.is_object_legal_hold_enabled(
            bucket_name=self._bucket, object_name=key, version_id=version_id
        ):
            raise Locked(None) from cause
        retention = self._client.get_object_retention(
            bucket_name=self._bucket, object_name=key, version_id=version_id
        )
        if retention is not None and retention.retain_until_date > asked:
            raise Locked(retention.retain_until_date) from cause

    def retain(self, key: str, until: datetime) -> None:
        with s3.translated():
            try:
                self._client.set_object_retention(
                    bucket_name=self._bucket,
                    object_name=key,
                    config=Retention(COMPLIANCE, until),
                )
            except S3Error as error:
                if error.code in _MISSING:
                    return
                retention = self._client.get_object_retention(
                    bucket_name=self._bucket, object_name=key
                )
                if retention is not None and retention.retain_until_date > until:
                    raise Locked(retention.retain_until_date) from error
                raise

    def hold(self, key: str, *, on: bool) -> None:
        client = self._client
        switch = client.enable_object_legal_hold if on else client.disable_object_legal_hold
        with s3.translated():
            try:
                switch(bucket_name=self._bucket, object_name=key)
            except S3Error as error:
                if error.code not in _MISSING:
                    raise

    def reachable(self) -> str | None:
        """Why the bucket cannot be used; None when it can."""
        try:
            if not self._client.bucket_exists(bucket_name=self._bucket):
                return f"the bucket {self._bucket} is missing"
        except s3.FAILURES as error:
            return f"the object store does not answer ({type(error).__name__})"
        return None


class Store(DependencyProvider):  # type: ignore[misc]
    """Injects the `ObjectStore`."""

    def setup(self) -> None:
        self._store = S3Store(load(s3.StorageSettings))
        self._store.ensure_bucket()

    def get_dependency(self, worker_ctx: WorkerContext) -> ObjectStore:
        return self._store

    def check_ready(self) -> str | None:
        return self._store.reachable()
