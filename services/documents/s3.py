"""The S3 server, as all of documents reaches it: one way to connect, to read, and to fail."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.errors import Unavailable
from backbone.settings import PREFIX

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
# What the client and the transport below it raise.
FAILURES = (MinioException, urllib3.exceptions.HTTPError)


class StorageSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}STORAGE_")

    endpoint: str = Field(description="host:port of the S3 server")
    access_key: str
    secret_key: SecretStr
    bucket: str = "documents"
    secure: bool = True


def connect(settings: StorageSettings, region: str | None = None) -> Minio:
    """A client. With a region, signing asks the server for nothing."""
    return Minio(
        endpoint=settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key.get_secret_value(),
        secure=settings.secure,
        region=region,
        http_client=urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5, read=30),
            maxsize=64,
            retries=urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[502, 503]),
        ),
    )


@contextmanager
def translated() -> Iterator[None]:
    """The client's errors as ours: told apart, never shown to the caller."""
    try:
        yield
    except FAILURES as error:
        code = error.code if isinstance(error, S3Error) else type(error).__name__
        log.warning("object store: %s", code)
        raise Unavailable("The object store does not answer.") from error


def content(client: Minio, bucket: str, key: str, **span: Any) -> Iterator[bytes]:
    """The bytes of an object, or of a span of it (`offset`, `length`), in chunks.

    Raises:
        Unavailable: the store does not give them.
    """
    with translated():
        answer = client.get_object(bucket_name=bucket, object_name=key, **span)
        try:
            yield from answer.stream(CHUNK_BYTES)
        finally:
            answer.close()
            answer.release_conn()
