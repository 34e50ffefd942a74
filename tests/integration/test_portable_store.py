"""The vault's store and quarantine keep their promises on a second server too, of another make."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from minio import Minio

from deploy.local import storage_operator
from services.documents import s3
from services.documents.locking import why_not_locking
from services.documents.quarantine import QuarantineSettings, S3Quarantine
from services.documents.store import S3Store
from tests.support.objects import operators
from tests.support.quarantine_conformance import QuarantineConformance
from tests.support.store_conformance import StoreConformance
from tests.support.versitygw import Versitygw


@pytest.fixture(scope="module")
def client(second_store: Versitygw) -> Minio:
    return s3.connect(second_store.settings)


class TestStoreOnVersitygw(StoreConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, second_store: Versitygw) -> S3Store:
        opened = S3Store(second_store.settings)
        opened.ensure_bucket()
        opened.ensure_bucket()
        return opened

    @pytest.fixture
    def store(self, opened: S3Store) -> S3Store:
        return opened

    def test_every_version_of_an_object_is_deleted(
        self, store: S3Store, key: str, client: Minio, second_store: Versitygw
    ) -> None:
        for data in (b"one", b"two", b"three"):
            store.put(key, [data], "application/pdf")

        def versions() -> int:
            found = client.list_objects(
                bucket_name=second_store.settings.bucket, prefix=key, include_version=True
            )
            return len(list(found))

        assert versions() == 3
        store.delete(key)
        assert versions() == 0


class TestQuarantineOnVersitygw(QuarantineConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, second_store: Versitygw) -> S3Quarantine:
        opened = S3Quarantine(second_store.settings, QuarantineSettings(bucket="parts"))
        opened.ensure_bucket()
        return opened

    @pytest.fixture
    def quarantine(self, opened: S3Quarantine) -> S3Quarantine:
        return opened


class TestQuarantineOnMinio(QuarantineConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, stack: dict[str, Any]) -> Iterator[S3Quarantine]:
        client, bucket = storage_operator(stack), f"essai-{uuid.uuid4().hex[:12]}"
        opened = S3Quarantine(operators(stack), QuarantineSettings(bucket=bucket))
        opened.ensure_bucket()
        yield opened
        client.remove_bucket(bucket_name=bucket)

    @pytest.fixture
    def quarantine(self, opened: S3Quarantine) -> S3Quarantine:
        return opened


def test_a_bucket_that_cannot_lock_is_told_before_anything_counts_on_it(
    second_store: Versitygw, client: Minio
) -> None:
    S3Store(second_store.settings).ensure_bucket()
    assert why_not_locking(client, second_store.settings.bucket) is None
    client.make_bucket(bucket_name="no-lock")
    for bucket, reason in (("no-lock", "without object lock"), ("nowhere", "is missing")):
        told = why_not_locking(client, bucket)
        assert told is not None
        assert reason in told
