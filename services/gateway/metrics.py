"""What the gateway counts: requests by method, route and status; requests in flight.

Names follow OpenTelemetry's semantic conventions for HTTP servers, as Prometheus writes them.
"""

from functools import lru_cache

from prometheus_client import Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.gateway.exchange import Exchange

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

ACTIVE = Gauge("http_server_active_requests", "HTTP requests in flight.")
DURATION = Histogram(
    "http_server_request_duration_seconds",
    "How long HTTP requests took, from their header to the end of the response.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300),
)


@lru_cache(maxsize=4096)
def _series(method: str, route: str, status: int) -> Histogram:
    # Anyone can invent a method: only the known ones become series.
    return DURATION.labels(method if method in _METHODS else "_OTHER", route, str(status))


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Counts a finished request under its route's template."""
    _series(method, route, status).observe(seconds)


async def expose(exchange: Exchange, _: tuple[str, ...]) -> None:
    """``GET /metrics``: the process's metrics in Prometheus' text format."""
    await exchange.respond(
        200, [(b"content-type", CONTENT_TYPE_LATEST.encode("ascii"))], generate_latest()
    )
