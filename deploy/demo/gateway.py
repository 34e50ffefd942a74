"""The gateway, as a front end calls it."""

import base64
import hashlib
import http.client
import json
import queue
import socket
import threading
from typing import Any, Self
from urllib.parse import quote, urlsplit

import requests

from deploy.demo.narrator import StepError, expect

TIMEOUT = 15


class Gateway:
    """HTTP calls with a token; answers are the responses, whatever their status."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.get(f"{self._url}{path}", headers=headers, timeout=TIMEOUT)

    def post(self, path: str, token: str, body: dict[str, Any]) -> requests.Response:
        return requests.post(
            f"{self._url}{path}",
            headers={"Authorization": f"Bearer {token}"},
            json=body,
            timeout=TIMEOUT,
        )

    def deposit(self, token: str, name: str, media_type: str, data: bytes) -> requests.Response:
        """``POST /v1/documents``: the bytes as the body, what they are in the headers."""
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return requests.post(
            f"{self._url}/v1/documents",
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": media_type,
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
                "Content-Digest": f"sha-256=:{digest}:",
            },
            data=data,
            timeout=TIMEOUT,
        )

    def upload(self, token: str, name: str, media_type: str, data: bytes) -> requests.Response:
        """``/v1/uploads``: opened, each part sent to the store, completed; the last answer, or the
        first that is no success.
        """
        header = {
            "name": name,
            "mediaType": media_type,
            "sizeBytes": str(len(data)),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        opened = self.post("/v1/uploads", token, {"header": header})
        if opened.status_code != 200:
            return opened
        upload = opened.json()["upload"]
        for part in upload["parts"]:
            start, size = int(part.get("offset", 0)), int(part["sizeBytes"])
            fields = {field["name"]: field["value"] for field in part["fields"]}
            sent = requests.post(
                part["url"], data=fields, files={"file": data[start : start + size]}, timeout=60
            )
            if sent.status_code != 204:
                return sent
        return self.post(f"/v1/uploads/{upload['documentId']}/complete", token, {})


class Inbox:
    """The live inbox (Server-Sent Events), read on a thread. Use as a context manager."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._connection.request(
            "GET",
            "/v1/inbox/stream",
            headers={"Authorization": f"Bearer {token}", "Accept": "text/event-stream"},
        )
        self._response = self._connection.getresponse()
        expect(self._response.status == 200, f"the stream was refused ({self._response.status})")
        self._entries: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Not `close`, which would wait for the thread that reads.
        self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        for line in self._response:
            if line.startswith(b"data:"):
                self._entries.put(json.loads(line[5:]))

    def entry(self, kind: str, entity_id: str, seconds: float) -> dict[str, Any]:
        """The entry of one kind about one entity, when it comes.

        Raises:
            StepError: it has not within so many seconds.
        """
        while True:
            try:
                entry: dict[str, Any] = self._entries.get(timeout=seconds)["entry"]
            except queue.Empty:
                raise StepError(f"no {kind} entry within {seconds} s") from None
            if entry["kind"] == kind and entry["entityId"] == entity_id:
                return entry
