"""A proxy that lies about what goes through it: it truncates, alters or cuts."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# What becomes of bytes on their way back, given how many went before; None cuts the connection.
Lie = Callable[[bytes, int], bytes | None]


def honest(data: bytes, before: int) -> bytes | None:
    return data


class LyingProxy:
    """Carries connections to a server, as they are but for a lie about the answers, or a cut of
    the requests after `request_bytes`.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._server.getsockname())
        self.lie: Lie = honest
        self.request_bytes: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inward, _ = self._server.accept()
                outward = socket.create_connection(self._target)
                for way in (self._requests, self._answers):
                    threading.Thread(target=way, args=(inward, outward), daemon=True).start()

    def _requests(self, inward: socket.socket, outward: socket.socket) -> None:
        before = 0
        with suppress(OSError):
            while data := inward.recv(65_536):
                before += len(data)
                if self.request_bytes is not None and before > self.request_bytes:
                    break
                outward.sendall(data)
        _cut(inward, outward)

    def _answers(self, inward: socket.socket, outward: socket.socket) -> None:
        before = 0
        with suppress(OSError):
            while data := outward.recv(65_536):
                told = self.lie(data, before)
                if told is None:
                    break
                inward.sendall(told)
                before += len(data)
        _cut(inward, outward)


def _cut(*connections: socket.socket) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


@contextmanager
def lying(target: str) -> Iterator[LyingProxy]:
    proxy = LyingProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
