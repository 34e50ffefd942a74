"""Traces (OpenTelemetry, OTLP over HTTP), metrics (Prometheus) and logs (JSON lines).

Spans and logs carry identifiers, never a token, a name, an address or anything a person typed.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from random import getrandbits, random
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes
from pythonjsonlogger.json import JsonFormatter

from backbone import acting
from backbone.settings import TelemetrySettings

tracer = trace.get_tracer("backbone")
_propagator = TraceContextTextMapPropagator()
_ROOT = Context()
# The share of the traces kept that begin with what is served here; `setup` sets it.
_ratio = 1.0


class Identifiers(logging.Filter):
    """Puts the current trace and span on every line, so that a log leads to its trace; and within
    a call for another, who acts for whom.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if context := current_span_context():
            record.trace_id = trace.format_trace_id(context.trace_id)
            record.span_id = trace.format_span_id(context.span_id)
        for name, value in acting.identifiers().items():
            setattr(record, name, value)
        return True


def setup(service: str, settings: TelemetrySettings) -> TracerProvider:
    """Configures the process: JSON logs on standard error, traces to the collector.

    Returns the provider; shut it down last, to flush what is buffered.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            ["asctime", "levelname", "name", "message", "trace_id", "span_id"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"service": service},
            defaults={"trace_id": None, "span_id": None},
        )
    )
    handler.addFilter(Identifiers())
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    # These tell every connection and every retry, which the backbone's own lines say once.
    for noisy in ("kafka", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)

    global _ratio
    _ratio = settings.trace_ratio
    resource = Resource.create({"service.name": service, "service.namespace": "administration"})
    # `entry_span` keeps a share of the requests. What begins a trace by itself is rare: all of it.
    provider = TracerProvider(resource=resource, sampler=ParentBased(ALWAYS_ON))
    if endpoint := settings.otlp_endpoint.rstrip("/"):
        exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=5)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(_propagator)
    return provider


def entry_span(
    name: str,
    parent: Context | None,
    kind: trace.SpanKind = trace.SpanKind.SERVER,
    attributes: Attributes = None,
) -> trace.Span:
    """The span of a request or an event that is served, within `parent` (what its sender sent) or
    a new trace. The caller ends it.

    Where the trace is not kept there is no span, only the trace's identifiers: the SDK takes
    longer to decide that it makes none than the rest of a call takes.
    """
    sender = trace.get_current_span(_ROOT if parent is None else parent).get_span_context()
    # What was sent may be malformed: it begins a trace then, like nothing.
    if not sender.is_valid:
        if random() >= _ratio:
            ids = trace.SpanContext(getrandbits(128), getrandbits(64), is_remote=False)
            return trace.NonRecordingSpan(ids)
    elif not sender.trace_flags.sampled:
        return trace.NonRecordingSpan(sender)
    return tracer.start_span(name, _ROOT if parent is None else parent, kind, attributes)


@contextmanager
def entered(span: trace.Span) -> Iterator[trace.Span]:
    """Makes a span the current one, and ends it. An error sets its status, never its text."""
    with trace.use_span(
        span, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield span
        except Exception:
            span.set_status(trace.StatusCode.ERROR)
            raise


def client_span(name: str) -> AbstractContextManager[trace.Span]:
    """A span around a call to another system."""
    return entered(tracer.start_span(name, kind=trace.SpanKind.CLIENT))


def current_span_context() -> trace.SpanContext | None:
    context = trace.get_current_span().get_span_context()
    return context if context.is_valid else None


def trace_id(of: trace.Span) -> str:
    """The id of a span's trace in hexadecimal, or an empty string."""
    context = of.get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def traceparent() -> str:
    """The current span as a W3C ``traceparent``, or an empty string."""
    carrier: dict[str, Any] = {}
    _propagator.inject(carrier)
    return str(carrier.get("traceparent", ""))


def parent(traceparent: str | None) -> Context | None:
    """The context that a received ``traceparent`` names; None when there is none."""
    return _propagator.extract({"traceparent": traceparent}) if traceparent else None
