"""The object store: S3, through the `minio` client, behind three verbs."""

import logging
from collections.abc import Iterable, Iterator
from typing import Protocol

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED
from minio.error import MinioException, S3Error
from minio.sse import SseS3
from minio.sseconfig import Rule, SSEConfig
from minio.versioningconfig import VersioningConfig
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import telemetry
from backbone.errors import Unavailable
from backbone.settings import PREFIX, load
from services.documents.domain.chunks import ChunkReader

log = logging.getLogger(__name__)

PART_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 256 * 1024


class StorageSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}STORAGE_")

    endpoint: str = Field(description="host:port of the S3 server")
    access_key: str
    secret_key: SecretStr
    bucket: str = "documents"
    secure: bool = True


class ObjectStore(Protocol):
    """What the vault needs of an object store. A fake is in `fakes.py`, beside one conformance
    test for both."""

    def put(self, key: str, chunks: Iterable[bytes], media_type: str) -> None:
        """Stores an object whole, or not at all.

        Raises:
            Unavailable: the store did not take it. Whatever `chunks` raises passes through.
        """

    def get(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        """The bytes ``[offset, offset + length)``, in chunks.

        Raises:
            Unavailable: the store did not give them all.
        """

    def delete(self, key: str) -> None:
        """Removes an object and its versions; nothing happens when there is none.

        Raises:
            Unavailable: the store does not answer.
        """


class S3Store:
    """An `ObjectStore` on a bucket with versioning, object lock and encryption at rest."""

    def __init__(self, settings: StorageSettings) -> None:
        self._bucket = settings.bucket
        self._client = Minio(
            endpoint=settings.endpoint,
            access_key=settings.access_key,
            secret_key=settings.secret_key.get_secret_value(),
            secure=settings.secure,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=5, read=30),
                maxsize=64,
                retries=urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[502, 503]),
            ),
        )

    def ensure_bucket(self) -> None:
        """Creates the bucket where it is missing.

        Raises:
            Unavailable: the store does not answer or refuses.
        """
        with _translated():
            if not self._client.bucket_exists(bucket_name=self._bucket):
                self._client.make_bucket(bucket_name=self._bucket, object_lock=True)
            self._client.set_bucket_versioning(
                bucket_name=self._bucket, config=VersioningConfig(ENABLED)
            )
            self._client.set_bucket_encryption(
                bucket_name=self._bucket, config=SSEConfig(Rule.new_sse_s3_rule())
            )

    def put(self, key: str, chunks: Iterable[bytes], media_type: str) -> None:
        with telemetry.client_span("S3 PutObject"), _translated():
            self._client.put_object(
                bucket_name=self._bucket,
                object_name=key,
                data=ChunkReader(chunks),  # type: ignore[arg-type]
                length=-1,
                part_size=PART_BYTES,
                content_type=media_type,
                sse=SseS3(),
                num_parallel_uploads=1,
            )

    def get(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        with _translated():
            answer = self._client.get_object(
                bucket_name=self._bucket, object_name=key, offset=offset, length=length
            )
            try:
                left = length
                for chunk in answer.stream(CHUNK_BYTES):
                    left -= len(chunk)
                    yield chunk
            finally:
                answer.close()
                answer.release_conn()
        if left:
            raise Unavailable("The object store gave less than the document.")

    def delete(self, key: str) -> None:
        with _translated():
            versions = self._client.list_objects(
                bucket_name=self._bucket, prefix=key, include_version=True
            )
            for version in versions:
                self._client.remove_object(
                    bucket_name=self._bucket, object_name=key, version_id=version.version_id
                )

    def reachable(self) -> str | None:
        """Why the bucket cannot be used; None when it can."""
        try:
            if not self._client.bucket_exists(bucket_name=self._bucket):
                return f"the bucket {self._bucket} is missing"
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            return f"the object store does not answer ({type(error).__name__})"
        return None


class _translated:  # noqa: N801
    """The client's errors as ours: told apart, never shown to the caller."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, MinioException | urllib3.exceptions.HTTPError):
            code = error.code if isinstance(error, S3Error) else type(error).__name__
            log.warning("object store: %s", code)
            raise Unavailable("The object store does not answer.") from error


class Store(DependencyProvider):  # type: ignore[misc]
    """Injects the `ObjectStore`."""

    def setup(self) -> None:
        self._store = S3Store(load(StorageSettings))
        self._store.ensure_bucket()

    def get_dependency(self, worker_ctx: WorkerContext) -> ObjectStore:
        return self._store

    def check_ready(self) -> str | None:
        return self._store.reachable()
