"""A deposit that goes straight to the object store, as its depositor sees it."""

import hashlib
import http.client
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from bench.load import LoadFailed
from bench.vault.place import Place

# As many parts at the same time as the bare client has.
TOGETHER = 3


def upload(place: Place, token: str, data: bytes) -> str:
    """Opens, sends every part to the store and hashes meanwhile, completes; the document's
    identifier.
    """
    header = {
        "name": "bench.bin",
        "mediaType": "application/octet-stream",
        "sizeBytes": str(len(data)),
    }
    opened = _call(place, token, "/v1/uploads", {"header": header})["upload"]
    with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(TOGETHER) as together:
        digest = beside.submit(hashlib.sha256, data)
        list(together.map(partial(_send, memoryview(data)), opened["parts"]))
    document_id = str(opened["documentId"])
    told = {"sha256": digest.result().hexdigest()}
    _call(place, token, f"/v1/uploads/{document_id}/complete", told)
    return document_id


def _call(place: Place, token: str, path: str, message: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(place.gateway, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(message), headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise LoadFailed(f"POST {path}: {answer.status} {body!r}")
    told: dict[str, Any] = json.loads(body)
    return told


def _send(data: memoryview, part: dict[str, Any]) -> None:
    """As the form of a part says (RFC 7578), without a copy of its bytes."""
    boundary, address = uuid.uuid4().hex, urlsplit(part["url"])
    fields = [(field["name"], field["value"]) for field in part["fields"]]
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields
    )
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="part"\r\n\r\n'
    tail = f"\r\n--{boundary}--\r\n"
    start, size = int(part.get("offset", 0)), int(part["sizeBytes"])
    pieces: list[bytes | memoryview] = [head.encode(), data[start : start + size], tail.encode()]
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(sum(map(len, pieces))),
    }
    connection.request("POST", address.path, iter(pieces), headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 204:
        raise LoadFailed(f"POST {address.path}: {answer.status} {body!r}")
