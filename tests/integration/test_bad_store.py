"""A vault on a bad store: down, cut, slow, lying or full at each stage of a deposit. Nothing is
readable unchecked, nothing half stored is shown, what is refused says why, and what is honest again
goes on.
"""

import re
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import deploy.local
from backbone.errors import Conflict, Unavailable
from bench.vault.place import Peak
from services.documents import s3
from services.documents.checking import MAX_FAILURES
from services.documents.reconciling import Reconciler, ReconcileSettings, Rounds, S3Inventory
from services.documents.s3 import StorageSettings
from services.documents.store import PART_BYTES
from services.documents.uploading import UploadSettings
from tests.support import vault
from tests.support.events import Scratch
from tests.support.lying import LyingProxy, lying
from tests.support.objects import operators
from tests.support.own_vault import OwnVault, own_schema
from tests.support.rpc import Client
from tests.support.versitygw import Versitygw, versitygw

SMALL, LARGE = 300_000, 2 * PART_BYTES + 12_345
COMPLETING = re.compile(rb"^POST /\S+[?&]uploadId=")


@pytest.fixture(scope="module")
def tables(stack: dict[str, Any]) -> Iterator[Scratch]:
    with own_schema(stack) as opened:
        yield opened


@pytest.fixture(scope="module", params=["minio", "versitygw"])
def honest(request: pytest.FixtureRequest, stack: dict[str, Any]) -> StorageSettings:
    """A server that does as it says."""
    if request.param == "minio":
        return operators(stack)
    server: Versitygw = request.getfixturevalue("second_store")
    return server.settings


@pytest.fixture
def proxy(honest: StorageSettings) -> Iterator[LyingProxy]:
    with lying(honest.endpoint) as opened:
        yield opened


@pytest.fixture
def own(
    stack: dict[str, Any], tables: Scratch, honest: StorageSettings, proxy: LyingProxy
) -> Iterator[OwnVault]:
    """A vault whose store is behind the proxy, and which has nothing yet."""
    bucket = f"essai-{uuid.uuid4().hex[:12]}"
    settings = honest.model_copy(update={"endpoint": proxy.address, "bucket": bucket})
    opened = OwnVault(stack, tables, settings)
    yield opened
    proxy.honest()
    opened.forget()


def away(proxy: LyingProxy) -> None:
    """The store is down, for connections that are open too."""
    proxy.request_bytes = 0


def available(own: OwnVault, document_id: str, data: bytes) -> None:
    """The document becomes so, and is what was sent."""
    while own.state(document_id)[0] == "CHECKING":
        assert own.step()
    assert own.state(document_id)[0] == "AVAILABLE"
    assert own.read(document_id) == data


def still_checking(own: OwnVault, document_id: str) -> None:
    assert own.state(document_id) == ("CHECKING", "UNSPECIFIED")
    with pytest.raises(Conflict, match="being checked"):
        own.read(document_id)


# ---- down ----------------------------------------------------------------------------------------


def test_a_deposit_is_refused_while_the_store_is_down_and_leaves_nothing(
    own: OwnVault, proxy: LyingProxy
) -> None:
    away(proxy)
    with pytest.raises(Unavailable) as refused:
        own.deposit(vault.unique_bytes(SMALL))
    assert refused.value.reason == "STORE_UNAVAILABLE"
    assert own.listed() == []
    proxy.honest()
    assert own.objects() == []


def test_over_http_a_store_that_is_down_is_a_problem_with_its_reason_until_it_is_back(
    gateway: httpx.Client, documents: Client, token: str
) -> None:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/pdf",
        "Content-Disposition": 'attachment; filename="acte.pdf"',
    }
    data = vault.unique_bytes(SMALL)
    deploy.local.stop("minio")
    try:
        answer = gateway.post("/v1/documents", content=data, headers=headers)
    finally:
        deploy.local.start("minio")
    assert (answer.status_code, answer.json()["reason"]) == (503, "STORE_UNAVAILABLE")
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = vault.deposit(documents, token, data)
    assert vault.read(documents, token, document.document_id)[1] == data


