"""Where the doctor tries things: under a prefix of the vault's buckets, or in its own."""

import io
import os
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from minio import Minio
from minio.datatypes import Object
from minio.helpers import ObjectWriteResult

from services.documents import s3
from services.documents.quarantine import QuarantineSettings, S3Quarantine
from services.documents.store import S3Store

# How long the doctor locks what it locks, and how long it then waits to take it away.
LOCK, PATIENCE = timedelta(seconds=10), timedelta(seconds=60)
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Place:
    """The server under examination. Keys of the vault's are UUIDs: nothing takes these for any."""

    settings: s3.StorageSettings
    quarantine_settings: QuarantineSettings
    client: Minio
    prefix: str
    scratch: bool
    # Where a server on this machine keeps its bytes; None when that is not known.
    data: Path | None

    @property
    def bucket(self) -> str:
        return self.settings.bucket

    @property
    def store(self) -> S3Store:
        return S3Store(self.settings)

    @property
    def quarantine(self) -> S3Quarantine:
        return S3Quarantine(self.settings, self.quarantine_settings)

    def key(self) -> str:
        """Of an object that is not there yet."""
        return f"{self.prefix}{uuid.uuid4()}"

    def put(self, key: str, data: bytes) -> ObjectWriteResult:
        return self.client.put_object(
            bucket_name=self.bucket, object_name=key, data=io.BytesIO(data), length=len(data)
        )

    def get(self, key: str, version_id: str | None) -> bytes:
        answer = self.client.get_object(
            bucket_name=self.bucket, object_name=key, version_id=version_id
        )
        try:
            return answer.read()
        finally:
            answer.close()
            answer.release_conn()

    def versions(self, prefix: str) -> list[Object]:
        """Every version, and every mark of a deletion, under a prefix of the vault's bucket."""
        found = self.client.list_objects(
            bucket_name=self.bucket, prefix=prefix, recursive=True, include_version=True
        )
        return list(found)

    def now(self) -> datetime:
        """The server's clock."""
        headers = self.put(self.key(), os.urandom(16)).http_headers
        return parsedate_to_datetime(headers["Date"]).astimezone(UTC)

    def make(self) -> None:
        """Makes the buckets, as documents does when it starts."""
        self.store.ensure_bucket()
        self.quarantine.ensure_bucket()

    def clean(self) -> list[str]:
        """Takes away what was put here, waiting for what is locked; what is left all the same."""
        self.quarantine.empty(self.prefix.strip("/"))
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while left := [item for item in self.versions(self.prefix) if not self._removed(item)]:
            if time.monotonic() > deadline:
                return [f"{item.object_name} (version {item.version_id})" for item in left]
            time.sleep(POLL_SECONDS)
        if self.scratch:
            for bucket in (self.bucket, self.quarantine_settings.bucket):
                self.client.remove_bucket(bucket_name=bucket)
        return []

    def _removed(self, item: Object) -> bool:
        try:
            self.client.remove_object(
                bucket_name=self.bucket,
                object_name=str(item.object_name),
                version_id=item.version_id,
            )
        except s3.FAILURES:
            return False
        return True


def place(
    settings: s3.StorageSettings,
    quarantine: QuarantineSettings,
    *,
    scratch: bool = False,
    data: Path | None = None,
) -> Place:
    """Under a prefix, that no other run has, of the configured buckets; or of `scratch` ones, which
    are still to be made.
    """
    mark = f"doctor-{uuid.uuid4().hex[:12]}"
    if scratch:
        settings = settings.model_copy(update={"bucket": mark})
        quarantine = quarantine.model_copy(update={"bucket": f"{mark}-quarantine"})
    return Place(settings, quarantine, s3.connect(settings), f"{mark}/", scratch, data)
