"""The HTTP/1.1 server: uvicorn, with a listening socket of our own and problems of our own."""

import logging
import socket

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backbone.errors import InvalidInput, problem
from backbone.settings import ConfigurationError
from services.gateway.application import Application
from services.gateway.problems import MEDIA_TYPE
from services.gateway.settings import GatewaySettings

_BACKLOG = 2048
# Longer than the idle timeout of usual proxies, so that theirs ends first.
_KEEP_ALIVE_SECONDS = 75


class ProblemProtocol(HttpToolsProtocol):
    """Answers what is not HTTP with a problem document too, and closes the connection."""

    def send_400_response(self, msg: str) -> None:
        error = InvalidInput(msg, reason="MALFORMED_HTTP")
        body = orjson.dumps(problem(error))
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: %b\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (MEDIA_TYPE, len(body), body)
        )
        self.transport.close()


class Server(uvicorn.Server):
    """A server that leaves the process's signals to the runner."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)


def listen(settings: GatewaySettings) -> socket.socket:
    """The listening socket.

    Raises:
        ConfigurationError: the address is taken, or is not one of this machine.
    """
    host, port = settings.host_and_port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.http_reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"BACKBONE_HTTP_LISTEN: cannot listen on {settings.http_listen} ({error.strerror})"
        ) from error
    return listener


def make(application: Application, stop_timeout: float) -> Server:
    """A server for `application`; requests get `stop_timeout` seconds to finish at the end."""
    # It tells each start and stop, which the runner does already.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return Server(
        uvicorn.Config(
            application,
            http=ProblemProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(stop_timeout)),
        )
    )
