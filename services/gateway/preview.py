"""``GET /v1/documents/{document_id}/preview``: GetPreview as an image."""

import hashlib

from administration.documents.v1 import finding_pb2
from google.protobuf.descriptor import MethodDescriptor

from backbone.errors import InvalidInput
from services.gateway.backends import Backends, metadata
from services.gateway.content_headers import entity_tag, none_match
from services.gateway.exchange import Exchange


class PreviewHandler:
    """Answers GET and HEAD: 200, or 304 (RFC 9110, section 13)."""

    def __init__(self, rpc: MethodDescriptor, backends: Backends, timeout: float) -> None:
        self._get, self._timeout = backends.stub(rpc), timeout

    async def __call__(self, exchange: Exchange, arguments: tuple[str, ...]) -> None:
        if exchange.query:
            raise InvalidInput("This resource has no query parameter.", reason="UNKNOWN_PARAMETER")
        (document_id,) = arguments
        found = await self._get(
            finding_pb2.GetPreviewRequest(document_id=document_id),
            timeout=self._timeout,
            metadata=metadata(exchange),
        )
        etag = entity_tag(hashlib.sha256(found.image).hexdigest())
        headers = [(b"etag", etag), (b"cache-control", b"private, no-cache")]
        condition = exchange.headers.get(b"if-none-match")
        if condition is not None and not none_match(condition, etag):
            await exchange.respond(304, headers)
            return
        headers.append((b"content-type", b"image/webp"))
        await exchange.respond(200, headers, found.image)
