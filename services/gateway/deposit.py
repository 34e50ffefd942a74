"""``POST /v1/documents`` and ``PUT …/content``: a request's body, streamed into a deposit."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import grpc
import orjson
from administration.documents.v1 import documents_pb2, versions_pb2
from google.protobuf.descriptor import MethodDescriptor

from backbone.chunks import Chunk
from backbone.contracts import message_class
from services.gateway.backends import Backends, metadata
from services.gateway.content_headers import (
    file_name,
    media_type,
    named_contents,
    sha256_of_digest,
)
from services.gateway.exchange import Exchange
from services.gateway.json_body import refuse_encoded
from services.gateway.json_encoder import encoder
from services.gateway.names import json_path
from services.gateway.problems import UnsupportedMediaType
from services.gateway.unary import JSON_HEADERS

CHUNK = 256 * 1024
# The header that each field of the rpc's first message comes from.
_HEADER_OF = {
    "name": "Content-Disposition",
    "media_type": "Content-Type",
    "size_bytes": "Content-Length",
    "sha256": "Content-Digest",
    "replaces": "If-Match",
}


def rename(field: str) -> str:
    """A field of a deposit as the HTTP client knows it."""
    name = field.removeprefix("header.")
    return _HEADER_OF.get(name.partition("[")[0], json_path(name))


class DepositHandler:
    """Streams an upload; answers 201 with what was made of it, and where that is.

    What the service refuses is answered at once, before the upload is over, and the connection
    closes. An upload that breaks off cancels the call: nothing is stored.
    """

    def __init__(self, rpc: MethodDescriptor, backends: Backends, timeout: float) -> None:
        self._stub = backends.stub(rpc)
        self._timeout = timeout
        self._message = message_class(rpc.input_type)
        self._encode = encoder(rpc.output_type)

    async def __call__(self, exchange: Exchange, arguments: tuple[str, ...]) -> None:
        header = self._header(exchange, arguments)
        call = self._stub(timeout=self._timeout, metadata=metadata(exchange))
        sending = asyncio.ensure_future(_send(call, self._message, header, exchange))
        answering = asyncio.ensure_future(_answer(call))
        try:
            await asyncio.wait([sending, answering], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                # Raises when the client left; a refusal that ended the sending is in `answering`.
                await sending
            response = await answering
        finally:
            call.cancel()
            sending.cancel()
            answering.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)
        headers = [*JSON_HEADERS, (b"location", self._location(response).encode("ascii"))]
        body = orjson.dumps(self._encode(response))
        await exchange.respond(201, headers, body, close=exchange.unread())

    def _header(self, exchange: Exchange, _: tuple[str, ...]) -> Any:
        name = file_name(exchange.headers.get(b"content-disposition"))
        return documents_pb2.DepositDocumentRequest.Header(name=name, **_announced(exchange))

    def _location(self, response: Any) -> str:
        return f"/v1/documents/{response.document.document_id}"


class VersionHandler(DepositHandler):
    """The same for a new version of a document, whose name needs not be told."""

    def _header(self, exchange: Exchange, arguments: tuple[str, ...]) -> Any:
        told = exchange.headers.get(b"content-disposition")
        return versions_pb2.DepositVersionRequest.Header(
            document_id=arguments[0],
            name=file_name(told) if told else "",
            replaces=named_contents(exchange.headers.get(b"if-match")),
            **_announced(exchange),
        )

    def _location(self, response: Any) -> str:
        version = response.version
        return f"/v1/documents/{version.document_id}?version={version.version}"


def _announced(exchange: Exchange) -> dict[str, Any]:
    """What the request's fields say of the upload, but its name."""
    refuse_encoded(exchange)
    headers = exchange.headers
    kind = media_type(headers.get(b"content-type"))
    if kind.startswith("multipart/"):
        raise UnsupportedMediaType("The body has to be the file itself, not a form around it.")
    announced = headers.get(b"content-length", b"")
    return {
        "media_type": kind,
        "size_bytes": min(int(announced), 2**63 - 1) if announced.isdigit() else 0,
        "sha256": sha256_of_digest(headers.get(b"content-digest")),
    }


async def _send(call: Any, request: Any, header: Any, exchange: Exchange) -> None:
    """Writes the header, the chunks and the end; returns early when the call is over."""
    # The call's own status says why it ended; `_answer` raises it.
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(request(header=header))
        async for chunk in sliced(exchange.pieces(), CHUNK):
            await call.write(Chunk(chunk))
        await call.write(request(end=request.End()))
        await call.done_writing()


async def _answer(call: Any) -> Any:
    """The service's response.

    When a write meets a call that the service has just ended, grpc.aio gives the call a status
    of its own, INTERNAL, before or after the service's. The service's is the one to tell.

    Raises:
        grpc.aio.AioRpcError: the service refused.
    """
    first: list[grpc.aio.AioRpcError] = []
    call.add_done_callback(lambda ended: first.append(_status(ended)))
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.INTERNAL and first:
            raise first[0] from error
        raise


def _status(call: Any) -> grpc.aio.AioRpcError:
    """The status of a call that has ended, at this moment."""
    code, details = _now(call.code()), _now(call.details())
    return grpc.aio.AioRpcError(code, None, _now(call.trailing_metadata()), details)


def _now(known: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that has nothing to wait for."""
    try:
        known.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("a call that has ended has no status")


async def sliced(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[memoryview]:
    """The same bytes in chunks of `size`, the last one shorter; copied once."""
    held: list[bytes | memoryview] = []
    count = 0
    async for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= size:
            whole = memoryview(b"".join(held))
            full = count - count % size
            for start in range(0, full, size):
                yield whole[start : start + size]
            held, count = [whole[full:]], count - full
    if count:
        yield memoryview(b"".join(held))
