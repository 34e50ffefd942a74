"""Cross-origin requests (Fetch standard, section 3.2): an allow-list of exact origins.

Tokens travel in a header that scripts set, never in cookies, so credentials are not allowed.
"""

from collections.abc import Iterable

from services.gateway.problems import Headers

_REQUEST_HEADERS = (
    b"Accept-Language, Authorization, Backbone-Acting-For, Content-Digest, Content-Disposition,"
    b" Content-Type, DPoP, If-Match, If-None-Match, If-Range, Last-Event-ID, Range, traceparent,"
    b" tracestate"
)
_EXPOSED = (
    b"Accept-Ranges, Allow, Content-Disposition, Content-Length, Content-Range, ETag, Location,"
    b" Repr-Digest, Retry-After, traceparent, WWW-Authenticate"
)
_MAX_AGE = b"600"


class Cors:
    """Answers browsers of the origins in the list; tells the others nothing."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    def headers(self, origin: bytes | None) -> Headers:
        """What every response carries."""
        if not self._origins:
            return []
        vary = (b"vary", b"Origin")
        if origin not in self._origins or origin is None:
            return [vary]
        return [
            vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
        ]

    def preflight(self, origin: bytes | None, allowed: list[str]) -> Headers:
        """What the response to a preflight carries besides."""
        if origin not in self._origins:
            return []
        return [
            (b"access-control-allow-methods", ", ".join(allowed).encode("ascii")),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", _MAX_AGE),
        ]
