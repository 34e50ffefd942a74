"""A partner's endpoint: keeps what it is called with, answers what a test says."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One call, verified as docs/partners.md tells partners to."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> bool:
        headers = self.headers
        if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
            return False
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + self.body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        ours = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        theirs = headers["webhook-signature"].split()
        return any(hmac.compare_digest(ours, item) for item in theirs)


class Endpoint:
    """`status`, `extra` headers and `delay` may be changed while it runs."""

    def __init__(
        self, status: int, extra: Mapping[str, str], tls: ssl.SSLContext | None = None
    ) -> None:
        self.status, self.extra, self.delay = status, extra, 0.0
        self.calls: list[Received] = []
        self.let_go = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.calls.append(Received(self.path, headers, self.rfile.read(size)))
                if outer.delay:
                    outer.let_go.wait(outer.delay)
                self.send_response(outer.status)
                for name, value in outer.extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Says nothing."""

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the caller was killed, or would not wait
                    return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def about(self, subject: str) -> list[Received]:
        """The calls that told of an entity."""
        return [call for call in list(self.calls) if call.event["subject"] == subject]

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def endpoint(
    status: int = 204,
    extra: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Endpoint]:
    opened = Endpoint(status, extra or {}, tls)
    try:
        yield opened
    finally:
        opened.close()
