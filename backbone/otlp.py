"""Spans to the collector (OTLP over HTTP), in batches, off the way of the calls.

Most spans differ from one another in their ids and times alone. What is equal is encoded once, by
the SDK's own encoder; the rest is put before it, as a protobuf message's fields stand in any order.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from struct import Struct
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExportResult

log = logging.getLogger(__name__)

EVERY_SECONDS = 0.5
BATCH = 2000
# Waiting to be exported; of more than that the oldest are dropped.
QUEUE = 20_000
# Encodings that are kept; a span with an attribute that no other has takes the place of none long.
KINDS = 1000

# trace_id = 1, span_id = 2, start_time_unix_nano = 7, end_time_unix_nano = 8 (OTLP's trace.proto),
# each with its tag, and with its length where it has one.
_OWN = Struct("<2s 16s 2s 8s c Q c Q")
# parent_span_id = 4
_PARENT = Struct("<2s 8s")
_FIELDS: tuple[Any, ...] = (
    "trace_id",
    "span_id",
    "start_time_unix_nano",
    "end_time_unix_nano",
    "parent_span_id",
)
_constants: dict[Any, tuple[bytes, bytes]] = {}


class BatchExport(SpanProcessor):
    """Keeps ended spans, and exports them twice a second on a thread of its own."""

    def __init__(self, exporter: "Exporter") -> None:
        self._exporter = exporter
        self._ended: deque[ReadableSpan] = deque(maxlen=QUEUE)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append(span)

    def shutdown(self) -> None:
        """Exports what is left."""
        self._stopping.set()
        self._thread.join(10)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS):
            self._export()
        self._export()

    def _export(self) -> None:
        ended = self._ended
        if len(ended) == QUEUE:
            log.warning("more spans than can be exported: some are lost")
        while ended:
            self._exporter.export([ended.popleft() for _ in range(min(len(ended), BATCH))])


class Exporter(OTLPSpanExporter):
    """The SDK's exporter, with its settings and retries, and a quicker encoding."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        sent = self._client.export(encode(spans))
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """The ``ExportTraceServiceRequest`` of some spans, serialised."""
    requests = []
    for _, group in groupby(
        spans, key=lambda span: (id(span.resource), span.instrumentation_scope)
    ):
        alike = list(group)
        request = encode_spans(alike[:1])
        scope_spans = request.resource_spans[0].scope_spans[0]
        del scope_spans.spans[:]
        scope_spans.MergeFromString(b"".join([_span(span) for span in alike]))
        requests.append(request.SerializeToString())
    # Messages one after the other are one message with the lists of both.
    return b"".join(requests)


def _span(span: ReadableSpan) -> bytes:
    context, parent, status = span.get_span_context(), span.parent, span.status
    assert context is not None
    alike = (
        span.name,
        span.kind,
        tuple(span.attributes.items()) if span.attributes else (),
        (status.status_code, status.description),
        parent is not None and (parent.is_remote, tuple(parent.trace_state.items())),
    )
    constant = _constants.get(alike)
    if constant is None:
        if len(_constants) >= KINDS:
            _constants.clear()
        constant = _constants[alike] = _constant(span)
    own = _OWN.pack(
        b"\x0a\x10", context.trace_id.to_bytes(16, "big"),
        b"\x12\x08", context.span_id.to_bytes(8, "big"),
        b"\x39", span.start_time, b"\x41", span.end_time,
    )  # fmt: skip
    if parent is None:
        return constant[0] + own + constant[1]
    above = _PARENT.pack(b"\x22\x08", parent.span_id.to_bytes(8, "big"))
    return constant[0] + own + above + constant[1]


def _constant(span: ReadableSpan) -> tuple[bytes, bytes]:
    """What comes before a span's own fields (the list's tag, the length) and after them."""
    encoded = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
    whole = ScopeSpans(spans=[encoded]).SerializeToString()
    before = whole[: len(whole) - encoded.ByteSize()]
    for name in _FIELDS:
        encoded.ClearField(name)
    return before, encoded.SerializeToString()
