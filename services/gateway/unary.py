"""JSON over HTTP to a unary rpc and back."""

from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor

from services.gateway.backends import Backends, metadata
from services.gateway.exchange import Exchange
from services.gateway.http_rules import Binding
from services.gateway.json_body import read
from services.gateway.json_encoder import encoder
from services.gateway.requests import RequestBuilder

JSON_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


class UnaryHandler:
    """Answers one binding of a unary rpc.

    Raises, as handlers do: `DomainError` for what is wrong with the request,
    `grpc.aio.AioRpcError` for what the service refuses.
    """

    def __init__(
        self, binding: Binding, backends: Backends, timeout: float, max_body_bytes: int
    ) -> None:
        self._stub = backends.stub(binding.rpc)
        self._builder = RequestBuilder(binding)
        self._timeout = timeout
        self._max_body_bytes = max_body_bytes
        self._encode = encoder(binding.rpc.output_type)
        self._field: FieldDescriptor | None = None
        if binding.response_body:
            self._field = binding.rpc.output_type.fields_by_name[binding.response_body]

    async def __call__(self, exchange: Exchange, arguments: tuple[str, ...]) -> None:
        body = None
        if self._builder.has_body:
            body = await read(exchange, self._max_body_bytes)
        request = self._builder.build(arguments, exchange.query, body)
        response = await self._stub(request, timeout=self._timeout, metadata=metadata(exchange))
        await exchange.respond(200, [*JSON_HEADERS], orjson.dumps(self._document(response)))

    def _document(self, response: Any) -> Any:
        if self._field is None:
            return self._encode(response)
        # Absent where the field is not set: JSON has null for that.
        return self._encode(response).get(self._field.json_name)
