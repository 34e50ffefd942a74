"""A trace sink for one machine: takes OTLP/HTTP, keeps the newest traces in memory, gives one back
as JSON.

It stands where an OpenTelemetry collector stands in a deployment, so that `make demo` and the tests
can read what the services told. Nothing is stored: a restart forgets.
"""

import gzip
import threading
import zlib
from collections import OrderedDict
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.local.serving import serve

MAX_SPANS = 50_000
MAX_BODY = 16 * 1024 * 1024
PROTOBUF = "application/x-protobuf"


class Traces:
    """The newest spans, by trace; when there are more than `limit`, the trace touched longest ago
    goes.
    """

    def __init__(self, limit: int = MAX_SPANS) -> None:
        self._limit = limit
        self._spans = 0
        self._traces: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, export: ExportTraceServiceRequest) -> None:
        """Keep the spans of one export."""
        with self._lock:
            for group in export.resource_spans:
                service = _attributes(group.resource.attributes).get("service.name", "unknown")
                for scope in group.scope_spans:
                    for span in scope.spans:
                        self._keep(span.trace_id.hex(), _span(span, str(service)))
            while self._spans > self._limit:
                _, spans = self._traces.popitem(last=False)
                self._spans -= len(spans)

    def get(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace, by start time; empty when it is unknown or forgotten."""
        with self._lock:
            spans = list(self._traces.get(trace_id, ()))
        return sorted(spans, key=lambda span: span["start_unix_nano"])

    def recent(self, count: int) -> list[str]:
        """The ids of the traces touched last, newest first."""
        with self._lock:
            return list(reversed(self._traces))[:count]

    def _keep(self, trace_id: str, span: dict[str, Any]) -> None:
        self._traces.setdefault(trace_id, []).append(span)
        self._traces.move_to_end(trace_id)
        self._spans += 1


def application(traces: Traces) -> Starlette:
    """`POST /v1/traces` (OTLP), `GET /traces/{trace_id}`, `GET /traces` (newest ids), `GET
    /healthz`.
    """

    async def export(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != PROTOBUF:
            return PlainTextResponse(f"send {PROTOBUF}", status_code=415)
        body = await _body(request)
        if body is None:
            return PlainTextResponse(f"more than {MAX_BODY} bytes", status_code=413)
        try:
            traces.add(ExportTraceServiceRequest.FromString(body))
        except DecodeError as error:
            return PlainTextResponse(str(error), status_code=400)
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type=PROTOBUF)

    async def one(request: Request) -> Response:
        spans = traces.get(request.path_params["trace_id"].lower())
        return JSONResponse(spans, status_code=200 if spans else 404)

    async def recent(_: Request) -> Response:
        return JSONResponse(traces.recent(100))

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    return Starlette(
        routes=[
            Route("/v1/traces", export, methods=["POST"]),
            Route("/traces/{trace_id}", one),
            Route("/traces", recent),
            Route("/healthz", health),
        ]
    )


async def _body(request: Request) -> bytes | None:
    """The body, unpacked; None when it is larger than MAX_BODY. One that does not unpack is given
    as it came.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    if request.headers.get("content-encoding") != "gzip":
        return bytes(body)
    unpack = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpack.decompress(bytes(body), MAX_BODY)
    except (zlib.error, gzip.BadGzipFile):
        return bytes(body)  # the decoder says what is wrong with it
    return None if unpack.unconsumed_tail else unpacked


def _span(span: Span, service: str) -> dict[str, Any]:
    return {
        "name": span.name,
        "service": service,
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex() or None,
        "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        "start_unix_nano": span.start_time_unix_nano,
        "duration_ms": round((span.end_time_unix_nano - span.start_time_unix_nano) / 1e6, 3),
        "attributes": _attributes(span.attributes),
        "status": Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        "status_message": span.status.message,
    }


def _attributes(pairs: Any) -> dict[str, Any]:
    typed: list[KeyValue] = list(pairs)
    return {pair.key: _value(pair.value) for pair in typed}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind) if kind else None


if __name__ == "__main__":
    serve(application(Traces()), __doc__)
