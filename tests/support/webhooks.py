"""A partner's endpoint: keeps what it is called with, answers what a test says."""

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.processes import ROOT


@dataclass
class Received:
    """One call, verified with the code of docs/partners.md."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> bool:
        return verified(secret, self.headers, self.body)


def _from_the_documentation() -> Callable[[str, Mapping[str, str], bytes], bool]:
    """The very code that partners are told to verify with."""
    text = (ROOT / "docs" / "partners.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    # Ours, and there is no other way to run what is written there.
    exec(code, names)
    found: Callable[[str, Mapping[str, str], bytes], bool] = names["verified"]
    return found


verified = _from_the_documentation()


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
