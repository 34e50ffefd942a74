"""The gateway as it runs, on real sockets, in front of services that answer what a test says."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from backbone import contracts, errors
from services.gateway.edge import Edge

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
# Seconds: more than any answer needs that is to come, even on a busy machine.
CALL_TIMEOUT = 3


class Services:
    """Every rpc of the contracts on one gRPC server.

    `answers` holds what an rpc does, by its name: a callable of request (or requests) and
    context, which returns a message, or an iterator of them, or raises. `calls` are the requests
    seen, with their metadata; `ended` is set when a streaming call's client is gone.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Any, Any], Any]] = {}
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        self.ended = threading.Event()
        self.health = health.HealthServicer()
        self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._server = grpc.server(ThreadPoolExecutor(16))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        for name in contracts.SERVICES.values():
            handlers = {rpc.name: self._handler(rpc) for rpc in contracts.service(name).methods}
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, handlers),)
            )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def reset(self) -> None:
        self.answers.clear()
        self.calls.clear()
        self.ended = threading.Event()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def _handler(self, rpc: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        def before(request: Any, context: Any) -> None:
            context.add_callback(self.ended.set)
            self.calls.append((rpc.name, request, dict(context.invocation_metadata())))

        def unary(request: Any, context: Any) -> Any:
            before(request, context)
            try:
                return self.answers[rpc.name](request, context)
            except errors.DomainError as error:
                context.abort_with_status(errors.to_grpc(error))

        def stream(request: Any, context: Any) -> Iterator[Any]:
            before(request, context)
            try:
                yield from self.answers[rpc.name](request, context)
            except errors.DomainError as error:
                context.abort_with_status(errors.to_grpc(error))

        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
        }[rpc.client_streaming, rpc.server_streaming]
        handler: grpc.RpcMethodHandler[Any, Any] = make(
            stream if rpc.server_streaming else unary,
            request_deserializer=contracts.message_class(rpc.input_type).FromString,
            response_serializer=contracts.message_class(rpc.output_type).SerializeToString,
        )
        return handler


class Container:
    """As much of a container as the edge asks for."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []

    def spawn_managed_thread(self, fn: Callable[[], None], identifier: str) -> None:
        def run() -> None:
            try:
                fn()
            except BaseException as error:
                self.failures.append(error)
                raise

        threading.Thread(target=run, name=identifier, daemon=True).start()


def start_edge(services: Services, **settings: str) -> Edge:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKBONE_HTTP_LISTEN", "127.0.0.1:0")
        for area in contracts.SERVICES:
            patch.setenv(f"BACKBONE_{area.upper()}_ADDRESS", f"127.0.0.1:{services.port}")
        for name, value in settings.items():
            patch.setenv(f"BACKBONE_{name.upper()}", value)
        edge = Edge()
        edge.container = Container()
        edge.setup()
    edge.start()
    return edge


@pytest.fixture(scope="session")
def running() -> Iterator[tuple[Services, Edge]]:
    services = Services()
    edge = start_edge(
        services,
        cors_origins="https://mon.espace.mq",
        issuer="https://realm.example/realms/administration",
        max_body_bytes="4096",
        call_timeout=str(CALL_TIMEOUT),
    )
    yield services, edge
    edge.stop()
    services.stop()


@pytest.fixture
def services(running: tuple[Services, Edge]) -> Services:
    running[0].reset()
    return running[0]


@pytest.fixture
def edge(running: tuple[Services, Edge]) -> Edge:
    return running[1]


@pytest.fixture
def client(services: Services, edge: Edge) -> Iterator[httpx.Client]:
    base = f"http://127.0.0.1:{edge.port}"
    with httpx.Client(base_url=base, timeout=10, trust_env=False) as http:
        yield http


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Waits until `holds`; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.01)


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document of a response, checked against what every one of them has."""
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == response.status_code
    assert set(document) >= {"type", "title", "status", "detail", "reason"}
    return document
