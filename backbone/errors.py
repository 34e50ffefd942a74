"""The one table of errors: what a domain raises, as a gRPC status, as an HTTP problem.

    DomainError
    ├── InvalidInput        INVALID_ARGUMENT     400
    │   └── TooLarge        OUT_OF_RANGE         413
    ├── RangeNotSatisfiable OUT_OF_RANGE         416
    ├── Unauthenticated     UNAUTHENTICATED      401
    ├── Forbidden           PERMISSION_DENIED    403
    ├── NotFound            NOT_FOUND            404
    ├── Gone                FAILED_PRECONDITION  410
    ├── PreconditionFailed  FAILED_PRECONDITION  412
    ├── Conflict            ABORTED              409
    ├── TooMany             RESOURCE_EXHAUSTED   429
    ├── OverQuota           RESOURCE_EXHAUSTED   507
    ├── Unavailable         UNAVAILABLE          503
    ├── DeadlineExceeded    DEADLINE_EXCEEDED    504
    └── Damaged             DATA_LOSS            502

On the wire an error is a ``google.rpc.Status`` with ``ErrorInfo`` (reason, domain) and, where
fields are at fault, ``BadRequest`` (AIP-193); over HTTP it is an RFC 9457 problem. Anything else
that a method raises is INTERNAL: a trace id, and no detail.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "backbone.administration"
# What an error may tell beside its reason, in ErrorInfo's metadata and in the problem (RFC 9457,
# section 3.2): how to sign in again (RFC 9470), after how many seconds to try again, and what a
# quota allows and would be used.
EXTENSIONS = ("acr_values", "max_age", "retry_after", "limit", "used")


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field at fault: its path in the request, a stable word for the rule, the mend."""

    field: str
    reason: str
    description: str


class DomainError(Exception):
    """A refusal that the caller can act on.

    `detail` is one sentence for the caller, free of secrets and of personal data; `reason` is the
    stable word (UPPER_SNAKE_CASE) that programs match on; `metadata` is what they need beside it,
    of the names in EXTENSIONS.
    """

    code: ClassVar[grpc.StatusCode]
    status: ClassVar[int]
    title: ClassVar[str]
    default_reason: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        reason: str | None = None,
        fields: Iterable[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason or self.default_reason
        self.fields = tuple(fields)
        self.metadata = dict(metadata or {})


class InvalidInput(DomainError):
    code, status = grpc.StatusCode.INVALID_ARGUMENT, 400
    title, default_reason = "Invalid input", "INVALID_INPUT"

    @classmethod
    def field(cls, field: str, reason: str, description: str) -> "InvalidInput":
        """The common case: one field, one rule."""
        violation = FieldViolation(field, reason, description)
        return cls(f"{field}: {description}", fields=[violation])


class TooLarge(InvalidInput):
    code, status = grpc.StatusCode.OUT_OF_RANGE, 413
    title, default_reason = "Content too large", "TOO_LARGE"


class RangeNotSatisfiable(DomainError):
    code, status = grpc.StatusCode.OUT_OF_RANGE, 416
    title, default_reason = "Range not satisfiable", "RANGE_NOT_SATISFIABLE"


class Unauthenticated(DomainError):
    code, status = grpc.StatusCode.UNAUTHENTICATED, 401
    title, default_reason = "Not authenticated", "TOKEN_INVALID"


class Forbidden(DomainError):
    code, status = grpc.StatusCode.PERMISSION_DENIED, 403
    title, default_reason = "Not allowed", "ROLE_MISSING"


class NotFound(DomainError):
    code, status = grpc.StatusCode.NOT_FOUND, 404
    title, default_reason = "Not found", "NOT_FOUND"


class Gone(DomainError):
    code, status = grpc.StatusCode.FAILED_PRECONDITION, 410
    title, default_reason = "Gone", "GONE"


class PreconditionFailed(DomainError):
    """What the request was to be done on is not what it says (RFC 9110, section 13)."""

    code, status = grpc.StatusCode.FAILED_PRECONDITION, 412
    title, default_reason = "Precondition failed", "PRECONDITION_FAILED"


class Conflict(DomainError):
    code, status = grpc.StatusCode.ABORTED, 409
    title, default_reason = "Conflict", "CONFLICT"


class TooMany(DomainError):
    code, status = grpc.StatusCode.RESOURCE_EXHAUSTED, 429
    title, default_reason = "Too many requests", "TOO_MANY"


class OverQuota(DomainError):
    """There is no room to store it (RFC 4918, section 11.5): waiting does not help by itself."""

    code, status = grpc.StatusCode.RESOURCE_EXHAUSTED, 507
    title, default_reason = "Insufficient storage", "QUOTA_EXCEEDED"


class Unavailable(DomainError):
    code, status = grpc.StatusCode.UNAVAILABLE, 503
    title, default_reason = "Temporarily unavailable", "UNAVAILABLE"


class DeadlineExceeded(DomainError):
    code, status = grpc.StatusCode.DEADLINE_EXCEEDED, 504
    title, default_reason = "Deadline exceeded", "DEADLINE_EXCEEDED"


class Damaged(DomainError):
    code, status = grpc.StatusCode.DATA_LOSS, 502
    title, default_reason = "Damaged", "DAMAGED"


# What a status means over HTTP when it came without one of the errors above: from the transport,
# or from a service that this project did not write (mapping of google/rpc/code.proto).
_BY_CODE: dict[int, tuple[int, str, str]] = {
    code_pb2.INVALID_ARGUMENT: (400, "Invalid input", "INVALID_INPUT"),
    code_pb2.FAILED_PRECONDITION: (400, "Failed precondition", "FAILED_PRECONDITION"),
    code_pb2.OUT_OF_RANGE: (400, "Out of range", "OUT_OF_RANGE"),
    code_pb2.UNAUTHENTICATED: (401, "Not authenticated", "TOKEN_INVALID"),
    code_pb2.PERMISSION_DENIED: (403, "Not allowed", "FORBIDDEN"),
    code_pb2.NOT_FOUND: (404, "Not found", "NOT_FOUND"),
    code_pb2.ABORTED: (409, "Conflict", "CONFLICT"),
    code_pb2.ALREADY_EXISTS: (409, "Already exists", "ALREADY_EXISTS"),
    code_pb2.RESOURCE_EXHAUSTED: (429, "Too many requests", "TOO_MANY"),
    code_pb2.CANCELLED: (499, "Cancelled", "CANCELLED"),
    code_pb2.UNIMPLEMENTED: (501, "Not implemented", "NOT_IMPLEMENTED"),
    code_pb2.UNAVAILABLE: (503, "Temporarily unavailable", "UNAVAILABLE"),
    code_pb2.DEADLINE_EXCEEDED: (504, "Deadline exceeded", "DEADLINE_EXCEEDED"),
}
_INTERNAL = (500, "Internal error", "INTERNAL")


def to_grpc(error: BaseException, trace_id: str = "") -> grpc.Status:
    """The gRPC status of an error, for ``context.abort_with_status``."""
    metadata = {"trace_id": trace_id} if trace_id else {}
    details: list[Any] = []
    if isinstance(error, DomainError):
        number, detail = error.code.value[0], error.detail
        metadata |= error.metadata
        metadata["http_status"], metadata["title"] = str(error.status), error.title
        details.append(
            error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
        )
        if error.fields:
            bad = error_details_pb2.BadRequest()
            for item in error.fields:
                bad.field_violations.add(
                    field=item.field, reason=item.reason, description=item.description
                )
            details.append(bad)
    else:
        number, detail = (
            code_pb2.INTERNAL,
            "The service failed; quote the trace id to its operator.",
        )
        details.append(
            error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata=metadata)
        )
    status = status_pb2.Status(code=number, message=detail)
    for item in details:
        packed = any_pb2.Any()
        packed.Pack(item)
        status.details.append(packed)
    return rpc_status.to_status(status)  # type: ignore[no-any-return]


