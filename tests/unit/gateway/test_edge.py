"""What every response carries, and the life of the edge."""

import socket
import threading
from typing import Any

import httpx
import pytest
from administration.identity.v1 import identity_pb2
from grpc_health.v1 import health_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from backbone import telemetry
from backbone.settings import ConfigurationError
from services.gateway.application import security_headers
from services.gateway.edge import Edge
from services.gateway.service import GatewayService
from tests.unit.gateway.conftest import (
    TRACE_ID,
    Services,
    eventually,
    problem_of,
    start_edge,
)

ORIGIN = "https://mon.espace.mq"


def test_every_response_is_safe_to_show(client: httpx.Client) -> None:
    for path in ("/livez", "/openapi.json", "/nowhere"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in headers
        assert "server" not in headers
        assert len(headers.get_list("date")) == 1
    assert b"strict-transport-security" in dict(security_headers(https=True))


def test_cors_admits_the_origins_of_the_list_and_no_other(client: httpx.Client) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = client.options("/v1/documents", headers=asked | {"Origin": ORIGIN})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert "Backbone-Acting-For" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers

    refused = client.get("/nowhere", headers={"Origin": ORIGIN})
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]
    assert refused.headers["vary"] == "Origin"

    for stranger in (
        "https://evil.example",
        f"{ORIGIN}.evil.example",
        "null",
        "http://mon.espace.mq",
    ):
        for response in (
            client.options("/v1/documents", headers=asked | {"Origin": stranger}),
            client.get("/livez", headers={"Origin": stranger}),
        ):
            assert not [name for name in response.headers if name.startswith("access-control")]
            assert response.headers["vary"] == "Origin"


def test_options_tells_what_a_resource_answers(client: httpx.Client) -> None:
    assert client.options("/v1/documents").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert problem_of(client.options("/nowhere"))["status"] == 404


def test_ready_says_which_service_is_not(
    services: Services, client: httpx.Client, edge: Edge
) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    assert edge.check_ready() is None

    services.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    try:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["backends"]["identity"] == "NOT_SERVING"
        assert "documents: NOT_SERVING" in (edge.check_ready() or "")
    finally:
        services.health.set("", health_pb2.HealthCheckResponse.SERVING)


def test_metrics_count_by_template_and_never_by_path(client: httpx.Client) -> None:
    client.get("/v1/documents/some-private-id")
    client.get("/private-path")
    text = client.get("/metrics").text
    assert 'http_route="/v1/documents/{documentId}"' in text
    assert 'http_route="unmatched"' in text
    assert "private" not in text


def test_a_request_is_one_span_without_private_words(
    services: Services, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.answers["GetMe"] = lambda *_: identity_pb2.GetMeResponse()
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "tracer", provider.get_tracer("test"))

    sent = f"00-{TRACE_ID}-b7ad6b7169203331-01"
    response = client.get("/v1/me", headers={"traceparent": sent, "Authorization": "Bearer xyz"})
    client.get("/v1/documents?page_token=private")
    malformed = client.get("/v1/me", headers={"traceparent": "00-zero-zero-01"})

    eventually(lambda: len(exporter.get_finished_spans()) == 3)
    span = exporter.get_finished_spans()[0]
    own = span.get_span_context()
    assert (span.name, span.kind.name) == ("GET /v1/me", "SERVER")
    assert span.parent is not None
    assert own is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert response.headers["traceparent"] == (f"00-{TRACE_ID}-{own.span_id:016x}-01")
    assert services.calls[0][2]["traceparent"] == response.headers["traceparent"]
    assert malformed.headers["traceparent"].split("-")[1] != TRACE_ID
    told = str([item.to_json() for item in exporter.get_finished_spans()])
    assert "xyz" not in told
    assert "private" not in told


def test_a_taken_port_is_named(services: Services) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"BACKBONE_HTTP_LISTEN.*{listen}"):
            start_edge(services, http_listen=listen)


def test_settings_at_fault_are_named(services: Services) -> None:
    for name, value in (("cors_origins", "*"), ("http_listen", "8000"), ("max_body_bytes", "0")):
        with pytest.raises(ConfigurationError, match=f"BACKBONE_{name.upper()}"):
            start_edge(services, **{name: value})


def test_a_stop_lets_a_request_finish_and_frees_the_port(services: Services) -> None:
    release = threading.Event()

    def slow(*_: Any) -> Any:
        release.wait(20)
        return identity_pb2.GetMeResponse()

    services.answers["GetMe"] = slow
    edge = start_edge(services)
    address = ("127.0.0.1", edge.port)
    answers: list[int] = []

    def ask() -> None:
        url = f"http://127.0.0.1:{address[1]}/v1/me"
        answers.append(httpx.get(url, timeout=10, trust_env=False).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: bool(services.calls))
    stopping = threading.Thread(target=edge.stop)
    stopping.start()
    eventually(lambda: edge.check_ready() is not None)
    release.set()
    asking.join(20)
    stopping.join(10)
    assert answers == [200]
    assert not stopping.is_alive()
    assert edge.container.failures == []
    with socket.create_server(address):
        pass


def test_the_service_is_wired_by_class_attributes() -> None:
    assert GatewayService.name == "gateway"
    assert isinstance(GatewayService.edge, Edge)