def test_a_check_waits_for_a_store_that_is_down_however_long(
    own: OwnVault, proxy: LyingProxy
) -> None:
    data = vault.unique_bytes(SMALL)
    document_id = own.deposit(data)
    away(proxy)
    for _ in range(MAX_FAILURES + 2):
        assert own.step()
        still_checking(own, document_id)
    proxy.honest()
    available(own, document_id, data)


def test_an_upload_waits_for_a_store_that_is_down_at_each_of_its_stages(
    own: OwnVault, proxy: LyingProxy
) -> None:
    data = vault.unique_bytes(SMALL)
    upload = own.open_upload(data)
    own.send(upload, data)
    away(proxy)
    with pytest.raises(Unavailable) as refused:
        own.complete(upload)
    assert refused.value.reason == "STORE_UNAVAILABLE"
    assert own.listed() == []
    proxy.honest()
    document_id = own.complete(upload)
    away(proxy)
    assert own.step()
    still_checking(own, document_id)
    proxy.honest()
    available(own, document_id, data)
    assert own.quarantine.sizes(document_id) == {}


# ---- cut -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [200, 100_000, PART_BYTES + 100_000, LARGE - 1000])
def test_a_deposit_that_is_cut_on_its_way_to_the_store_is_nowhere(
    sent: int, own: OwnVault, proxy: LyingProxy
) -> None:
    proxy.request_bytes = sent
    with pytest.raises(Unavailable):
        own.deposit(vault.unique_bytes(LARGE))
    assert own.listed() == []
    proxy.honest()
    assert own.objects() == []


def test_a_deposit_whose_last_answer_is_lost_is_not_shown_and_its_object_is_reconciled(
    own: OwnVault, proxy: LyingProxy
) -> None:
    proxy.lost = COMPLETING
    with pytest.raises(Unavailable):
        own.deposit(vault.unique_bytes(LARGE))
    assert own.listed() == []
    proxy.honest()
    rounds = Rounds(S3Inventory(own.storage), ReconcileSettings(grace=0))
    reconciler = Reconciler(own.db, own.service.events, own.store, rounds)
    while reconciler.step():
        pass
    assert own.objects() == []


@pytest.mark.parametrize("sent", [1000, PART_BYTES + 100_000])
def test_a_move_that_is_cut_is_done_again(sent: int, own: OwnVault, proxy: LyingProxy) -> None:
    data = vault.unique_bytes(LARGE)
    upload = own.open_upload(data)
    own.send(upload, data)
    document_id = own.complete(upload)
    proxy.request_bytes = sent
    assert own.step()
    still_checking(own, document_id)
    proxy.honest()
    available(own, document_id, data)


def test_a_reading_that_is_cut_decides_nothing(own: OwnVault, proxy: LyingProxy) -> None:
    data = vault.unique_bytes(SMALL)
    document_id = own.deposit(data)
    proxy.lie = lambda data, before: None if before > 100_000 else data
    for _ in range(MAX_FAILURES + 2):
        assert own.step()
        still_checking(own, document_id)
    proxy.honest()
    available(own, document_id, data)


# ---- less than it says, or something else --------------------------------------------------------


def test_a_deposit_of_which_the_store_has_less_is_refused_after_a_few_readings(
    own: OwnVault,
) -> None:
    document_id = own.deposit(vault.unique_bytes(SMALL))
    own.write(document_id, own.object(document_id)[:100_000])
    for _ in range(MAX_FAILURES - 1):
        assert own.step()
        still_checking(own, document_id)
    assert own.step()
    assert own.state(document_id) == ("REFUSED", "CORRUPTED")
    assert own.objects() == []


