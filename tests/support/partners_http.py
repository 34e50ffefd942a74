"""What exchange's tests share: shares that make public events, and processes of the service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from administration.documents.v1 import documents_pb2

import deploy.local
from tests.support import vault
from tests.support.polling import eventually
from tests.support.processes import BACKBONE, running
from tests.support.rpc import Client

TOPIC = "public.documents.v1.Document"
FEED = f"/v1/feeds/{TOPIC}"


class Document:
    """A document whose shares are public events of one entity."""

    def __init__(self, documents: Client, token: str) -> None:
        self._documents, self._token = documents, token
        self.id = vault.deposit(documents, token, vault.unique_bytes()).document_id

    def share(self, count: int = 1) -> None:
        for _ in range(count):
            request = documents_pb2.ShareDocumentRequest(
                document_id=self.id, administration="caf-martinique", purpose="Essai"
            )
            request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
            self._documents.share_document(request, token=self._token)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Reader:
    """A partner who reads a feed over HTTP."""

    def __init__(self, gateway: httpx.Client, token: str) -> None:
        self._gateway, self._token = gateway, token
        self.cursor = ""

    def get(self, **query: Any) -> httpx.Response:
        return self._gateway.get(f"{FEED}/events", params=query, headers=bearer(self._token))

    def page(self, **query: Any) -> list[dict[str, Any]]:
        """The next events; goes on from them."""
        if self.cursor:
            query = {"after": self.cursor, **query}
        answer = self.get(**query)
        assert answer.status_code == 200, answer.text
        self.cursor = answer.json()["nextCursor"]
        events: list[dict[str, Any]] = answer.json()["events"]
        return events

    def until(self, document_id: str, count: int) -> list[dict[str, Any]]:
        """Reads on until it has so many events of a document; those."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            found.extend(
                item
                for item in self.page(wait_seconds=5)
                if item["event"]["subject"] == document_id
            )
            return len(found) >= count

        eventually(enough, what=f"{count} events")
        return found


class Stream:
    """Server-Sent Events, read line by line."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, dict[str, Any]]:
        """The id and the data of the next event."""
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if line and name:
                fields[name] = value
            elif "data" in fields:
                return fields.get("id", ""), json.loads(fields["data"])
        raise AssertionError("the stream ended")


@contextmanager
def own_exchange(stack: dict[str, Any], log: Path, **settings: str) -> Iterator["Own"]:
    """The service with other settings, in the place of the stack's own."""
    deploy.local.stop("exchange")
    own = Own(stack, log, settings)
    try:
        with own.serving():
            yield own
    finally:
        deploy.local.start("exchange")
        eventually(own.found, what="the gateway finds exchange")


class Own:
    """Processes of exchange, one after the other, at the stack's addresses."""

    def __init__(self, stack: dict[str, Any], log: Path, settings: dict[str, str]) -> None:
        ops = stack["services"]["exchange"]["ops"]
        self._ready = [f"{ops}/readyz", f"{stack['gateway']}/readyz"]
        self._environment = stack["services"]["exchange"]["environment"] | settings
        self._log = log

    @contextmanager
    def serving(self) -> Iterator[None]:
        command = (BACKBONE, "serve", "exchange")
        with running(*command, environment=self._environment, log=self._log) as process:
            self.process = process
            eventually(self.ready, what="exchange is ready")
            yield

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()[-3000:]
        return self.found()

    def found(self) -> bool:
        """Whether exchange is ready, and the gateway has found it."""
        try:
            return all(httpx.get(url, timeout=5).status_code == 200 for url in self._ready)
        except httpx.TransportError:
            return False
