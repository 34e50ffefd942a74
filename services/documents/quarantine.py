"""The quarantine: a bucket that depositors write to themselves, and nobody reads from.

Each part of an upload is an object `<document>/<number>`, which a signed policy (S3, POST object)
lets anyone who holds it write, with exactly these many bytes, until its end. A part that is sent
again replaces itself. The store encrypts it at rest, where it can (SSE-S3); the vault's own
encryption is of what the check moves into the vault.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from minio.commonconfig import ENABLED, Filter
from minio.datatypes import PostPolicy
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.settings import PREFIX, load
from services.documents import s3

log = logging.getLogger(__name__)

# What is still there after so long was left by a crash: an upload ends, and a check begins, sooner.
LEFT_DAYS = 7


class QuarantineSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}QUARANTINE_")

    bucket: str = "documents-quarantine"
    url: str = Field(
        default="", description="of the S3 server, as depositors reach it; empty: as we do"
    )


@dataclass(frozen=True, slots=True)
class Form:
    """Where a part is sent, and the fields that come before its bytes."""

    url: str
    fields: dict[str, str]


class Quarantine(Protocol):
    """What uploads and checks need of it. Each raises `Unavailable` when it does not answer."""

    def form(self, key: str, size: int, until: datetime) -> Form:
        """How to send an object of exactly `size` bytes."""

    def sizes(self, document_id: str) -> dict[str, int]:
        """The parts that are there, by key."""

    def read(self, keys: list[str]) -> Iterator[bytes]:
        """The bytes of these parts, one after the other."""

    def empty(self, document_id: str) -> None:
        """Forgets the parts of a document; nothing happens when there are none."""

    def sweep(self) -> None:
        """Forgets what a crash left: parts that are older than LEFT_DAYS."""


class S3Quarantine:
    """A `Quarantine` on a bucket of its own."""

    def __init__(self, storage: s3.StorageSettings, settings: QuarantineSettings) -> None:
        self._bucket = settings.bucket
        scheme = "https" if storage.secure else "http"
        self._url = (settings.url or f"{scheme}://{storage.endpoint}").rstrip("/")
        self._client = s3.connect(storage)

    def ensure_bucket(self) -> None:
        """Creates the bucket where it is missing; what is left in it goes by itself, where the
        server has such rules, and by `sweep` everywhere.
        """
        rule = Rule(
            rule_id="left",
            status=ENABLED,
            rule_filter=Filter(prefix=""),
            expiration=Expiration(days=LEFT_DAYS),
        )
        with s3.translated():
            if not self._client.bucket_exists(bucket_name=self._bucket):
                self._client.make_bucket(bucket_name=self._bucket)
            s3.encrypt_by_default(self._client, self._bucket)
            try:
                self._client.set_bucket_lifecycle(
                    bucket_name=self._bucket, config=LifecycleConfig([rule])
                )
            except S3Error as error:
                if error.code not in s3.LACKING:
                    raise
                log.warning("the object store has no lifecycle rules (%s)", error.code)

    def form(self, key: str, size: int, until: datetime) -> Form:
        policy = PostPolicy(self._bucket, until)
        policy.add_equals_condition("key", key)
        policy.add_content_length_range_condition(size, size)
        fields = self._client.presigned_post_policy(policy)
        return Form(f"{self._url}/{self._bucket}", {"key": key, **fields})

    def sizes(self, document_id: str) -> dict[str, int]:
        with s3.translated():
            found = self._client.list_objects(
                bucket_name=self._bucket, prefix=f"{document_id}/", recursive=True
            )
            return {str(item.object_name): item.size or 0 for item in found}

    def read(self, keys: list[str]) -> Iterator[bytes]:
        for key in keys:
            yield from s3.content(self._client, self._bucket, key)

    def empty(self, document_id: str) -> None:
        for key in self.sizes(document_id):
            with s3.translated():
                self._client.remove_object(bucket_name=self._bucket, object_name=key)

    def sweep(self) -> None:
        oldest = datetime.now(UTC) - timedelta(days=LEFT_DAYS)
        with s3.translated():
            for item in self._client.list_objects(bucket_name=self._bucket, recursive=True):
                if item.last_modified is not None and item.last_modified < oldest:
                    self._client.remove_object(
                        bucket_name=self._bucket, object_name=str(item.object_name)
                    )


class Isolation(DependencyProvider):  # type: ignore[misc]
    """Injects the `Quarantine`."""

    def setup(self) -> None:
        self._quarantine = S3Quarantine(load(s3.StorageSettings), load(QuarantineSettings))
        self._quarantine.ensure_bucket()

    def get_dependency(self, worker_ctx: WorkerContext) -> Quarantine:
        return self._quarantine
