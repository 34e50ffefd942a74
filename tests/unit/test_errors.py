"""The one table of errors, there and back again."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from backbone.errors import DomainError, FieldViolation, InvalidInput, problem, to_grpc
from services.gateway import problems  # noqa: F401 - its errors belong to the table


class FailedCall(grpc.RpcError, grpc.Call):
    """A call that ended with a status, as a client sees it."""

    def __init__(self, code: grpc.StatusCode, details: str, metadata: Any = ()) -> None:
        self._code, self._details, self._metadata = code, details, metadata

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._metadata

    def initial_metadata(self) -> Any:
        return ()

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> float:
        return 0.0

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: Any) -> bool:
        return False


def sent(error: BaseException, trace_id: str = "") -> FailedCall:
    """What a client receives of an error."""
    status = to_grpc(error, trace_id)
    return FailedCall(status.code, status.details, status.trailing_metadata)


def kinds(of: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for kind in of.__subclasses__():
        if hasattr(kind, "default_reason"):
            yield kind
        yield from kinds(kind)


BACKBONE = sorted(
    (kind for kind in kinds() if kind.__module__ == "backbone.errors"), key=lambda k: k.__name__
)


@pytest.mark.parametrize("kind", BACKBONE, ids=lambda kind: kind.__name__)
def test_every_domain_error_is_the_same_problem_after_a_call(kind: type[DomainError]) -> None:
    fields = [
        FieldViolation("name", "REQUIRED", "is required"),
        FieldViolation("parts[2].size", "MINIMUM", "must be at least 1"),
    ]
    for error in (
        kind("What the caller did."),
        kind("Autre chose : é.", reason="OWN_REASON", fields=fields),
    ):
        local = problem(error, "0af7651916cd43dd8448eb211c80319c")
        assert problem(sent(error, "0af7651916cd43dd8448eb211c80319c")) == local
        assert local["status"] == kind.status
        assert local["reason"] == error.reason
        assert local["detail"] == error.detail
        assert local["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
        assert local["type"].startswith("urn:administration:problem:")


def test_every_domain_error_has_a_status_of_the_caller_or_of_an_outage() -> None:
    for kind in BACKBONE:
        assert 400 <= kind.status < 600
        assert kind.status != 500
        assert kind.code not in (grpc.StatusCode.OK, grpc.StatusCode.INTERNAL)
        assert kind.default_reason.replace("_", "").isupper()


def test_an_unmapped_error_is_internal_without_detail() -> None:
    error = RuntimeError("password=hunter2 for josephine@courriel.example")
    status = to_grpc(error, "0af7651916cd43dd8448eb211c80319c")
    assert status.code == grpc.StatusCode.INTERNAL
    for document in (problem(sent(error, "0af7")), problem(error, "0af7")):
        assert document["status"] == 500
        assert document["reason"] == "INTERNAL"
        assert document["trace_id"] == "0af7"
        assert "hunter2" not in str(document)
        assert "josephine" not in str(document)
    assert b"hunter2" not in repr(status.trailing_metadata).encode()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504),
        (grpc.StatusCode.UNIMPLEMENTED, 501),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.CANCELLED, 499),
        (grpc.StatusCode.UNKNOWN, 500),
        (grpc.StatusCode.INTERNAL, 500),
        (grpc.StatusCode.DATA_LOSS, 500),
    ],
)
def test_a_status_of_the_transport_is_a_problem_without_its_words(
    code: grpc.StatusCode, status: int
) -> None:
    call = FailedCall(code, "failed to connect to all addresses; ipv4:10.0.0.7:50051")
    document = problem(call, "0af7")
    assert document["status"] == status
    assert "10.0.0.7" not in str(document)


def test_every_code_of_grpc_is_some_problem() -> None:
    for code in grpc.StatusCode:
        document = problem(FailedCall(code, "words"))
        assert 400 <= document["status"] < 600
        assert document["title"]
        assert document["reason"]


def test_a_field_at_fault_is_named_in_the_detail_too() -> None:
    document = problem(InvalidInput.field("page_size", "MAXIMUM", "must be at most 200"))
    assert document["detail"] == "page_size: must be at most 200"
    assert document["errors"] == [
        {"field": "page_size", "reason": "MAXIMUM", "detail": "must be at most 200"}
    ]
