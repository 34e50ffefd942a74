"""`backbone doctor storage` on two real servers: what each does, and what it only says."""

import json
import re
from typing import Any

from minio import Minio

from deploy.local import minio, storage_operator
from services.documents import s3
from services.documents.quarantine import QuarantineSettings, S3Quarantine
from services.documents.store import S3Store
from tests.support.lying import lying
from tests.support.objects import operators
from tests.support.processes import backbone, free_port
from tests.support.versitygw import Versitygw

NEEDED = {
    "server", "clock", "objects", "ranges", "multipart", "broken uploads", "versions",
    "object lock", "retention", "legal hold", "forms", "forms are bound", "forms end", "secrecy",
}  # fmt: skip


class Told:
    """What the command said of each check, and how it ended."""

    def __init__(self, settings: s3.StorageSettings, *options: str) -> None:
        environment = {
            "BACKBONE_STORAGE_ENDPOINT": settings.endpoint,
            "BACKBONE_STORAGE_ACCESS_KEY": settings.access_key,
            "BACKBONE_STORAGE_SECRET_KEY": settings.secret_key.get_secret_value(),
            "BACKBONE_STORAGE_BUCKET": settings.bucket,
            "BACKBONE_STORAGE_SECURE": "false",
            "BACKBONE_QUARANTINE_BUCKET": f"{settings.bucket}-quarantine",
        }
        done = backbone(environment, "doctor", "storage", "--json", *options, timeout=240)
        self.code, self.errors = done.returncode, done.stderr
        self.output = done.stdout
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.findings = {line["check"]: line for line in lines}

    def of(self, *verdicts: str) -> set[str]:
        return {name for name, line in self.findings.items() if line["verdict"] in verdicts}


def buckets(client: Minio) -> set[str]:
    return {bucket.name for bucket in client.list_buckets()}


def test_the_stacks_server_does_all_that_the_vault_needs_for_its_root_too(
    stack: dict[str, Any],
) -> None:
    before = buckets(storage_operator(stack))
    told = Told(operators(stack), "--scratch", "--data", str(minio.FOLDER))
    assert told.code == 0, told.output
    assert told.of("ok") >= NEEDED | {"encryption at rest", "lifecycle", "MD5", "SHA-256", "ETag"}
    assert buckets(storage_operator(stack)) == before


def test_it_tries_the_configured_buckets_as_the_service_and_leaves_nothing(
    stack: dict[str, Any],
) -> None:
    storage = stack["storage"]
    told = Told(
        operators(stack, access_key=storage["access_key"], secret_key=storage["secret_key"])
    )
    assert told.code == 0, told.output
    assert told.of("ok") >= NEEDED
    # What a server does with its bytes cannot be seen through S3, and is not claimed.
    assert told.of("unknown") == {"encryption at rest"}
    for bucket in (storage["bucket"], minio.QUARANTINE):
        found = storage_operator(stack).list_objects(
            bucket_name=bucket, prefix="doctor-", recursive=True, include_version=True
        )
        assert list(found) == []


def test_on_the_second_server_what_is_needed_is_there_and_the_rest_is_told(
    second_store: Versitygw,
) -> None:
    told = Told(second_store.settings, "--scratch", "--data", str(second_store.data))
    assert told.code == 0, told.output
    assert told.of("ok") >= NEEDED
    assert told.of("fault", "unknown") == set()
    assert told.of("warning") >= {"encryption at rest", "lifecycle"}
    assert "in plain" in told.findings["encryption at rest"]["found"]
    assert told.findings["encryption at rest"]["mend"]


def test_a_bucket_without_lock_is_a_fault_that_names_what_depends_on_it(
    second_store: Versitygw,
) -> None:
    settings = second_store.settings.model_copy(update={"bucket": "unlocked"})
    s3.connect(settings).make_bucket(bucket_name="unlocked")
    S3Quarantine(settings, QuarantineSettings(bucket="unlocked-quarantine")).ensure_bucket()
    told = Told(settings)
    assert told.code == 1
    assert told.of("fault") >= {"object lock", "retention", "legal hold"}
    for name in ("object lock", "retention"):
        assert told.findings[name]["needed_by"] == "retention classes and legal holds"
        assert told.findings[name]["mend"]


def test_a_server_that_is_away_or_has_no_bucket_is_one_finding(second_store: Versitygw) -> None:
    for changes in (
        {"endpoint": f"127.0.0.1:{free_port()}"},
        {"bucket": "nowhere"},
        {"access_key": "nobody"},
    ):
        told = Told(second_store.settings.model_copy(update=changes))
        assert told.code == 1
        assert list(told.findings) == ["server"]
        assert told.findings["server"]["mend"]
        assert second_store.settings.secret_key.get_secret_value() not in told.output + told.errors


def test_a_clock_that_is_wrong_is_told(second_store: Versitygw) -> None:
    S3Store(second_store.settings).ensure_bucket()
    quarantine = QuarantineSettings(bucket=f"{second_store.settings.bucket}-quarantine")
    S3Quarantine(second_store.settings, quarantine).ensure_bucket()

    def earlier(data: bytes, before: int) -> bytes:
        return re.sub(rb"(Date: \w{3}, \d\d \w{3}) \d{4}", rb"\1 2020", data)

    with lying(second_store.settings.endpoint) as proxy:
        proxy.lie = earlier
        told = Told(second_store.settings.model_copy(update={"endpoint": proxy.address}))
    assert told.code == 1
    assert "differs from ours" in told.findings["clock"]["found"]
