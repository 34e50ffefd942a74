"""The S3 server, as all of documents reaches it: one way to connect, to read, and to fail."""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from minio.sseconfig import Rule, SSEConfig
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.errors import Damaged, Unavailable
from backbone.settings import PREFIX

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
# What the client and the transport below it raise.
FAILURES = (MinioException, urllib3.exceptions.HTTPError)
# Of reading: a store that has given less a second, once it was waited for so long, is away. A byte
# at a time it would keep a thread and a row for as long as it likes.
LEAST_BYTES, PATIENCE_SECONDS = 32 * 1024, 30.0
# What servers say that have no room.
_FULL = {"XMinioStorageFull", "XAdminBucketQuotaExceeded", "InsufficientStorage", "QuotaExceeded"}
# What servers say that lack a feature.
LACKING = {"NotImplemented", "MethodNotAllowed"}
# What versitygw says and the client cannot read: a time, alone in its element, with nanoseconds
# (listings of versions); an object lock without a default retention, as an empty rule.
_STRANGE = re.compile(
    rb"(?P<time>>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})\d+(?=Z<)|<Rule></Rule>|<Rule/>"
)


class StorageSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}STORAGE_")

    endpoint: str = Field(description="host:port of the S3 server")
    access_key: str
    secret_key: SecretStr
    bucket: str = "documents"
    secure: bool = True
    region: str = Field(default="us-east-1", description="as the server calls its own")


class _Http(urllib3.PoolManager):
    """The client's transport; it has answers say what they say in a way that the client can read:
    else it raises ValueError.
    """

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        answer = super().urlopen(method, url, redirect, **options)
        told = options.get("preload_content", True) and "xml" in answer.headers.get(
            "Content-Type", ""
        )
        if not told or not _STRANGE.search(answer.data):
            return answer
        return urllib3.HTTPResponse(
            BytesIO(_STRANGE.sub(rb"\g<time>", answer.data)),
            headers={
                name: value for name, value in answer.headers.items() if name != "Content-Length"
            },
            status=answer.status,
        )


def connect(settings: StorageSettings) -> Minio:
    """A client."""
    return Minio(
        endpoint=settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key.get_secret_value(),
        secure=settings.secure,
        # Told, not asked for: signing a form needs no server.
        region=settings.region,
        http_client=_Http(
            timeout=urllib3.Timeout(connect=5, read=30),
            maxsize=64,
            retries=urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[502, 503]),
        ),
    )


def encrypt_by_default(client: Minio, bucket: str) -> None:
    """Has the server encrypt what it stores in a bucket, where it can: beside the vault's own
    encryption, on which alone the vault counts.
    """
    try:
        client.set_bucket_encryption(bucket_name=bucket, config=SSEConfig(Rule.new_sse_s3_rule()))
    except S3Error as error:
        if error.code not in LACKING:
            raise
        log.warning("the object store does not encrypt %s at rest (%s)", bucket, error.code)


@contextmanager
def translated() -> Iterator[None]:
    """The client's errors as ours: told apart, never shown to the caller.

    Raises:
        Unavailable: STORE_FULL where the server says so, STORE_UNAVAILABLE for all else.
    """
    try:
        yield
    except FAILURES as error:
        code = error.code if isinstance(error, S3Error) else type(error).__name__
        log.warning("object store: %s", code)
        if code in _FULL:
            raise Unavailable("The object store is full.", reason="STORE_FULL") from error
        raise _away("The object store does not answer.") from error


def content(client: Minio, bucket: str, key: str, **span: Any) -> Iterator[bytes]:
    """The bytes of an object, or of a span of it (`offset`, `length`), in chunks.

    Raises:
        Unavailable: the store does not give them, or too slowly. Damaged: it says that it has less.
    """
    with translated():
        answer = _opened(client, bucket, key, span)
        try:
            told = answer.headers.get("Content-Length")
            if told is not None and int(told) < span.get("length", 0):
                raise _shortened(key)
            yield from _steady(answer)
        finally:
            answer.close()
            answer.release_conn()


def _opened(client: Minio, bucket: str, key: str, span: dict[str, Any]) -> urllib3.BaseHTTPResponse:
    try:
        return client.get_object(bucket_name=bucket, object_name=key, **span)
    except S3Error as error:
        if error.code == "InvalidRange":
            raise _shortened(key) from error
        raise


def _steady(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes, while it does at LEAST_BYTES a second; who takes it may be slow."""
    given, waited = 0, 0.0
    while True:
        began = time.monotonic()
        chunk = answer.read1(CHUNK_BYTES)
        waited += time.monotonic() - began
        if not chunk:
            return
        given += len(chunk)
        yield chunk
        if waited > PATIENCE_SECONDS and given < waited * LEAST_BYTES:
            raise _away("The object store is too slow.")


def _away(detail: str) -> Unavailable:
    return Unavailable(detail, reason="STORE_UNAVAILABLE")


def _shortened(key: str) -> Damaged:
    log.error("object %s is shorter than what was stored", key)
    return Damaged("The object store has less than the document.", reason="SHORTENED")
