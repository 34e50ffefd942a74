"""The one gRPC server of a service: a real ``grpc.server`` on native threads.

Health (grpc.health.v1) and reflection come from grpcio's own packages.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from nameko.extensions import SharedExtension

from backbone import contracts
from backbone.dpop import Proofs
from backbone.events.endings import AccessEndings
from backbone.settings import ConfigurationError, RealmSettings, ServerSettings, load
from backbone.tokens import TokenVerifier

if TYPE_CHECKING:
    from backbone.mandates import Mandates

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    # A proxy or a client that went away without a word is noticed.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


class GrpcServer(SharedExtension):  # type: ignore[misc]
    """Collects the handlers of every `@grpc` method, then serves them."""

    endings = AccessEndings()
    # What a service sets that has methods which can be called for another.
    mandates: "Mandates | None" = None

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
        self._server: grpc.Server | None = None
        self._health = health.HealthServicer()

    def setup(self) -> None:
        settings = load(RealmSettings)
        self.verifier = TokenVerifier(settings, self.endings.ended)
        self.proofs = Proofs(settings)

    def stopping(self) -> bool:
        """True once the service has begun to stop."""
        return bool(self.container.stopping.is_set())

    def register(
        self, method: MethodDescriptor, handler: "grpc.RpcMethodHandler[Any, Any]"
    ) -> None:
        """Adds the handler of one rpc; before `start`."""
        self._handlers.setdefault(method.containing_service.full_name, {})[method.name] = handler

    def start(self) -> None:
        """Listens, once every rpc of each contract has a handler.

        Raises:
            ContractError: an rpc has none. ConfigurationError: the address is taken.
        """
        settings = load(ServerSettings)
        for name, handlers in self._handlers.items():
            missing = {item.name for item in contracts.service(name).methods} - handlers.keys()
            if missing:
                raise contracts.ContractError(
                    f"{name}: no method for {', '.join(sorted(missing))} in"
                    f" {self.container.service_cls.__name__}"
                )
        server = grpc.server(
            # A thread is started when none is idle, so a stream takes none from the calls.
            ThreadPoolExecutor(settings.grpc_workers + settings.grpc_streams, "grpc"),
            options=OPTIONS,
        )
        for name, handlers in self._handlers.items():
            server.add_registered_method_handlers(name, handlers)
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [*self._handlers, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, server)
        try:
            server.add_insecure_port(settings.grpc_listen)
        except RuntimeError as error:
            raise ConfigurationError(
                f"BACKBONE_GRPC_LISTEN: cannot listen on {settings.grpc_listen} ({error})"
            ) from error
        server.start()
        self._server = server
        for name in ["", *self._handlers]:
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("gRPC on %s: %s", settings.grpc_listen, ", ".join(self._handlers))

    def stop(self) -> None:
        """Takes no new call, tells the health watchers, and waits for those that run."""
        server, self._server = self._server, None
        if server is not None:
            self._health.enter_graceful_shutdown()
            server.stop(grace=load(ServerSettings).stop_timeout).wait()

    def kill(self) -> None:
        if self._server is not None:
            self._server.stop(grace=None)

    def check_ready(self) -> str | None:
        return None if self._server is not None else "the gRPC server does not listen"
