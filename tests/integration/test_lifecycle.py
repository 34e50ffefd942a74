"""How a service starts, stops and comes back."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
from administration.documents.v1 import documents_pb2
from administration.identity.v1 import identity_pb2
from administration.notifications.v1 import notifications_pb2

import deploy.local
from tests.support import vault
from tests.support.polling import eventually
from tests.support.processes import BACKBONE, free_port, running
from tests.support.rpc import Client, code, refused_for

OK = grpc.StatusCode.OK


def environment(stack: dict[str, Any], name: str) -> dict[str, str]:
    """A second process of a service, on ports of its own."""
    known: dict[str, str] = stack["services"][name]["environment"]
    return known | {
        "BACKBONE_GRPC_LISTEN": f"127.0.0.1:{free_port()}",
        "BACKBONE_OPS_LISTEN": f"127.0.0.1:{free_port()}",
        "BACKBONE_OTLP_ENDPOINT": "",
    }


def ready(settings: dict[str, str]) -> bool:
    try:
        url = f"http://{settings['BACKBONE_OPS_LISTEN']}/readyz"
        return httpx.get(url, timeout=60).status_code == 200
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

    with running(BACKBONE, "serve", "documents", environment=settings, log=log) as process:
        eventually(lambda: ready(settings), within=60)
        client = Client("documents", settings["BACKBONE_GRPC_LISTEN"])
        late = Client("documents", settings["BACKBONE_GRPC_LISTEN"])
        upload = client.start(
            "deposit_document", vault.requests(chunks(), sha256=vault.sha256(data)), token=token
        )
        assert begun.wait(60)
        process.send_signal(signal.SIGTERM)
        mine = documents_pb2.ListDocumentsRequest()
        eventually(
            lambda: (
                code(lambda: late.list_documents(mine, token=token)) == grpc.StatusCode.UNAVAILABLE
            )
        )
        assert process.poll() is None
        leave.set()
        document = upload.result(60).document
        assert process.wait(60) == 0, log.read_text()
        client.close()
        late.close()
    # What it acknowledged is there for the others.
    assert vault.read(documents, token, document.document_id)[1] == data


def test_a_process_that_starts_without_kafka_lets_nobody_in_as_it_knows_not_what_has_ended(
    stack: dict[str, Any], token: str, tmp_path: Path
) -> None:
    settings = environment(stack, "documents")
    settings["BACKBONE_KAFKA_BOOTSTRAP"] = f"127.0.0.1:{free_port()}"
    mine = documents_pb2.ListDocumentsRequest()
    with running(
        BACKBONE, "serve", "documents", environment=settings, log=tmp_path / "documents.log"
    ):
        client = Client("documents", settings["BACKBONE_GRPC_LISTEN"])
        eventually(
            lambda: refused_for(lambda: client.list_documents(mine, token=token), "ACCESS_UNKNOWN"),
            within=60,
        )
        answer = httpx.get(f"http://{settings['BACKBONE_OPS_LISTEN']}/readyz", timeout=60)
        assert answer.status_code == 503
        assert "AccessEndings" in answer.json()
        client.close()


def test_a_process_that_cannot_be_configured_says_why_in_one_line(tmp_path: Path) -> None:
    log = tmp_path / "identity.log"
    nothing = {"BACKBONE_OPS_LISTEN": f"127.0.0.1:{free_port()}"}
    with running(BACKBONE, "serve", "identity", environment=nothing, log=log) as process:
        assert process.wait(60) != 0
    told = log.read_text()
    assert "BACKBONE_" in told
    assert "Traceback" not in told


def killed(name: str) -> None:
    """Kills a service, and waits until another process of it is healthy."""
    before = deploy.local.pid(name)
    os.kill(before, signal.SIGKILL)

    def another() -> bool:
        try:
            return deploy.local.pid(name) != before
        except deploy.local.StackError:
            return False

    eventually(another)
    deploy.local.wait_healthy(name)


def test_identity_is_started_again_when_it_is_killed(
    stack: dict[str, Any], identity: Client, token: str
) -> None:
    killed("identity")
    me = identity_pb2.GetMeRequest()
    eventually(lambda: code(lambda: identity.get_me(me, token=token)) == OK)


def test_documents_is_started_again_when_it_is_killed(
    stack: dict[str, Any], documents: Client, token: str
) -> None:
    document_id = vault.deposit(documents, token, data := vault.unique_bytes()).document_id
    killed("documents")
    mine = documents_pb2.ListDocumentsRequest()
    eventually(lambda: code(lambda: documents.list_documents(mine, token=token)) == OK)
    assert vault.read(documents, token, document_id)[1] == data


def test_notifications_is_started_again_when_it_is_killed_and_tells_what_it_missed(
    stack: dict[str, Any], documents: Client, notifications: Client, token: str
) -> None:
    killed("notifications")
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    inbox = notifications_pb2.ListInboxRequest()

    def told() -> bool:
        if code(lambda: notifications.list_inbox(inbox, token=token)) != OK:
            return False
        entries = notifications.list_inbox(inbox, token=token).entries
        return [entry.entity_id for entry in entries] == [document_id]

    # Kafka gives its partitions back once the killed process counts as gone.
    eventually(told, within=150)
