"""The services behind the gateway, and how a call to one of them is made."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2

from backbone import acting, chunks
from backbone.contracts import SERVICES, path
from backbone.errors import InvalidInput, Unauthenticated
from services.gateway.exchange import Exchange
from services.gateway.problems import HeaderFieldsTooLarge
from services.gateway.tracing import traceparent

_HEALTH_DEADLINE = 1.0
# gRPC refuses more than 8 KiB of metadata by default, and says "resource exhausted".
_MAX_FORWARDED = 7 * 1024
_PRINTABLE = bytes(range(0x20, 0x7F))
_ACTING_FOR = acting.METADATA.encode("ascii")
_OPTIONS = [
    # A restarted backend is found again at once, not after the default two minutes of backoff.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A headless service's name has one address for each replica.
    ("grpc.lb_policy_name", "round_robin"),
    # A backend that vanished without a word is noticed, by the streams that wait for it too.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # What waits here for a slow reader is theirs already: with its windows grown by themselves, a
    # document of 6 MiB was (measured), whatever became of its share meanwhile.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 256 * 1024),
]

Metadata = list[tuple[str, str]]


class Backends:
    """One channel to each area's service. Made, used and closed in one event loop."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._channels = {
            area: grpc.aio.insecure_channel(address, options=_OPTIONS)
            for area, address in addresses.items()
        }
        self._health = {
            area: channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            for area, channel in self._channels.items()
        }

    def stub(self, rpc: MethodDescriptor) -> Callable[..., Any]:
        """The multicallable of an rpc, of its kind: unary or streaming on either side."""
        areas = {name: area for area, name in SERVICES.items()}
        channel = self._channels[areas[rpc.containing_service.full_name]]
        kinds: dict[tuple[bool, bool], Callable[..., Any]] = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }
        make = kinds[rpc.client_streaming, rpc.server_streaming]
        stub: Callable[..., Any] = make(
            path(rpc),
            request_serializer=chunks.serializer(rpc.input_type),
            response_deserializer=chunks.deserializer(rpc.output_type),
        )
        return stub

    async def check(self) -> dict[str, str]:
        """What each backend's health service says: ``SERVING``, or why it cannot be used."""

        async def one(area: str) -> str:
            try:
                answer = await self._health[area](
                    health_pb2.HealthCheckRequest(), timeout=_HEALTH_DEADLINE
                )
            except grpc.aio.AioRpcError as error:
                return error.code().name
            serving: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
            return serving

        answers = await asyncio.gather(*(one(area) for area in self._health))
        return dict(zip(self._health, answers, strict=True))

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))


def metadata(exchange: Exchange) -> Metadata:
    """What a call carries of its HTTP request: the token and its proof, whom it is made for, the
    languages, the trace.

    Raises:
        Unauthenticated: the ``Authorization`` or ``DPoP`` field cannot be what it should.
        InvalidInput: nor can ``Backbone-Acting-For``.
        HeaderFieldsTooLarge: together they are more than a call can carry.
    """
    forwarded = []
    headers = exchange.headers
    token = headers.get(b"authorization")
    if token is not None:
        if token.translate(None, _PRINTABLE):
            raise Unauthenticated("The Authorization field is malformed.")
        forwarded.append(("authorization", token.decode("ascii")))
    if b"dpop" in headers:
        forwarded += _proof(exchange)
    if _ACTING_FOR in headers:
        forwarded += _acting_for(exchange)
    languages = headers.get(b"accept-language")
    if languages is not None and not languages.translate(None, _PRINTABLE):
        forwarded.append(("accept-language", languages.decode("ascii")))
    context = exchange.span.get_span_context()
    if context.is_valid:
        forwarded.append(("traceparent", traceparent(context)))
        if context.trace_state:
            forwarded.append(("tracestate", context.trace_state.to_header()))
    if sum(len(value) for _, value in forwarded) > _MAX_FORWARDED:
        raise HeaderFieldsTooLarge(
            "Authorization, DPoP, Backbone-Acting-For, Accept-Language and tracestate together"
            f" exceed {_MAX_FORWARDED} bytes."
        )
    return forwarded


def _acting_for(exchange: Exchange) -> Metadata:
    """Whom the request is made for, as often as it says so: services refuse more than one."""
    named = [value for name, value in exchange.raw_headers if name == _ACTING_FOR]
    if any(value.translate(None, _PRINTABLE) for value in named):
        raise InvalidInput.field(acting.HEADER, "UUID", "must be one UUID (RFC 9562)")
    return [(acting.METADATA, value.decode("ascii")) for value in named]


def _proof(exchange: Exchange) -> Metadata:
    """The proof of possession, and what it must be for: services check it (`backbone.dpop`)."""
    proofs = [value for name, value in exchange.raw_headers if name == b"dpop"]
    if len(proofs) > 1 or proofs[0].translate(None, _PRINTABLE):
        raise Unauthenticated(
            "The DPoP field is malformed, or there is more than one.", reason="DPOP_PROOF_INVALID"
        )
    target = f"{exchange.method} {exchange.path.decode('ascii')}"
    return [("dpop", proofs[0].decode("ascii")), ("dpop-request", target)]
