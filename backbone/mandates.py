"""Whether somebody may act for another, as identity says it: what every call for another needs.

A mandate that was found is kept for a second at most and never past its end, so a revoked one is
refused within that. That there is none is asked again each time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from administration.identity.v1 import mandates_pb2

from backbone.errors import Forbidden, Unavailable
from backbone.rpc.client import GrpcClient
from backbone.rpc.server import GrpcServer

KEPT_SECONDS = 1.0
CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Held:
    """A mandate that counts now; `expires_at` is in seconds since 1970."""

    mandate_id: str
    expires_at: float


# Of a representative, a principal and a scope; None when there is none.
Ask = Callable[[str, str, str], Held | None]


class Mandates:
    """Safe to share between threads."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._kept: dict[tuple[str, str, str], tuple[float, str]] = {}

    def require(self, representative_id: str, principal_id: str, scope: str) -> str:
        """The mandate by which one may act for the other.

        Raises:
            Forbidden: there is none: not accepted, not begun, ended, or for something else.
            Unavailable: that cannot be told now.
        """
        key = (representative_id, principal_id, scope)
        # From before the question: the answer is no younger than that.
        asked_at = time.time()
        until, mandate_id = self._kept.get(key, (0.0, ""))
        if asked_at < until:
            return mandate_id
        held = self._ask(*key)
        if held is None:
            self._kept.pop(key, None)
            raise Forbidden(
                f"No mandate lets the caller do this for them: it takes the scope {scope}.",
                reason="MANDATE_MISSING",
            )
        if len(self._kept) >= CACHE_SIZE:
            self._kept.clear()
        self._kept[key] = min(asked_at + KEPT_SECONDS, held.expires_at), held.mandate_id
        return held.mandate_id


class IdentityMandates(GrpcClient):
    """Lets the service's methods be called for another: ``mandates = IdentityMandates()``."""

    server = GrpcServer()

    def __init__(self) -> None:
        super().__init__("identity")

    def setup(self) -> None:
        super().setup()
        self.server.mandates = Mandates(self._held)

    def _held(self, representative_id: str, principal_id: str, scope: str) -> Held | None:
        request = mandates_pb2.CheckMandateRequest(
            representative_id=representative_id, principal_id=principal_id, scope=scope
        )
        try:
            answer = self._stub.check_mandate(request)
        except grpc.RpcError as error:
            raise unknown() from error
        if not answer.granted:
            return None
        return Held(answer.mandate_id, answer.expire_time.ToMicroseconds() / 1e6)


def unknown() -> Unavailable:
    """Never a refusal: nobody could be asked."""
    return Unavailable(
        "Whether a mandate lets the caller act for another cannot be told now.",
        reason="MANDATE_UNKNOWN",
        metadata={"retry_after": "1"},
    )
