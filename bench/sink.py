"""Stands for a collector on another machine: ``python -m bench.sink PORT``.

It takes OTLP over HTTP and counts the spans without decoding them, so that the cores of this
machine go to what is measured. ``GET /`` tells the count.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Every span of a call has this attribute, once.
MARK = b"rpc.response.status_code"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    spans = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Handler.spans += body.count(MARK)
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(str(Handler.spans).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
