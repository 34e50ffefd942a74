"""The chain of every call: deadline, token, access rule, mandate, field rules, trace and metrics,
errors.

One place for all services: a method begins with a caller who may call it and a request that its
contract allows, and ends in a response or in a status that the error table made.
"""

import logging
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from prometheus_client import Histogram

from backbone import acting, contracts, errors, telemetry
from backbone.acting import Acting
from backbone.chunks import Chunk
from backbone.dpop import Proofs, Routes, refused
from backbone.errors import DomainError, Forbidden, InvalidInput, Unauthenticated
from backbone.rpc.call import Call
from backbone.tokens import LEVELS, Caller, TokenVerifier
from backbone.validation import is_uuid, validator

if TYPE_CHECKING:
    from backbone.mandates import Mandates

log = logging.getLogger(__name__)

_ROOT = Context()

# Semantic conventions of OpenTelemetry name it rpc.server.call.duration.
DURATION = Histogram(
    "rpc_server_call_duration_seconds",
    "Time to serve a gRPC call, by method and status.",
    ["rpc_method", "rpc_response_status_code"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class Chain:
    """The chain for one rpc; `served` runs it around a call.

    Raises:
        ContractError: the rpc has no access rule, or one that lets it be called for another in a
            service without `mandates`.
    """

    def __init__(
        self,
        method: MethodDescriptor,
        verifier: TokenVerifier,
        proofs: Proofs,
        stopping: Callable[[], bool],
        mandates: "Mandates | None" = None,
    ) -> None:
        rule = contracts.access_rule(method)
        self.public = rule.public
        self.roles = frozenset(rule.roles)
        self.level: int = rule.level
        self.max_age: int = rule.max_age_seconds
        self.mandate_scope: str = rule.mandate_scope
        if self.mandate_scope and mandates is None:
            raise contracts.ContractError(
                f"{method.full_name} can be called for another: give its service"
                " `mandates = IdentityMandates()`"
            )
        self.mandates = mandates
        self.routes = Routes(method)
        self.path = contracts.path(method)[1:]
        self.client_streaming = bool(method.client_streaming)
        self.validate = validator(method.input_type)
        self.verifier = verifier
        self.proofs = proofs
        self.stopping = stopping
        self.attributes = {"rpc.system.name": "grpc", "rpc.method": self.path}
        self._ok = DURATION.labels(self.path, "OK")

    def served(self, request: Any, context: grpc.ServicerContext) -> "_Served":
        return _Served(self, request, context)

    def authenticate(
        self, authorization: str | None, proof: str = "", target: str = ""
    ) -> Caller | None:
        """The caller that the `authorization` metadata names, if the access rule admits it.

        `proof` and `target` (method and path of the HTTP request) come with a token that is bound
        to a key (RFC 9449).

        Raises:
            Unauthenticated: no valid token, no proof, or not recognised surely enough.
            Forbidden: none of the roles.
        """
        if self.public:
            return None
        if not authorization:
            raise Unauthenticated("A bearer token is required.", reason="TOKEN_MISSING")
        scheme, _, token = authorization.partition(" ")
        scheme = scheme.lower()
        if scheme not in ("bearer", "dpop"):
            raise Unauthenticated("The authorization scheme must be Bearer or DPoP.")
        caller = self.verifier.verify(token)
        if caller.key_thumbprint or scheme == "dpop":
            self._check_possession(caller, scheme, proof, target)
        if self.roles.isdisjoint(caller.roles):
            raise Forbidden(f"This needs one of the roles: {', '.join(sorted(self.roles))}.")
        if caller.level < self.level or (
            self.max_age and time.time() - caller.signed_in_at > self.max_age
        ):
            raise self._step_up()
        return caller

    def represented(self, caller: Caller | None, principal_id: str) -> Acting | None:
        """Whom the caller acts for, as the metadata say; None when that is the caller.

        Raises:
            InvalidInput: it is no identifier. Forbidden: the method cannot be called for another,
            or no mandate lets this caller. Unavailable: that cannot be told now.
        """
        if not is_uuid(principal_id):
            raise InvalidInput.field(acting.HEADER, "UUID", "must be one UUID (RFC 9562)")
        principal_id = principal_id.lower()
        if caller is not None and caller.subject == principal_id:
            return None
        if caller is None or not self.mandate_scope:
            raise Forbidden(
                f"This is done for oneself alone: ask without {acting.HEADER}.",
                reason="NOT_FOR_ANOTHER",
            )
        assert self.mandates is not None, "a chain with a mandate_scope has mandates"
        mandate_id = self.mandates.require(caller.subject, principal_id, self.mandate_scope)
        return Acting(caller, principal_id, mandate_id)

    def _check_possession(self, caller: Caller, scheme: str, proof: str, target: str) -> None:
        if not caller.key_thumbprint:
            raise Unauthenticated(
                "The token is bound to no key: its scheme is Bearer.", reason="TOKEN_NOT_BOUND"
            )
        if scheme != "dpop":
            raise Unauthenticated(
                "The token is bound to a key: its scheme is DPoP, with a proof.",
                reason="TOKEN_BOUND",
            )
        method, _, path = target.partition(" ")
        # What the proof is for must be served by this rpc: else it was made for another one.
        if not proof or not self.routes.serve(method, path):
            raise refused("is missing, or for another route")
        self.proofs.check(proof, method, path, caller, self.path)

    def _step_up(self) -> Unauthenticated:
        """The refusal that says how to sign in again (RFC 9470, section 3)."""
        metadata = {"max_age": str(self.max_age)} if self.max_age else {}
        if self.level:
            metadata["acr_values"] = next(n for n, level in LEVELS.items() if level == self.level)
        return Unauthenticated(
            "This needs the person to sign in again, more surely or more recently.",
            reason="INSUFFICIENT_USER_AUTHENTICATION",
            metadata=metadata,
        )

    def validated(self, requests: Iterator[Any]) -> Iterator[Any]:
        for request in requests:
            # A chunk has no rules.
            if not isinstance(request, Chunk):
                self.validate(request)
            yield request

    def observe(self, code: str, seconds: float) -> None:
        (self._ok if code == "OK" else DURATION.labels(self.path, code)).observe(seconds)


class _Served:
    """One call in the chain. Entering gives the `Call` and the checked request.

    Any error inside becomes the call's status; nothing but grpc's own abort leaves it.
    """

    __slots__ = ("chain", "context", "otel_token", "request", "span", "started")

    def __init__(self, chain: Chain, request: Any, context: grpc.ServicerContext) -> None:
        self.chain, self.request, self.context = chain, request, context

    def __enter__(self) -> tuple[Call, Any]:
        self.started = time.perf_counter()
        chain, context = self.chain, self.context
        authorization = parent = principal = None
        proof = target = ""
        for key, value in context.invocation_metadata():
            if key == "authorization":
                authorization = value
            elif key == "traceparent":
                parent = value
            elif key == acting.METADATA:
                # Two of them are no identifier: refused.
                principal = str(value) if principal is None else f"{principal},{value!s}"
            elif key == "dpop":
                proof = str(value)
            elif key == "dpop-request":
                target = str(value)
        self.span = telemetry.entry_span(
            chain.path,
            telemetry.parent(str(parent)) if parent else None,
            attributes=chain.attributes,
        )
        self.otel_token = otel.attach(trace.set_span_in_context(self.span, _ROOT))
        try:
            call = Call(
                chain.authenticate(str(authorization) if authorization else None, proof, target),
                context,
                chain.stopping,
                chain.verifier.stands,
                for_others=bool(chain.mandate_scope),
            )
            call.enter()
            if principal is not None:
                self._represent(call, principal)
            if chain.client_streaming:
                return call, chain.validated(self.request)
            chain.validate(self.request)
        except Exception as error:
            self._end(error)
            raise
        return call, self.request

    def _represent(self, call: Call, principal_id: str) -> None:
        represented = self.chain.represented(call.caller, principal_id)
        if represented is not None:
            call.act(represented)
            for name, value in represented.identifiers.items():
                self.span.set_attribute(f"administration.{name}", value)
            log.info("%s is called for another", self.chain.path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        code = "OK" if error is None else self._code(error)
        if code == "INTERNAL":
            log.error("%s failed", self.chain.path, exc_info=error)
            self.span.set_status(trace.StatusCode.ERROR)
        if self.span.is_recording():
            self.span.set_attribute("rpc.response.status_code", code)
            self.span.end()
        otel.detach(self.otel_token)
        acting.serve(None)
        self.chain.observe(code, time.perf_counter() - self.started)
        if error is not None and not isinstance(error, GeneratorExit):
            trace_id = telemetry.trace_id(self.span)
            self.context.abort_with_status(errors.to_grpc(error, trace_id))

    def _code(self, error: BaseException) -> str:
        if isinstance(error, DomainError):
            return error.code.name
        # What breaks because the caller has left is no fault of the service.
        gone = isinstance(error, GeneratorExit) or not self.context.is_active()
        return "CANCELLED" if gone else "INTERNAL"
