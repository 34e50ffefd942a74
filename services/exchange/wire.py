"""HTTP calls to addresses that were checked: resolved once, pinned, bounded in time and size.

``http.client`` follows no redirect and uses no proxy. The connection goes to the very address
that was checked, whatever the name leads to a moment later; Host, SNI and the certificate are the
name's.
"""

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.exchange.domain.endpoint import Address, Endpoint

# Of an answer that is read, and thrown away.
MAX_ANSWER_BYTES = 64 * 1024

Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, each once. Raises `socket.gaierror`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class Deadline:
    """When a call has to be over, however slowly the other side sends."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Raises:
        TimeoutError: nothing is left.
        """
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


def post(
    endpoint: Endpoint,
    addresses: Sequence[Address],
    headers: Mapping[str, str],
    body: bytes,
    deadline: Deadline,
    context: ssl.SSLContext,
) -> tuple[int, str]:
    """The status of the answer and its ``Retry-After``.

    Raises:
        OSError, http.client.HTTPException: there was none; TimeoutError: not in time.
    """
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port)
    # `http.client` connects only where there is no socket yet.
    connection.sock = _Timed(_connect(endpoint, addresses, deadline, context), deadline)
    try:
        connection.putrequest("POST", endpoint.target, skip_host=True, skip_accept_encoding=True)
        sent = {
            "Host": endpoint.authority,
            **headers,
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        # The status counts, whatever comes of the rest.
        status, retry_after = answer.status, answer.getheader("Retry-After", "")
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer.read(MAX_ANSWER_BYTES)
        return status, retry_after
    finally:
        connection.close()


def _connect(
    endpoint: Endpoint, addresses: Sequence[Address], deadline: Deadline, context: ssl.SSLContext
) -> socket.socket:
    failure: OSError | None = None
    for address in addresses:
        try:
            plain = socket.create_connection((str(address), endpoint.port), deadline.left())
        except TimeoutError:
            raise
        except OSError as error:
            failure = error
            continue
        if not endpoint.secure:
            return plain
        try:
            plain.settimeout(deadline.left())
            return context.wrap_socket(plain, server_hostname=endpoint.host)
        except BaseException:
            plain.close()
            raise
    assert failure is not None, "no address was given"
    raise failure


class _Timed:
    """What ``http.client`` needs of a socket; each wait is bounded by what is left in all."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self._sock, self._deadline))

    def close(self) -> None:
        self._sock.close()


class _Reading(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)
