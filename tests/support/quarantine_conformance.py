"""What every `Quarantine` does, on whatever S3 server: one body, run on each."""

import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from services.documents.quarantine import Form, S3Quarantine
from tests.support.vault import unique_bytes

SIZE = 1000


def later(seconds: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def send(form: Form, content: bytes, **changed: str) -> int:
    """As a browser does; the status that is answered."""
    files = {"file": ("part", content)}
    data = {**form.fields, **changed}
    return httpx.post(form.url, data=data, files=files, timeout=30).status_code


class QuarantineConformance:
    """Subclass it with a fixture `quarantine`."""

    @pytest.fixture
    def document_id(self) -> str:
        return str(uuid.uuid4())

    def test_parts_are_sent_listed_read_in_order_and_forgotten(
        self, quarantine: S3Quarantine, document_id: str
    ) -> None:
        parts = {f"{document_id}/{number:06}": unique_bytes(SIZE + number) for number in range(3)}
        for key, data in parts.items():
            assert send(quarantine.form(key, len(data), later()), data) < 300
        assert quarantine.sizes(document_id) == {key: len(data) for key, data in parts.items()}
        assert b"".join(quarantine.read(list(parts))) == b"".join(parts.values())
        quarantine.empty(document_id)
        assert quarantine.sizes(document_id) == {}
        quarantine.empty(document_id)

    def test_a_part_that_is_sent_again_replaces_itself(
        self, quarantine: S3Quarantine, document_id: str
    ) -> None:
        key = f"{document_id}/000000"
        form = quarantine.form(key, SIZE, later())
        for data in (unique_bytes(SIZE), again := unique_bytes(SIZE)):
            assert send(form, data) < 300
        assert b"".join(quarantine.read([key])) == again
        quarantine.empty(document_id)

    def test_a_form_takes_what_it_says_and_nothing_else(
        self, quarantine: S3Quarantine, document_id: str
    ) -> None:
        data = unique_bytes(SIZE)
        key = f"{document_id}/000000"
        form = quarantine.form(key, SIZE, later())
        for size in (SIZE + 1, SIZE - 1, 0, 100 * SIZE):
            assert send(form, unique_bytes(size)) in (400, 403)
        for changed in ({"key": f"{document_id}/000001"}, {"policy": form.fields["policy"][4:]}):
            assert send(form, data, **changed) in (400, 403)
        assert send(quarantine.form(key, SIZE, later(-60)), data) in (400, 403)
        assert quarantine.sizes(document_id) == {}

    def test_nobody_reads_a_part_without_a_key(
        self, quarantine: S3Quarantine, document_id: str
    ) -> None:
        form = quarantine.form(f"{document_id}/000000", SIZE, later())
        assert send(form, unique_bytes(SIZE)) < 300
        assert httpx.get(f"{form.url}/{document_id}/000000", timeout=30).status_code == 403
        quarantine.empty(document_id)

    def test_a_sweep_leaves_what_is_young(
        self, quarantine: S3Quarantine, document_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        form = quarantine.form(f"{document_id}/000000", SIZE, later())
        assert send(form, unique_bytes(SIZE)) < 300
        quarantine.sweep()
        assert len(quarantine.sizes(document_id)) == 1
        monkeypatch.setattr("services.documents.quarantine.LEFT_DAYS", -1)
        quarantine.sweep()
        assert quarantine.sizes(document_id) == {}
