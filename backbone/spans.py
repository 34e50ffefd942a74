"""A tracer for the API of OpenTelemetry that costs a call as little as can be.

The SDK's own spends ten times as long on a span: locks, bounded copies, checks of every attribute.
These spans are the SDK's `ReadableSpan`, so its processors and exporters take them as they are.
What is kept: W3C parents, ratio sampling where a trace starts and the parent's decision elsewhere.
What is not: events and links (nothing here makes any), limits (names and attributes are ours).
"""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_DROPPED = trace.TraceFlags(trace.TraceFlags.DEFAULT)
_LOW_64 = (1 << 64) - 1
_UNSET = trace.Status()


class LeanSpan(trace.Span, ReadableSpan):
    """A sampled span. `end` hands it to the processor; nothing changes it afterwards."""

    # What `ReadableSpan` reads, where it is the same for all of them.
    _events = ()
    _links = ()
    _instrumentation_info = None

    def __init__(
        self,
        tracer: "LeanTracer",
        name: str,
        trace_id: int,
        parent: trace.SpanContext | None,
        kind: trace.SpanKind,
        attributes: Mapping[str, Any] | None,
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._kind = kind
        self._parent = parent
        self._own = self._attributes = dict(attributes) if attributes else {}
        self._status = _UNSET
        self._end_time: int | None = None
        self._made: trace.SpanContext | None = None
        self.trace_id = trace_id
        self.span_id = random.getrandbits(64) or 1
        self._start_time = time.time_ns()

    @property
    def _context(self) -> trace.SpanContext:  # type: ignore[override]
        # Made when it is asked for: the context of a span without children never is.
        if self._made is None:
            state = self._parent.trace_state if self._parent is not None else None
            self._made = trace.SpanContext(self.trace_id, self.span_id, False, _SAMPLED, state)
        return self._made

    @property
    def _resource(self) -> Resource:  # type: ignore[override]
        return self._tracer.resource

    @property
    def _instrumentation_scope(self) -> InstrumentationScope:  # type: ignore[override]
        return self._tracer.scope

    def get_span_context(self) -> trace.SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return self._end_time is None

    def set_attribute(self, key: str, value: Any) -> None:
        if self._end_time is None:
            self._own[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def update_name(self, name: str) -> None:
        self._name = name

    def set_status(
        self, status: trace.Status | trace.StatusCode, description: str | None = None
    ) -> None:
        if self._end_time is None:
            if isinstance(status, trace.StatusCode):
                status = trace.Status(status, description)
            self._status = status

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Nothing: an event's text is where personal data would slip in."""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Nothing, for the same reason."""

    def end(self, end_time: int | None = None) -> None:
        if self._end_time is None:
            self._end_time = end_time or time.time_ns()
            self._tracer.processor.on_end(self)


class LeanTracer(trace.Tracer):
    """Starts spans. `ratio` is the share of the traces that start here and are sampled."""

    def __init__(
        self,
        scope: InstrumentationScope,
        resource: Resource,
        ratio: float,
        processor: SpanProcessor,
    ) -> None:
        self.scope = scope
        self.resource = resource
        self.processor = processor
        self._bound = TraceIdRatioBased.get_bound_for_rate(ratio)

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        parent: trace.SpanContext | None = trace.get_current_span(context).get_span_context()
        if parent is not None and parent.is_valid:
            trace_id, sampled = parent.trace_id, parent.trace_flags & 1
        else:
            parent, trace_id = None, random.getrandbits(128) or 1
            sampled = trace_id & _LOW_64 < self._bound
        if sampled:
            return LeanSpan(self, name, trace_id, parent, kind, attributes)
        state = parent.trace_state if parent is not None else None
        span_id = random.getrandbits(64) or 1
        return trace.NonRecordingSpan(trace.SpanContext(trace_id, span_id, False, _DROPPED, state))

    @contextmanager
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[trace.Span]:
        span = self.start_span(name, context, kind, attributes)
        with trace.use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span


class LeanTracerProvider(trace.TracerProvider):
    """Gives tracers that all end in one processor; `shutdown` flushes it."""

    def __init__(self, resource: Resource, ratio: float, processor: SpanProcessor) -> None:
        self._resource = resource
        self._ratio = ratio
        self._processor = processor

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> trace.Tracer:
        scope = InstrumentationScope(instrumenting_module_name, instrumenting_library_version)
        return LeanTracer(scope, self._resource, self._ratio, self._processor)

    def shutdown(self) -> None:
        self._processor.shutdown()