def problem(error: BaseException, trace_id: str = "") -> dict[str, Any]:
    """The RFC 9457 problem of a `DomainError`, of a gRPC call's error, or of anything else.

    Members: ``type``, ``title``, ``status``, ``detail``, ``reason``, ``trace_id`` where known,
    ``errors`` (``field``, ``reason``, ``detail``) where fields are at fault, and EXTENSIONS.
    """
    if isinstance(error, DomainError):
        return _problem(
            error.status,
            error.title,
            error.reason,
            error.detail,
            error.fields,
            trace_id,
            error.metadata,
        )
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return _problem_of_call(error, trace_id)
    status, title, reason = _INTERNAL
    return _problem(status, title, reason, "The gateway failed.", (), trace_id)


def reason_of(call: Any) -> str:
    """The reason that a failed call to another service gives; "" when it gives none."""
    rich = rpc_status.from_call(call)
    info = error_details_pb2.ErrorInfo()
    given = any(packed.Unpack(info) for packed in (rich.details if rich else ()))
    return str(info.reason) if given else ""


def _problem_of_call(call: Any, trace_id: str) -> dict[str, Any]:
    number = call.code().value[0]
    status, title, reason = _BY_CODE.get(number, _INTERNAL)
    detail, fields = "", []
    extensions: Mapping[str, str] = {}
    rich = rpc_status.from_call(call)
    if rich is None:
        # A transport's own words may hold addresses: told apart, not passed on.
        detail = "The service did not answer." if status >= 500 else title
    else:
        detail = rich.message
        for packed in rich.details:
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if packed.Unpack(info):
                reason = info.reason
                status = int(info.metadata.get("http_status", status))
                title = info.metadata.get("title", title)
                trace_id = info.metadata.get("trace_id", trace_id)
                extensions = info.metadata
            elif packed.Unpack(bad):
                fields = [
                    FieldViolation(item.field, item.reason, item.description)
                    for item in bad.field_violations
                ]
    return _problem(status, title, reason, detail, fields, trace_id, extensions)


def _problem(
    status: int,
    title: str,
    reason: str,
    detail: str,
    fields: Iterable[FieldViolation],
    trace_id: str,
    extensions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    document: dict[str, Any] = {
        # A URN, not a URL: it identifies the kind of problem and needs no page to stay true.
        "type": f"urn:administration:problem:{reason.lower().replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "reason": reason,
    }
    if trace_id:
        document["trace_id"] = trace_id
    for name in EXTENSIONS:
        if extensions and name in extensions:
            document[name] = extensions[name]
    errors = [
        {"field": item.field, "reason": item.reason, "detail": item.description} for item in fields
    ]
    if errors:
        document["errors"] = errors
    return document
