"""A document's bytes: ranges, conditions, and no silent truncation."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from administration.documents.v1 import documents_pb2

from backbone.errors import NotFound
from tests.unit.gateway.conftest import Services, problem_of

CONTENT = b"0123456789"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
PATH = "/v1/documents/d1/content"
DOCUMENT = documents_pb2.Document(
    document_id="d1", name="été.pdf", media_type="application/pdf", size_bytes=10, sha256=SHA256
)


def read(request: Any, _: Any) -> Iterator[Any]:
    response = documents_pb2.ReadContentResponse
    end = request.offset + request.length if request.length else len(CONTENT)
    part = CONTENT[request.offset : end]
    header = response.Header(document=DOCUMENT, offset=request.offset, length=len(part))
    yield response(header=header)
    for index in range(0, len(part), 4):
        yield response(chunk=part[index : index + 4])


@pytest.fixture(autouse=True)
def vault(services: Services) -> Services:
    services.answers["ReadContent"] = read
    services.answers["GetDocument"] = lambda *_: documents_pb2.GetDocumentResponse(
        document=DOCUMENT
    )
    return services


def test_all_of_it(client: httpx.Client, services: Services) -> None:
    response = client.get(PATH)
    assert (response.status_code, response.content) == (200, CONTENT)
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert {
        "content-type": "application/pdf",
        "content-length": "10",
        "accept-ranges": "bytes",
        "etag": ETAG,
        "repr-digest": f"sha-256=:{digest}:",
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
        "content-disposition": (
            "attachment; filename=\"_t_.pdf\"; filename*=UTF-8''%C3%A9t%C3%A9.pdf"
        ),
    }.items() <= dict(response.headers).items()
    assert [name for name, _, _ in services.calls] == ["ReadContent"]


@pytest.mark.parametrize(
    ("wanted", "content", "told"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("Bytes = 0-0", b"0", "bytes 0-0/10"),
    ],
)
def test_one_range(client: httpx.Client, wanted: str, content: bytes, told: str) -> None:
    response = client.get(PATH, headers={"Range": wanted})
    assert (response.status_code, response.content) == (206, content)
    assert response.headers["content-range"] == told


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,4-5", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=a-b", "bytes=-99"]
)
def test_what_is_not_one_range_is_answered_with_all(client: httpx.Client, wanted: str) -> None:
    response = client.get(PATH, headers={"Range": wanted})
    assert (response.status_code, response.content) == (200, CONTENT)


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=99-100", "bytes=-0", f"bytes={10**25}-"])
def test_a_range_past_the_end(client: httpx.Client, wanted: str) -> None:
    response = client.get(PATH, headers={"Range": wanted})
    assert problem_of(response)["status"] == 416
    assert response.headers["content-range"] == "bytes */10"


def test_conditions(client: httpx.Client) -> None:
    for tags in (ETAG, f'"other", W/{ETAG}', "*"):
        response = client.get(PATH, headers={"If-None-Match": tags})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == ETAG
    assert client.get(PATH, headers={"If-None-Match": '"other"'}).content == CONTENT
    kept = client.get(PATH, headers={"Range": "bytes=0-1", "If-Range": ETAG})
    assert kept.content == b"01"
    for condition in ('"other"', f"W/{ETAG}", "Tue, 24 Nov 2026 10:00:00 GMT"):
        headers = {"Range": "bytes=50-", "If-Range": condition}
        assert client.get(PATH, headers=headers).content == CONTENT


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_content_that_is_another_by_now_is_not_given(client: httpx.Client, method: str) -> None:
    for tags in (ETAG, f'"other", {ETAG}', "*"):
        assert client.request(method, PATH, headers={"If-Match": tags}).status_code == 200
    for tags in ('"other"', f"W/{ETAG}", "nonsense"):
        headers = {"If-Match": tags, "If-None-Match": ETAG, "Range": "bytes=0-1"}
        assert client.request(method, PATH, headers=headers).status_code == 412
    response = client.get(PATH, headers={"If-Match": '"other"'})
    assert problem_of(response)["reason"] == "CONTENT_CHANGED"


def test_head_tells_without_reading(client: httpx.Client, services: Services) -> None:
    response = client.head(PATH, headers={"Range": "bytes=0-1"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "10"
    assert [name for name, _, _ in services.calls] == ["GetDocument"]


def test_what_has_a_watermark_has_no_parts_and_no_validator(
    client: httpx.Client, services: Services
) -> None:
    described = documents_pb2.Document()
    described.CopyFrom(DOCUMENT)
    described.watermarked, marked = True, CONTENT * 2

    def read_marked(request: Any, _: Any) -> Iterator[Any]:
        assert (request.offset, request.length) == (0, 0)
        response = documents_pb2.ReadContentResponse
        read = documents_pb2.Document()
        read.CopyFrom(described)
        read.size_bytes, read.sha256 = len(marked), hashlib.sha256(marked).hexdigest()
        yield response(header=response.Header(document=read, length=len(marked)))
        yield response(chunk=marked)

    services.answers["ReadContent"] = read_marked
    services.answers["GetDocument"] = lambda *_: documents_pb2.GetDocumentResponse(
        document=described
    )
    for headers in ({}, {"Range": "bytes=0-3"}, {"Range": "bytes=99-"}, {"If-None-Match": "*"}):
        response = client.get(PATH, headers=headers)
        assert (response.status_code, response.content) == (200, marked)
        assert response.headers["content-length"] == "20"
        assert response.headers["accept-ranges"] == "none"
        assert response.headers["cache-control"] == "no-store"
        assert "etag" not in response.headers
    head = client.head(PATH)
    assert (head.status_code, "content-length" in head.headers) == (200, False)


def test_a_refusal_is_a_problem(client: httpx.Client, services: Services) -> None:
    def refuse(*_: Any) -> Any:
        raise NotFound("No such document.")

    services.answers["ReadContent"] = services.answers["GetDocument"] = refuse
    assert problem_of(client.get(PATH))["status"] == 404
    assert problem_of(client.get(PATH, headers={"Range": "bytes=0-1"}))["status"] == 404


@pytest.mark.parametrize("fails", [True, False])
def test_a_body_cut_short_is_never_whole(
    client: httpx.Client, services: Services, fails: bool
) -> None:
    def cut(request: Any, context: Any) -> Iterator[Any]:
        messages = read(request, context)
        yield next(messages)
        yield next(messages)
        if fails:
            raise NotFound("Gone.")

    services.answers["ReadContent"] = cut
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(PATH)


def test_leaving_ends_the_read(client: httpx.Client, services: Services) -> None:
    def slow(request: Any, context: Any) -> Iterator[Any]:
        yield from [next(read(request, context))]
        services.ended.wait(20)

    services.answers["ReadContent"] = slow
    with client.stream("GET", PATH) as response:
        assert response.status_code == 200
    assert services.ended.wait(20)


def test_a_version_is_asked_for_by_number(client: httpx.Client, services: Services) -> None:
    assert client.get(f"{PATH}?version=7", headers={"Range": "bytes=0-1"}).status_code == 206
    assert [(name, request.version) for name, request, _ in services.calls] == [
        ("GetDocument", 7),
        ("ReadContent", 7),
    ]


@pytest.mark.parametrize("query", ["version=0", "version=", "version=1&version=2", "v=1", "%31"])
def test_any_other_query_is_refused(client: httpx.Client, query: str) -> None:
    assert problem_of(client.get(f"{PATH}?{query}"))["reason"] == "UNKNOWN_PARAMETER"
