"""``GET /v1/documents/{document_id}/content``: ReadContent as a response, or a part of one."""

import asyncio
import re
from typing import Any

import grpc
from administration.documents.v1 import documents_pb2
from google.protobuf.descriptor import MethodDescriptor

from backbone.errors import InvalidInput, PreconditionFailed
from services.gateway.backends import Backends, metadata
from services.gateway.content_headers import (
    ByteRange,
    attachment,
    byte_range,
    digest_of,
    entity_tag,
    if_range,
    named_contents,
    none_match,
)
from services.gateway.exchange import Exchange

# A field of the contract is an int32.
_VERSION = re.compile(rb"version=([1-9][0-9]{0,8})")
_CONDITIONS = (b"if-match", b"if-none-match", b"range")


class ContentHandler:
    """Answers GET and HEAD: 200, 206, 304, 412 or 416 (RFC 9110, sections 13 and 14).

    A request with conditions or a range asks GetDocument first, under the same access rule, so
    that they are decided on the document's size and hash, which what has a watermark has not. A
    failure after the response started ends the connection: a short body is never passed off as
    whole.
    """

    def __init__(
        self, rpc: MethodDescriptor, backends: Backends, timeout: float, call_timeout: float
    ) -> None:
        self._read = backends.stub(rpc)
        self._get = backends.stub(rpc.containing_service.methods_by_name["GetDocument"])
        self._timeout = timeout
        self._call_timeout = call_timeout

    async def __call__(self, exchange: Exchange, arguments: tuple[str, ...]) -> None:
        (document_id,), version = arguments, _version(exchange.query)
        part: ByteRange | None = None
        if exchange.method == "HEAD" or any(name in exchange.headers for name in _CONDITIONS):
            found = await self._get(
                documents_pb2.GetDocumentRequest(document_id=document_id, version=version),
                timeout=self._call_timeout,
                metadata=metadata(exchange),
            )
            document = found.document
            _require_match(exchange, document)
            if not document.watermarked and not _wanted(exchange, document):
                await exchange.respond(304, _validators(document))
                return
            if exchange.method == "HEAD":
                size = 0 if document.watermarked else document.size_bytes
                await exchange.start(200, _headers(document, 0, size))
                await exchange.end()
                return
            part = _part(exchange, document)
        request = documents_pb2.ReadContentRequest(document_id=document_id, version=version)
        if part is not None:
            request.offset, request.length = part.offset, part.length
        call = self._read(request, timeout=self._timeout, metadata=metadata(exchange))
        leaving = asyncio.ensure_future(exchange.disconnected())
        leaving.add_done_callback(lambda _: call.cancel())
        try:
            await _transfer(exchange, call)
        finally:
            call.cancel()
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)


async def _transfer(exchange: Exchange, call: Any) -> None:
    """Sends the content; returns without an end to it when the service breaks off."""
    first = await call.read()
    if first is grpc.aio.EOF or first.WhichOneof("part") != "header":
        raise TypeError("ReadContent did not begin with a header")
    header, sent = first.header, 0
    await exchange.start(
        206 if header.length != header.document.size_bytes else 200,
        _headers(header.document, header.offset, header.length),
    )
    while (message := await call.read()) is not grpc.aio.EOF:
        sent += len(message.chunk)
        await exchange.write(message.chunk)
    if sent == header.length:
        await exchange.end()


def _version(query: bytes) -> int:
    """The version that a query asks for; 0 where it asks for none.

    Raises:
        InvalidInput: it asks for something else.
    """
    if not query:
        return 0
    asked = _VERSION.fullmatch(query)
    if asked is None:
        raise InvalidInput(
            "The only query parameter of this resource is version: a whole number, from 1.",
            reason="UNKNOWN_PARAMETER",
        )
    return int(asked[1])


def _require_match(exchange: Exchange, document: Any) -> None:
    """Raises:
    PreconditionFailed: the document has none of the contents that the request is about.
    """
    wanted = named_contents(exchange.headers.get(b"if-match"))
    # What is made anew for each reading has no validator, which one could match.
    if wanted and (document.watermarked or document.sha256 not in wanted):
        raise PreconditionFailed(
            "The document has another content by now: read it again.", reason="CONTENT_CHANGED"
        )


def _wanted(exchange: Exchange, document: Any) -> bool:
    condition = exchange.headers.get(b"if-none-match")
    return condition is None or none_match(condition, entity_tag(document.sha256))


def _part(exchange: Exchange, document: Any) -> ByteRange | None:
    """The range to send; None for all of it.

    Raises:
        UnsatisfiableRange: the range lies past the end.
    """
    wanted = exchange.headers.get(b"range")
    # Made anew for each reading, it has no parts: a range is ignored (RFC 9110, section 14.2).
    if wanted is None or document.watermarked:
        return None
    condition = exchange.headers.get(b"if-range")
    if condition is not None and not if_range(condition, entity_tag(document.sha256)):
        return None
    return byte_range(wanted, document.size_bytes)


def _validators(document: Any) -> list[tuple[bytes, bytes]]:
    return [(b"etag", entity_tag(document.sha256)), (b"cache-control", b"private, no-cache")]


def _headers(document: Any, offset: int, length: int) -> list[tuple[bytes, bytes]]:
    size = document.size_bytes
    told = [
        (b"content-type", document.media_type.encode("ascii")),
        (b"content-disposition", attachment(document.name)),
    ]
    if document.watermarked:
        # Made anew for each reading: its size is known once it is made, a validator never.
        sized = [(b"content-length", b"%d" % length)] if length else []
        return [*told, *sized, (b"cache-control", b"no-store"), (b"accept-ranges", b"none")]
    headers = [
        *_validators(document),
        *told,
        (b"content-length", b"%d" % length),
        (b"accept-ranges", b"bytes"),
        (b"repr-digest", digest_of(document.sha256)),
    ]
    if length != size:
        last = offset + length - 1
        headers.append((b"content-range", b"bytes %d-%d/%d" % (offset, last, size)))
    return headers
