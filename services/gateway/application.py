"""The ASGI application: what every request goes through, whatever answers it."""

import logging
from time import perf_counter

import grpc
import orjson
from opentelemetry import trace

from services.gateway import metrics, tracing
from services.gateway.cors import Cors
from services.gateway.exchange import Exchange, Receive, Scope, Send
from services.gateway.problems import (
    MEDIA_TYPE,
    ClientDisconnected,
    Headers,
    document_of,
    headers_of,
)
from services.gateway.routes import Route, RouteTable

_LOG = logging.getLogger(__name__)
_UNMATCHED = "unmatched"
# What the log of a proxy calls a client that left.
_CLIENT_CLOSED = 499


def security_headers(*, https: bool) -> Headers:
    """The headers of every response: an API's answers are data, and nothing else."""
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"referrer-policy", b"no-referrer"),
    ]
    if https:
        headers.append((b"strict-transport-security", b"max-age=31536000; includeSubDomains"))
    return headers


class Application:
    """Finds the route, runs its handler, and turns whatever is raised into a problem."""

    def __init__(self, routes: RouteTable, cors: Cors, common: Headers) -> None:
        self._routes = routes
        self._cors = cors
        self._common = common

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        exchange = Exchange(scope, receive, send, self._common.copy())
        origin = exchange.headers.get(b"origin")
        exchange.common += self._cors.headers(origin)
        path: str = exchange.path.decode("ascii")
        template, route = _UNMATCHED, None
        metrics.ACTIVE.inc()
        try:
            if exchange.method == "OPTIONS":
                tracing.start(exchange, template)
                await self._options(exchange, path, origin)
                return
            try:
                route, arguments = self._routes.match(exchange.method, path)
                template = route.template
            finally:
                tracing.start(exchange, template)
            await route.handler(exchange, arguments)
        except ClientDisconnected:
            exchange.status = _CLIENT_CLOSED
        except Exception as error:  # noqa: BLE001 (the last resort: told, and logged)
            await self._refuse(exchange, error, route)
        finally:
            metrics.ACTIVE.dec()
            metrics.observe(exchange.method, template, exchange.status, perf_counter() - started)
            tracing.finish(exchange, template)

    async def _options(self, exchange: Exchange, path: str, origin: bytes | None) -> None:
        """Says what a resource answers; to a browser's preflight, what its scripts may do."""
        allowed = self._routes.allowed(path)
        if not allowed:
            self._routes.match("OPTIONS", path)
        headers = [(b"allow", ", ".join(allowed).encode("ascii"))]
        if b"access-control-request-method" in exchange.headers:
            headers += self._cors.preflight(origin, allowed)
        await exchange.respond(204, headers)

    async def _refuse(self, exchange: Exchange, error: Exception, route: Route | None) -> None:
        """Answers with the problem of `error`, unless the response has already started.

        Then nothing truthful can be said any more: the server ends the connection, and the
        client sees that the body is not whole.
        """
        document = document_of(error, exchange.trace_id, route.rename if route else None)
        status: int = document["status"]
        template = route.template if route else _UNMATCHED
        with trace.use_span(exchange.span):
            if status == 500 and not isinstance(error, grpc.RpcError):
                _LOG.error("%s failed", template, exc_info=error)
            elif exchange.status:
                _LOG.warning("%s broke off: %s", template, document["reason"])
        if exchange.status:
            return
        headers = [(b"content-type", MEDIA_TYPE), (b"cache-control", b"no-store")]
        headers += headers_of(error, document, exchange.headers.get(b"authorization", b""))
        await exchange.respond(status, headers, orjson.dumps(document), close=exchange.unread())
