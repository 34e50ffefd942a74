"""Refusals that only HTTP knows, beside those of `backbone.errors`.

DomainError
├── PathNotFound            404
├── MethodNotAllowed        405  with Allow
├── UnsupportedMediaType    415  with Accept, or Accept-Encoding
├── UnsatisfiableRange      416  with Content-Range
└── HeaderFieldsTooLarge    431
"""

from typing import Any

import grpc

from backbone.dpop import ALGORITHMS
from backbone.errors import DomainError, problem

MEDIA_TYPE = b"application/problem+json"

Headers = list[tuple[bytes, bytes]]


class HttpError(DomainError):
    """A refusal that carries response headers of its own."""

    def __init__(self, detail: str, headers: Headers | None = None) -> None:
        super().__init__(detail)
        self.headers = headers or []


class PathNotFound(HttpError):
    code, status = grpc.StatusCode.NOT_FOUND, 404
    title, default_reason = "Not found", "PATH_UNKNOWN"


class MethodNotAllowed(HttpError):
    code, status = grpc.StatusCode.UNIMPLEMENTED, 405
    title, default_reason = "Method not allowed", "METHOD_NOT_ALLOWED"


class UnsupportedMediaType(HttpError):
    code, status = grpc.StatusCode.INVALID_ARGUMENT, 415
    title, default_reason = "Unsupported media type", "UNSUPPORTED_MEDIA_TYPE"


class UnsatisfiableRange(HttpError):
    """Content-Range tells the size (RFC 9110, section 15.5.17)."""

    code, status = grpc.StatusCode.OUT_OF_RANGE, 416
    title, default_reason = "Range not satisfiable", "RANGE_NOT_SATISFIABLE"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"The document has {size} bytes.", [(b"content-range", b"bytes */%d" % size)]
        )


class HeaderFieldsTooLarge(HttpError):
    code, status = grpc.StatusCode.RESOURCE_EXHAUSTED, 431
    title, default_reason = "Request header fields too large", "HEADER_FIELDS_TOO_LARGE"


class ClientDisconnected(Exception):
    """The client left before its request was complete: there is nobody to answer."""


_STEP_UP = "INSUFFICIENT_USER_AUTHENTICATION"


def challenge(document: dict[str, Any], authorization: bytes) -> tuple[bytes, bytes]:
    """The ``WWW-Authenticate`` of a 401 (RFC 6750, section 3; RFC 9449, 7.1; RFC 9470, 3).

    A request without a token gets no error code: it did nothing wrong but come without one.
    """
    reason: str = document["reason"]
    bound = reason.startswith("DPOP_") or reason == "TOKEN_BOUND"
    bound = bound or authorization[:5].lower() == b"dpop "
    words = [f'algs="{" ".join(ALGORITHMS)}"'] if bound else []
    if reason.startswith("DPOP_"):
        words.append('error="invalid_dpop_proof"')
    elif reason == _STEP_UP:
        words.append('error="insufficient_user_authentication"')
        words += [
            f'{name}="{document[name]}"' for name in ("acr_values", "max_age") if name in document
        ]
    elif authorization:
        words.append('error="invalid_token"')
    scheme = "DPoP" if bound else "Bearer"
    value = ", ".join([f'{scheme} realm="administration"', *words])
    return b"www-authenticate", value.encode("ascii")


def headers_of(error: BaseException, document: dict[str, Any], authorization: bytes) -> Headers:
    """The response headers that go with an error's problem document."""
    headers = list(error.headers) if isinstance(error, HttpError) else []
    if document["status"] == 401:
        headers.append(challenge(document, authorization))
    if "retry_after" in document:
        headers.append((b"retry-after", str(document["retry_after"]).encode("ascii")))
    return headers


def document_of(error: BaseException, trace_id: str, rename: Any = None) -> dict[str, Any]:
    """The problem document of `error`, its fields named as the HTTP client knows them.

    `rename` takes a field's path in the gRPC request (``expire_time``), which services name, to
    its name over HTTP (``expireTime``, or a header's name).
    """
    document = problem(error, trace_id)
    if rename is not None and isinstance(error, grpc.RpcError):
        for item in document.get("errors", ()):
            field, item["field"] = item["field"], rename(item["field"])
            if document["detail"].startswith(f"{field}: "):
                document["detail"] = item["field"] + document["detail"][len(field) :]
    return document
