"""Files that are made when they are asked for: whole, or visibly not."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from administration.documents.v1 import downloads_pb2

from backbone.errors import Damaged, NotFound
from tests.unit.gateway.conftest import Services, problem_of

PATH = "/v1/documents/archive"
Response = downloads_pb2.ArchiveDocumentsResponse
HEADER = downloads_pb2.Download(file_name="été.zip", media_type="application/zip")


def sent(request: Any, _: Any) -> Iterator[Any]:
    yield Response(header=HEADER)
    yield Response(chunk=b"PK")
    yield Response(chunk=b"..")


def test_it_is_sent_as_it_is_made(client: httpx.Client, services: Services) -> None:
    services.answers["ArchiveDocuments"] = sent
    response = client.get(f"{PATH}?documentIds=a&documentIds=b")
    assert (response.status_code, response.content) == (200, b"PK..")
    assert response.headers["content-type"] == "application/zip"
    assert "filename*=UTF-8''%C3%A9t%C3%A9.zip" in response.headers["content-disposition"]
    assert response.headers["cache-control"] == "private, no-store"
    ((_, request, _),) = services.calls
    assert list(request.document_ids) == ["a", "b"]
    assert client.head(PATH).content == b""


def test_a_refusal_comes_before_it(client: httpx.Client, services: Services) -> None:
    def refused(request: Any, context: Any) -> Iterator[Any]:
        if not request.document_ids:
            raise NotFound("No such document.")
        yield from ()

    services.answers["ArchiveDocuments"] = refused
    assert problem_of(client.get(PATH))["status"] == 404
    assert problem_of(client.get(f"{PATH}?colour=red"))["status"] == 400


def test_one_that_breaks_off_never_passes_for_whole(
    client: httpx.Client, services: Services
) -> None:
    def broken(request: Any, context: Any) -> Iterator[Any]:
        yield Response(header=HEADER)
        yield Response(chunk=b"PK")
        raise Damaged("The content is not what was deposited.")

    services.answers["ArchiveDocuments"] = broken
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(PATH)
