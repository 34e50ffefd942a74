"""The operators' port of a service: ``/livez``, ``/readyz``, ``/metrics``.

Ready means that every extension with a `check_ready` method returned None. What `check_well` tells
is said beside it, and takes no service away: a broker that is down is down for all of them, and
they answer calls without it.
"""

import json
import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backbone.container import NativeContainer
from backbone.settings import ConfigurationError

log = logging.getLogger(__name__)


def not_ready(container: NativeContainer) -> dict[str, str]:
    """What is not ready, and why; empty when the service is ready."""
    if container.stopping.is_set() or not container.started:
        return {"service": "is starting or stopping"}
    return _told(container, "check_ready")


def _told(container: NativeContainer, check: str) -> dict[str, str]:
    reasons = {}
    for extension in container.all_extensions:
        if hasattr(extension, check) and (reason := getattr(extension, check)()) is not None:
            reasons[type(extension).__name__] = reason
    return reasons


def serve(container: NativeContainer, listen: str) -> ThreadingHTTPServer:
    """Listens on `host:port`, on a thread of the container; ``shutdown()`` ends it.

    Raises:
        ConfigurationError: the address is taken or malformed.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/livez":
                self._answer(HTTPStatus.OK, "application/json", b'{"status":"alive"}')
            elif self.path == "/readyz":
                reasons = not_ready(container)
                status = "not ready" if reasons else "ready"
                body = json.dumps({"status": status, **_told(container, "check_well"), **reasons})
                code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
                self._answer(code, "application/json", body.encode())
            elif self.path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/livez /readyz /metrics\n")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            log.debug(format, *args)

    host, _, port = listen.rpartition(":")
    try:
        server = ThreadingHTTPServer((host, int(port)), Handler)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"BACKBONE_OPS_LISTEN: cannot listen on {listen} ({error})"
        ) from error
    server.daemon_threads = True
    container.spawn_managed_thread(server.serve_forever, identifier="ops")
    return server
