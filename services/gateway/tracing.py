"""One SERVER span for each request, and the W3C trace context in and out.

Spans carry the method, the route's template and the status: no path, query, token or address.
Of the caller's context only `traceparent` and `tracestate` are taken up; baggage is not.
"""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from backbone import telemetry
from services.gateway.exchange import Exchange

_PROPAGATOR = TraceContextTextMapPropagator()


def start(exchange: Exchange, template: str) -> None:
    """Starts the request's span, sets `exchange.span` and `trace_id`, answers `traceparent`."""
    parent = None
    incoming = exchange.headers.get(b"traceparent")
    if incoming is not None:
        carrier = {"traceparent": incoming.decode("latin-1")}
        if state := exchange.headers.get(b"tracestate"):
            carrier["tracestate"] = state.decode("latin-1")
        parent = _PROPAGATOR.extract(carrier, Context())
    exchange.span = span = telemetry.entry_span(f"{exchange.method} {template}", parent)
    context = span.get_span_context()
    if context.is_valid:
        exchange.trace_id = f"{context.trace_id:032x}"
        exchange.common.append((b"traceparent", traceparent(context).encode("ascii")))


def finish(exchange: Exchange, template: str) -> None:
    """Ends the request's span."""
    span, status = exchange.span, exchange.status
    if span.is_recording():
        # All at once: each call of its own costs what the span does.
        span.set_attributes(
            {
                "http.request.method": exchange.method,
                "http.route": template,
                "http.response.status_code": status,
            }
        )
        if status >= 500:
            span.set_status(trace.StatusCode.ERROR)
    span.end()


def traceparent(context: trace.SpanContext) -> str:
    """The ``traceparent`` of a span (W3C Trace Context, section 3.2)."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
