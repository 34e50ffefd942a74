"""Puts the gateway together: every rpc of the contracts with its route."""

import asyncio
from collections.abc import Iterator

import orjson
from google.protobuf.descriptor import MethodDescriptor

from backbone import contracts
from backbone.contracts import ContractError
from services.gateway import asyncapi, event_schemas, metrics, openapi
from services.gateway import bytes as byte_streams
from services.gateway.application import Application, security_headers
from services.gateway.backends import Backends
from services.gateway.cors import Cors
from services.gateway.exchange import Exchange
from services.gateway.http_rules import bindings
from services.gateway.routes import Route, RouteTable
from services.gateway.settings import GatewaySettings
from services.gateway.sse import EventStreamHandler
from services.gateway.unary import UnaryHandler


def rpcs() -> Iterator[MethodDescriptor]:
    """Every rpc of every area, in the order of the contracts."""
    for name in contracts.SERVICES.values():
        yield from contracts.service(name).methods


def build(settings: GatewaySettings, backends: Backends, stopping: asyncio.Event) -> Application:
    """The application; `backends` and `stopping` belong to the event loop that runs it.

    Raises:
        ContractError: a contract cannot be served over HTTP as it says.
    """
    table = RouteTable()
    for rpc in rpcs():
        for route in _routes(rpc, settings, backends, stopping):
            table.add(route)
    table.get("/livez", _live)
    table.get("/readyz", _Ready(backends, stopping))
    table.get("/metrics", metrics.expose)
    table.get("/openapi.json", openapi.handler(settings, rpcs()))
    table.get("/asyncapi.json", asyncapi.handler(settings))
    for path, handler in event_schemas.routes(settings):
        table.get(path, handler)
    https = settings.public_url.startswith("https://")
    return Application(table, Cors(settings.cors_origins), security_headers(https=https))


def _routes(
    rpc: MethodDescriptor, settings: GatewaySettings, backends: Backends, stopping: asyncio.Event
) -> Iterator[Route]:
    declared = byte_streams.byte_stream(rpc)
    if declared is not None:
        yield byte_streams.route(rpc, declared, backends, settings)
    for binding in bindings(rpc):
        if rpc.client_streaming:
            raise ContractError(f"{rpc.full_name}: client streaming has no JSON form over HTTP")
        timeout = max(settings.call_timeout, contracts.deadline_seconds(rpc))
        handler = (
            EventStreamHandler(binding, backends, settings.call_timeout, stopping)
            if rpc.server_streaming
            else UnaryHandler(binding, backends, timeout, settings.max_body_bytes)
        )
        yield Route(binding.method, binding.path, handler)


async def _live(exchange: Exchange, _: tuple[str, ...]) -> None:
    await exchange.respond(200, [(b"content-type", b"application/json")], b'{"status":"ok"}')


class _Ready:
    """``GET /readyz``: 200 while every backend serves, 503 with those that do not."""

    def __init__(self, backends: Backends, stopping: asyncio.Event) -> None:
        self._backends = backends
        self._stopping = stopping

    async def __call__(self, exchange: Exchange, _: tuple[str, ...]) -> None:
        answers = await self._backends.check()
        serving = all(answer == "SERVING" for answer in answers.values())
        ready = serving and not self._stopping.is_set()
        document = {
            "status": "ok" if ready else "stopping" if self._stopping.is_set() else "unavailable",
            "backends": answers,
        }
        await exchange.respond(
            200 if ready else 503,
            [(b"content-type", b"application/json"), (b"cache-control", b"no-store")],
            orjson.dumps(document),
        )
