"""The object store: S3, through the `minio` client, behind three verbs."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone import telemetry
from backbone.errors import Unavailable
from backbone.settings import load
from services.documents import s3
from services.documents.domain.chunks import ChunkReader

PART_BYTES = 8 * 1024 * 1024


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

    def put(self, key: str, chunks: Iterable[bytes], media_type: str, size_bytes: int = 0) -> None:
        with telemetry.client_span("S3 PutObject"), s3.translated():
            self._client.put_object(
                bucket_name=self._bucket,
                object_name=key,
                data=ChunkReader(chunks),  # type: ignore[arg-type]
                length=size_bytes or -1,
                part_size=PART_BYTES,
                content_type=media_type,
                num_parallel_uploads=1,
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
                self._client.remove_object(
                    bucket_name=self._bucket, object_name=key, version_id=version.version_id
                )

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
