"""A proxy that lies about what goes through it: it truncates, alters, cuts or trickles."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# What becomes of bytes on their way back, given how many went before; None cuts the connection.
Lie = Callable[[bytes, int], bytes | None]


def honest(data: bytes, before: int) -> bytes | None:
    return data


class LyingProxy:
    """Carries connections to a server, as they are but for what it is told to do: a lie about the
    answers, a cut of all requests once `request_bytes` more have gone, the answer to a request
    that is `lost`, answers of so many bytes a second.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._server.getsockname())
        self.lie: Lie = honest
        self.request_bytes: int | None = None
        self.lost: re.Pattern[bytes] | None = None
        self.pace: float | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def honest(self) -> None:
        """Everything goes through as it is, from now on."""
        self.lie, self.request_bytes, self.lost, self.pace = honest, None, None, None

    def close(self) -> None:
        self._closed.set()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inward, _ = self._server.accept()
                outward = socket.create_connection(self._target)
                lost = threading.Event()
                for way in (self._requests, self._answers):
                    threading.Thread(target=way, args=(inward, outward, lost), daemon=True).start()

    def _requests(
        self, inward: socket.socket, outward: socket.socket, lost: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := inward.recv(65_536):
                if self.request_bytes is not None:
                    self.request_bytes -= len(data)
                    if self.request_bytes < 0:
                        break
                if self.lost is not None and self.lost.search(data):
                    lost.set()
                outward.sendall(data)
        _cut(inward, outward)

    def _answers(
        self, inward: socket.socket, outward: socket.socket, lost: threading.Event
    ) -> None:
        before = 0
        with suppress(OSError):
            while data := outward.recv(65_536):
                told = None if lost.is_set() else self.lie(data, before)
                if told is None:
                    break
                self._send(inward, told)
                before += len(data)
        _cut(inward, outward)

    def _send(self, inward: socket.socket, data: bytes) -> None:
        if self.pace is None:
            inward.sendall(data)
            return
        for byte in data:
            if self.pace is not None:
                self._closed.wait(1 / self.pace)
            inward.sendall(bytes([byte]))


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
