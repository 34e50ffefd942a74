"""The real object store keeps the same promises as the fake, and those of a vault."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from minio import Minio
from pydantic import SecretStr

from backbone.errors import Unavailable
from backbone.settings import ConfigurationError
from deploy.local import storage_operator
from services.documents.s3 import StorageSettings
from services.documents.store import PART_BYTES, S3Store
from tests.support.processes import free_port
from tests.support.store_conformance import StoreConformance
from tests.support.vault import chunks, unique_bytes


def settings(stack: dict[str, Any], **changes: Any) -> StorageSettings:
    storage = stack["storage"]
    values = {
        "endpoint": storage["endpoint"],
        "access_key": storage["access_key"],
        "secret_key": SecretStr(storage["secret_key"]),
        "bucket": storage["bucket"],
        "secure": False,
    }
    return StorageSettings(**{**values, **changes})


@pytest.fixture(scope="module")
def s3(stack: dict[str, Any]) -> S3Store:
    opened = S3Store(settings(stack))
    opened.ensure_bucket()
    return opened


@pytest.fixture(scope="module")
def operator(stack: dict[str, Any]) -> Minio:
    return storage_operator(stack)


class TestS3Store(StoreConformance):
    @pytest.fixture
    def store(self, s3: S3Store) -> S3Store:
        return s3

    def test_a_broken_upload_leaves_no_part_behind(
        self, store: S3Store, key: str, operator: Minio, stack: dict[str, Any]
    ) -> None:
        def broken() -> Iterator[bytes]:
            yield from chunks(unique_bytes(PART_BYTES * 2 + 10))
            raise LookupError

        with pytest.raises(LookupError):
            store.put(key, broken(), "application/pdf")
        bucket = stack["storage"]["bucket"]
        uploads = operator._list_multipart_uploads(bucket_name=bucket, prefix=key)
        assert uploads.uploads == []

    def test_objects_are_encrypted_at_rest_and_typed(
        self, store: S3Store, key: str, operator: Minio, stack: dict[str, Any]
    ) -> None:
        store.put(key, [b"abc"], "application/pdf")
        stat = operator.stat_object(bucket_name=stack["storage"]["bucket"], object_name=key)
        assert stat.metadata is not None
        assert stat.metadata["x-amz-server-side-encryption"] == "AES256"
        assert stat.content_type == "application/pdf"
        store.delete(key)


def test_the_bucket_has_versions_locks_and_encryption(
    s3: S3Store, operator: Minio, stack: dict[str, Any]
) -> None:
    bucket = stack["storage"]["bucket"]
    assert operator.get_bucket_versioning(bucket_name=bucket).status == "Enabled"
    assert operator.get_bucket_encryption(bucket_name=bucket) is not None
    assert operator.get_object_lock_config(bucket_name=bucket) is not None
    s3.ensure_bucket()
    assert s3.reachable() is None


def test_a_bucket_without_object_lock_stops_the_service_and_is_named(
    s3: S3Store, operator: Minio, stack: dict[str, Any]
) -> None:
    s3.require_lock()
    bucket = f"essai-{uuid.uuid4().hex}"
    operator.make_bucket(bucket_name=bucket)
    storage = stack["storage"]
    root = {
        "access_key": storage["root_access_key"],
        "secret_key": SecretStr(storage["root_secret_key"]),
    }
    try:
        with pytest.raises(ConfigurationError, match=f"{bucket} was made without object lock"):
            S3Store(settings(stack, bucket=bucket, **root)).require_lock()
    finally:
        operator.remove_bucket(bucket_name=bucket)


def test_a_store_that_refuses_or_does_not_answer_is_an_outage_told_without_its_secret(
    stack: dict[str, Any],
) -> None:
    for store in (
        S3Store(settings(stack, secret_key=SecretStr("wrong-secret"))),
        S3Store(settings(stack, endpoint=f"127.0.0.1:{free_port()}")),
    ):
        with pytest.raises(Unavailable) as outage:
            store.put("key", [b"abc"], "application/pdf")
        assert "wrong" not in str(outage.value)
        assert store.reachable()
