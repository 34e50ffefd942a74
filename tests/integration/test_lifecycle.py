"""How a service starts, stops and comes back."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2
from administration.identity.v1 import identity_pb2

import deploy.local
from tests.support import vault
from tests.support.polling import eventually
from tests.support.processes import free_port, running
from tests.support.rpc import Client


def environment(stack: dict[str, Any], name: str) -> dict[str, str]:
    """A second process of a service, on ports of its own."""
    return stack["services"][name]["environment"] | {
        "BACKBONE_GRPC_LISTEN": f"127.0.0.1:{free_port()}",
        "BACKBONE_OPS_LISTEN": f"127.0.0.1:{free_port()}",
        "BACKBONE_OTLP_ENDPOINT": "",
    }


def ready(settings: dict[str, str]) -> bool:
    try:
        return httpx.get(f"http://{settings['BACKBONE_OPS_LISTEN']}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_a_stop_finishes_the_upload_that_runs_takes_no_more_and_exits_with_0(
    stack: dict[str, Any], token: str, tmp_path: Path, documents: Client
) -> None:
    settings, log = environment(stack, "documents"), tmp_path / "documents.log"
    data = vault.unique_bytes(200_000)
    begun, leave = threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        first, *rest = vault.chunks(data)
        yield first
        begun.set()
        assert leave.wait(60)
        yield from rest

    with running("backbone", "serve", "documents", environment=settings, log=log) as process:
        eventually(lambda: ready(settings), within=30, what=log.read_text())
        client = Client("documents", settings["BACKBONE_GRPC_LISTEN"])
        late = Client("documents", settings["BACKBONE_GRPC_LISTEN"])
        upload = client.start(
            "deposit_document", vault.requests(chunks(), sha256=vault.sha256(data)), token=token
        )
        assert begun.wait(20)
        process.send_signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                late.list_documents(documents_pb2.ListDocumentsRequest(), token=token)
            except grpc.RpcError as error:
                assert isinstance(error, grpc.Call)
                return error.code() == grpc.StatusCode.UNAVAILABLE
            return False

        eventually(refused)
        assert process.poll() is None
        leave.set()
        document = upload.result(20).document
        assert process.wait(30) == 0, log.read_text()
        client.close()
        late.close()
    # What it acknowledged is there for the others.
    assert vault.read(documents, token, document.document_id)[1] == data


def test_a_process_that_cannot_be_configured_says_why_in_one_line(tmp_path: Path) -> None:
    log = tmp_path / "identity.log"
    nothing = {"BACKBONE_OPS_LISTEN": f"127.0.0.1:{free_port()}"}
    with running("backbone", "serve", "identity", environment=nothing, log=log) as process:
        assert process.wait(30) != 0
    told = log.read_text()
    assert "BACKBONE_" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", ["identity", "documents", "notifications"])
def test_a_service_that_is_killed_is_started_again(
    name: str, stack: dict[str, Any], identity: Client, token: str
) -> None:
    before = deploy.local.pid(name)
    os.kill(before, signal.SIGKILL)

    def another() -> bool:
        try:
            return deploy.local.pid(name) != before
        except deploy.local.StackError:
            return False

    eventually(another, within=30)
    deploy.local.wait_healthy(name)
    if name == "identity":

        def answers() -> bool:
            try:
                return bool(identity.get_me(identity_pb2.GetMeRequest(), token=token).account)
            except grpc.RpcError:
                return False

        eventually(answers)