def test_parts_of_which_the_store_has_less_are_refused_after_a_few_readings(
    own: OwnVault, proxy: LyingProxy
) -> None:
    data = vault.unique_bytes(SMALL)
    upload = own.open_upload(data)
    own.send(upload, data)
    document_id = own.complete(upload)

    def shorter(data: bytes, before: int) -> bytes:
        return re.sub(rb"(?i)(content-length: )300000", rb"\g<1>200000", data)

    proxy.lie = shorter
    for _ in range(MAX_FAILURES - 1):
        assert own.step()
        still_checking(own, document_id)
    assert own.step()
    assert own.state(document_id) == ("REFUSED", "CORRUPTED")
    proxy.honest()
    assert own.objects() == []


def test_a_wrong_etag_stores_nothing_half(own: OwnVault, proxy: LyingProxy) -> None:
    def other(data: bytes, before: int) -> bytes:
        return re.sub(rb'(?i)(etag: )"?[0-9a-f]{32}"?', rb'\g<1>"' + b"0" * 32 + b'"', data)

    proxy.lie = other
    # In parts, the server itself finds that what it is told to put together is not there.
    with pytest.raises(Unavailable):
        own.deposit(vault.unique_bytes(LARGE))
    assert own.listed() == []
    # In one, nothing stands on it.
    data = vault.unique_bytes(SMALL)
    available(own, own.deposit(data), data)


# ---- slow ----------------------------------------------------------------------------------------


def test_a_store_that_trickles_is_away_and_holds_nobody_up(
    own: OwnVault, proxy: LyingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PATIENCE_SECONDS", 0.5)
    data = vault.unique_bytes(SMALL)
    document_id = own.deposit(data)
    proxy.pace = 400.0
    began = time.monotonic()
    assert own.step()
    # The headers trickle too; all of it would have taken more than twelve minutes.
    assert time.monotonic() - began < SMALL / proxy.pace / 5
    still_checking(own, document_id)
    proxy.honest()
    available(own, document_id, data)


# ---- full ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder))
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {done.stderr.strip()}")
    yield folder
    subprocess.run(("umount", str(folder)), check=True)


@pytest.fixture
def tight(
    small_disk: Path,
    stack: dict[str, Any],
    tables: Scratch,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> Iterator[OwnVault]:
    """A vault on a server whose disk has 32 MiB."""
    terminal = pytestconfig.get_terminal_writer()
    with versitygw(tmp_path, terminal.line, small_disk) as server:
        yield OwnVault(stack, tables, server.settings)


def test_a_full_disk_refuses_what_it_has_no_room_for_and_nothing_else(tight: OwnVault) -> None:
    with pytest.raises(Unavailable) as refused:
        tight.deposit(vault.unique_bytes(48 * 1024**2))
    assert refused.value.reason in ("STORE_FULL", "STORE_UNAVAILABLE")
    assert tight.listed() == []
    assert tight.objects() == []
    # What the broken deposit took is free again.
    data = vault.unique_bytes(PART_BYTES)
    available(tight, tight.deposit(data), data)


def test_a_part_that_a_full_disk_does_not_take_is_missing(tight: OwnVault) -> None:
    tight.service.upload_settings = UploadSettings(part_bytes=48 * 1024**2)
    data = vault.unique_bytes(40 * 1024**2)
    upload = tight.open_upload(data)
    assert tight.try_to_send(upload, data) == [False]
    with pytest.raises(Conflict) as refused:
        tight.complete(upload)
    assert refused.value.reason == "UPLOAD_INCOMPLETE"


# ---- memory --------------------------------------------------------------------------------------


def test_a_large_deposit_that_the_store_breaks_off_is_never_held_in_memory(
    own: OwnVault, proxy: LyingProxy
) -> None:
    size = 200 * 1024**2
    own.service.settings.max_bytes = size
    proxy.request_bytes = size - PART_BYTES
    piece = vault.unique_bytes(1024**2)
    process = psutil.Process()
    before = process.memory_info().rss
    with Peak(process) as peak, pytest.raises(Unavailable):
        own.stream((piece for _ in range(200)), size)
    assert peak.bytes - before < 80 * 1024**2
    assert own.listed() == []
