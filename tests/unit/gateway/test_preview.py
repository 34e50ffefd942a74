"""A preview: an image with a validator, or a problem that says why there is none."""

import hashlib
from typing import Any

import httpx
import pytest
from administration.documents.v1 import finding_pb2

from backbone.errors import NotFound
from tests.unit.gateway.conftest import Services, problem_of

IMAGE = b"RIFF\0\0\0\0WEBP..."
PATH = "/v1/documents/d1/preview"
ETAG = f'"{hashlib.sha256(IMAGE).hexdigest()}"'


@pytest.fixture(autouse=True)
def vault(services: Services) -> Services:
    services.answers["GetPreview"] = lambda *_: finding_pb2.GetPreviewResponse(image=IMAGE)
    return services


def test_an_image_and_its_validator(client: httpx.Client) -> None:
    response = client.get(PATH)
    assert (response.status_code, response.content) == (200, IMAGE)
    assert {
        "content-type": "image/webp",
        "etag": ETAG,
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
    }.items() <= dict(response.headers).items()
    head = client.head(PATH)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == ETAG


def test_what_the_client_has_is_not_sent_again(client: httpx.Client) -> None:
    response = client.get(PATH, headers={"If-None-Match": ETAG})
    assert (response.status_code, response.content) == (304, b"")
    assert client.get(PATH, headers={"If-None-Match": '"other"'}).content == IMAGE


def test_a_refusal_says_why(client: httpx.Client, services: Services) -> None:
    def refuse(*_: Any) -> Any:
        raise NotFound("Not yet.", reason="PREVIEW_PENDING", metadata={"retry_after": "1"})

    services.answers["GetPreview"] = refuse
    problem = problem_of(client.get(PATH))
    assert (problem["status"], problem["reason"]) == (404, "PREVIEW_PENDING")
    assert problem_of(client.get(PATH, params={"a": "b"}))["reason"] == "UNKNOWN_PARAMETER"
