"""One HTTP exchange: the request as handlers read it, the response as they write it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry import trace

from backbone.errors import TooLarge
from services.gateway.problems import ClientDisconnected, Headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# How long the rest of a refused upload is read and thrown away, so that closing the connection
# does not reset it before the client has read the refusal (RFC 9112, section 9.6).
_LINGER_SECONDS = 2.0


class Exchange:
    """A request and its response.

    `headers` are the request's, names in lower case; of a repeated field the last one counts
    (`raw_headers` has all). `path` is as it was sent, percent-encoded.
    `common` are the response headers of the whole edge, which every response gets. `status` is
    that of the response, 0 before it started.
    """

    __slots__ = (
        "_read",
        "_receive",
        "_send",
        "common",
        "headers",
        "method",
        "path",
        "query",
        "raw_headers",
        "span",
        "status",
        "trace_id",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, common: Headers) -> None:
        self._receive = receive
        self._read = False
        self._send = send
        self.common = common
        self.method: str = scope["method"]
        self.query: bytes = scope["query_string"]
        self.path: bytes = scope["raw_path"]
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self.raw_headers)
        self.span: trace.Span = trace.INVALID_SPAN
        self.status = 0
        self.trace_id = ""

    # ---- the request ------------------------------------------------------------------------

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Raises:
            ClientDisconnected: the connection ended before the body did.
        """
        more = True
        while more:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise ClientDisconnected
            if body := event.get("body"):
                yield body
            more = event.get("more_body", False)
        self._read = True

    def unread(self) -> bool:
        """Whether the request has a body of which a part may still be to come."""
        headers = self.headers
        return not self._read and (
            b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        )

    async def body(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it has more than `limit` bytes.
            ClientDisconnected: it did not arrive whole.
        """
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise TooLarge(f"The body has to be at most {limit} bytes.")
        pieces, size = [], 0
        async for piece in self.pieces():
            size += len(piece)
            if size > limit:
                raise TooLarge(f"The body has to be at most {limit} bytes.")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def disconnected(self) -> None:
        """Returns when the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    # ---- the response -----------------------------------------------------------------------

    async def respond(
        self, status: int, headers: Headers, body: bytes = b"", *, close: bool = False
    ) -> None:
        """Sends a whole response.

        `close` ends the connection after it, for a request that is not read to its end.
        """
        if status != 304 and status != 204:
            headers.append((b"content-length", str(len(body)).encode("ascii")))
        if close:
            headers.append((b"connection", b"close"))
        await self.start(status, headers)
        if close:
            await self.write(body)
            with contextlib.suppress(TimeoutError, ClientDisconnected):
                async with asyncio.timeout(_LINGER_SECONDS):
                    async for _ in self.pieces():
                        pass
            body = b""
        await self._send({"type": "http.response.body", "body": body})

    async def start(self, status: int, headers: Headers) -> None:
        """Sends the status and headers; `write` and `end` send the body."""
        self.status = status
        headers += self.common
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})
