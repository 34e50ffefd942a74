"""Which requests get a span."""

import pytest
from opentelemetry import trace

from backbone import telemetry

KEPT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_KEPT = f"{KEPT[:-1]}0"


@pytest.fixture
def kept_of_all(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the spans that are made, with this share of the new traces kept."""
    made: list[str] = []

    class Tracer:
        def start_span(self, name: str, *_: object) -> trace.Span:
            made.append(name)
            return trace.INVALID_SPAN

    monkeypatch.setattr(telemetry, "tracer", Tracer())
    monkeypatch.setattr(telemetry, "_ratio", request.param)
    return made


@pytest.mark.parametrize(
    ("kept_of_all", "sent", "spans"),
    [
        (0.0, None, 0),
        (1.0, None, 1),
        (0.0, KEPT, 1),
        (1.0, NOT_KEPT, 0),
        # No trace can be told from these: like nothing that was sent.
        (0.0, "00-zero-zero-01", 0),
        (1.0, "00-zero-zero-01", 1),
    ],
    indirect=["kept_of_all"],
)
def test_a_request_has_a_span_when_its_trace_is_kept(
    kept_of_all: list[str], sent: str | None, spans: int
) -> None:
    span = telemetry.entry_span("call", telemetry.parent(sent))
    assert len(kept_of_all) == spans
    if not spans:
        context = span.get_span_context()
        assert context.is_valid
        assert not context.trace_flags.sampled
