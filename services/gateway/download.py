"""Files that are made when they are asked for: a stream of an rpc as a response, from its start."""

import asyncio
from typing import Any

import grpc

from services.gateway.backends import Backends, metadata
from services.gateway.content_headers import attachment
from services.gateway.exchange import Exchange
from services.gateway.http_rules import Binding
from services.gateway.requests import RequestBuilder


class DownloadHandler:
    """Answers GET: 200. HEAD is the same without the body; there are no ranges, as nothing is kept.

    The rpc's first message is a `Download`, every later one a chunk. A failure after the response
    started ends the connection: a short body is never passed off as whole.
    """

    def __init__(self, binding: Binding, backends: Backends, timeout: float) -> None:
        self._stub = backends.stub(binding.rpc)
        self._builder = RequestBuilder(binding)
        self._timeout = timeout

    async def __call__(self, exchange: Exchange, arguments: tuple[str, ...]) -> None:
        request = self._builder.build(arguments, exchange.query)
        call = self._stub(request, timeout=self._timeout, metadata=metadata(exchange))
        leaving = asyncio.ensure_future(exchange.disconnected())
        leaving.add_done_callback(lambda _: call.cancel())
        try:
            first = await call.read()
            if first is grpc.aio.EOF or first.WhichOneof("part") != "header":
                raise TypeError("the download did not begin with a header")
            await exchange.start(200, _headers(first.header))
            if exchange.method != "HEAD":
                while (message := await call.read()) is not grpc.aio.EOF:
                    await exchange.write(message.chunk)
            await exchange.end()
        finally:
            call.cancel()
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)


def _headers(header: Any) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", header.media_type.encode("ascii")),
        (b"content-disposition", attachment(header.file_name)),
        (b"cache-control", b"private, no-store"),
        (b"accept-ranges", b"none"),
    ]
    if header.size_bytes:
        headers.append((b"content-length", b"%d" % header.size_bytes))
    return headers
