"""A request's body, streamed into the vault."""

import base64
import contextlib
import hashlib
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2, versions_pb2

from backbone.errors import InvalidInput, TooLarge
from services.gateway.deposit import CHUNK
from services.gateway.edge import Edge
from tests.unit.gateway.conftest import Services, eventually, problem_of

PATH = "/v1/documents"
NAMED = {"Content-Disposition": "attachment; filename*=UTF-8''acte%20%C3%A9.pdf"}


class Vault:
    """Takes a deposit, and keeps what it was given."""

    def __init__(self) -> None:
        self.header: Any = None
        self.chunks: list[bytes] = []
        self.ended = False

    def __call__(self, requests: Iterator[Any], context: Any) -> Any:
        for request in requests:
            if request.HasField("header"):
                self.header = request.header
            elif request.HasField("chunk"):
                self.chunks.append(request.chunk)
            self.ended = request.HasField("end")
        document = documents_pb2.Document(document_id="d1", size_bytes=len(b"".join(self.chunks)))
        return documents_pb2.DepositDocumentResponse(document=document)


@pytest.fixture
def vault(services: Services) -> Vault:
    services.answers["DepositDocument"] = found = Vault()
    return found


def test_a_deposit_is_streamed_and_answered_with_its_place(
    vault: Vault, client: httpx.Client
) -> None:
    content = bytes(range(256)) * 4000
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    headers = NAMED | {
        "Content-Type": "Application/PDF; version=1",
        "Content-Digest": f"sha-512=:AAAA:, sha-256=:{digest}:",
    }

    response = client.post(PATH, content=content, headers=headers)

    assert response.status_code == 201
    assert response.headers["location"] == "/v1/documents/d1"
    assert response.json()["document"]["sizeBytes"] == str(len(content))
    assert vault.header == documents_pb2.DepositDocumentRequest.Header(
        name="acte é.pdf",
        media_type="application/pdf",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    assert b"".join(vault.chunks) == content
    assert vault.ended
    assert {len(chunk) for chunk in vault.chunks[:-1]} == {CHUNK}


def test_a_chunked_upload_has_no_announced_size(vault: Vault, client: httpx.Client) -> None:
    response = client.post(PATH, content=iter([b"a", b"b"]), headers=NAMED)
    assert response.status_code == 201
    assert (vault.header.size_bytes, b"".join(vault.chunks)) == (0, b"ab")
    assert vault.header.media_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({}, "Content-Disposition"),
        ({"Content-Disposition": "attachment"}, "Content-Disposition"),
        ({"Content-Disposition": "attachment; filename*=UTF-8''%ff"}, "Content-Disposition"),
        ({"Content-Disposition": 'attachment; filename="x'}, "Content-Disposition"),
        (NAMED | {"Content-Digest": "sha-256=abc"}, "Content-Digest"),
        (NAMED | {"Content-Digest": "sha-256=:AAAA:"}, "Content-Digest"),
        (NAMED | {"Content-Type": "pdf"}, "Content-Type"),
    ],
)
def test_a_header_at_fault_is_named(
    vault: Vault, client: httpx.Client, headers: dict[str, str], field: str
) -> None:
    document = problem_of(client.post(PATH, content=b"x", headers=headers))
    assert (document["status"], document["errors"][0]["field"]) == (400, field)
    assert vault.header is None


def test_a_form_or_a_coding_around_the_file_is_refused(vault: Vault, client: httpx.Client) -> None:
    form = client.post(PATH, files={"file": ("x.pdf", b"x")}, headers=NAMED)
    coded = client.post(PATH, content=b"x", headers=NAMED | {"Content-Encoding": "gzip"})
    assert problem_of(form)["status"] == problem_of(coded)["status"] == 415
    assert vault.header is None


def test_fields_that_the_service_refuses_are_named_by_their_headers(
    services: Services, client: httpx.Client
) -> None:
    for field, header in (("header.sha256", "Content-Digest"), ("name", "Content-Disposition")):

        def refuse(requests: Iterator[Any], _: Any, field: str = field) -> Any:
            list(requests)
            raise InvalidInput.field(field, "MISMATCH", "is not what arrived")

        services.answers["DepositDocument"] = refuse
        document = problem_of(client.post(PATH, content=b"x", headers=NAMED))
        assert document["errors"][0]["field"] == header
        assert document["detail"].startswith(f"{header}: ")


def test_a_refusal_comes_before_the_upload_is_over(services: Services, edge: Edge) -> None:
    def refuse(requests: Iterator[Any], _: Any) -> Any:
        next(requests)
        raise TooLarge("At most 10 bytes.")

    services.answers["DepositDocument"] = refuse
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
            b"Content-Disposition: attachment; filename=x\r\n\r\nfirst bytes"
        )
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer
        while connection.recv(65536):
            pass


def test_a_refusal_reaches_a_client_that_keeps_sending(
    services: Services, client: httpx.Client
) -> None:
    def refuse(requests: Iterator[Any], _: Any) -> Any:
        next(requests)
        raise TooLarge("At most 10 bytes.")

    services.answers["DepositDocument"] = refuse
    response = client.post(PATH, content=b"x" * 8_000_000, headers=NAMED)
    assert problem_of(response)["status"] == 413, response.text


def test_an_upload_that_breaks_off_is_cancelled(services: Services, edge: Edge) -> None:
    cancelled = []

    def take(requests: Iterator[Any], context: Any) -> Any:
        # grpcio's server may end the iterator as if the client had finished: the call tells.
        with contextlib.suppress(grpc.RpcError):
            list(requests)
        cancelled.append(services.ended.wait(20) and not context.is_active())

    services.answers["DepositDocument"] = take
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n"
            b"Content-Disposition: attachment; filename=x\r\n\r\nhalf"
        )
        eventually(lambda: bool(services.calls))
    eventually(lambda: bool(cancelled))
    assert cancelled == [True]


def test_a_new_version_is_put_where_the_content_is(
    client: httpx.Client, services: Services
) -> None:
    seen: list[Any] = []

    def take(requests: Iterator[Any], context: Any) -> Any:
        seen.extend(requests)
        version = versions_pb2.Version(document_id="d1", version=3)
        return versions_pb2.DepositVersionResponse(version=version)

    services.answers["DepositVersion"] = take
    response = client.put(
        "/v1/documents/d1/content",
        content=b"%PDF-1.7",
        headers={"Content-Type": "application/pdf", "If-Match": '"abc", W/"weak", "def"'},
    )
    assert response.status_code == 201, response.text
    assert response.headers["location"] == "/v1/documents/d1?version=3"
    header, chunk, end = seen
    assert (header.header.document_id, header.header.name) == ("d1", "")
    assert list(header.header.replaces) == ["abc", "def"]
    assert (header.header.media_type, header.header.size_bytes) == ("application/pdf", 8)
    assert (chunk.chunk, end.HasField("end")) == (b"%PDF-1.7", True)
