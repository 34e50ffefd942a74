"""Spans to the collector (OTLP 1.x over HTTP), in batches, off the way of the calls.

Most spans differ from one another in their ids and times alone. What is equal is encoded once, by
the SDK's own encoder; the rest is put before it, as fields of a protobuf message stand in any order.
"""

import logging
import struct
import threading
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from prometheus_client import Counter

from backbone.spans import LeanSpan

log = logging.getLogger(__name__)

EVERY_SECONDS = 0.5
BATCH = 2000
# Waiting to be exported; more than that is dropped, and counted.
QUEUE = 20_000

DROPPED = Counter("trace_spans_dropped_total", "Ended spans that did not reach the collector.")

# trace_id = 1, span_id = 2, start_time_unix_nano = 7, end_time_unix_nano = 8 (trace.proto).
_OWN = struct.Struct("<2s8s8s2s8scQcQ")
_OWN_FIELDS = (b"\x0a\x10", b"\x12\x08", b"\x39", b"\x41")
_PARENT = b"\x22\x08"
_SPANS = b"\x12"


class BatchExport(SpanProcessor):
    """Keeps ended spans, and exports them twice a second on a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        self._exporter = OTLPSpanExporter(endpoint, timeout=5)
