"""Calls to another service, by its contract: ``identity = GrpcClient("identity")``.

The methods are the contract's rpcs in snake_case: ``self.identity.get_contact(request)``. A call
carries the service's own token, the trace, and a deadline: its own limit or what is left of the
call that is being served, whichever ends first.
"""

from collections.abc import Callable
from typing import Any

import grpc
import orjson
from google.protobuf.message import Message
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import contracts, telemetry
from backbone.rpc.call import remaining
from backbone.service_token import ServiceToken
from backbone.settings import PREFIX, ClientSettings, RealmSettings, load

CALL_SECONDS = 5.0
# A restarted server is found again at once, within the retries below, and not after the default two
# minutes of backoff.
RECONNECTING = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
# gRPC's own retries: only where the server has not seen the call, or says so (UNAVAILABLE).
SERVICE_CONFIG = orjson.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
).decode()


class Stub:
    """The rpcs of a service as methods. Raises ``grpc.RpcError`` when a call fails."""

    def __init__(self, service: str, channel: grpc.Channel, token: ServiceToken) -> None:
        for method in contracts.service(service).methods:
            if not (method.client_streaming or method.server_streaming):
                call = channel.unary_unary(
                    contracts.path(method),
                    request_serializer=contracts.message_class(method.input_type).SerializeToString,
                    response_deserializer=contracts.message_class(method.output_type).FromString,
                )
                name = contracts.snake_case(method.name)
                setattr(self, name, _traced(contracts.path(method)[1:], call, token))

    def __getattr__(self, name: str) -> Callable[[Message], Any]:
        raise AttributeError(f"the contract has no unary rpc for `{name}`")


def _traced(
    name: str, call: "grpc.UnaryUnaryMultiCallable[Any, Any]", token: ServiceToken
) -> Callable[[Message], Any]:
    def method(request: Message) -> Any:
        with telemetry.client_span(name):
            metadata = (
                ("authorization", f"Bearer {token.get()}"),
                ("traceparent", telemetry.traceparent()),
            )
            return call(request, timeout=remaining(CALL_SECONDS), metadata=metadata)

    return method


class GrpcClient(DependencyProvider):  # type: ignore[misc]
    """Injects the stub of another service; its address is ``BACKBONE_<AREA>_ADDRESS``."""

    def __init__(self, area: str) -> None:
        self.area = area
        self._channel: grpc.Channel | None = None

    def setup(self) -> None:
        class Address(BaseSettings):
            model_config = SettingsConfigDict(env_prefix=f"{PREFIX}{self.area.upper()}_")
            address: str

        self._channel = grpc.insecure_channel(
            load(Address).address, options=[("grpc.service_config", SERVICE_CONFIG), *RECONNECTING]
        )
        token = ServiceToken(load(RealmSettings), load(ClientSettings))
        self._stub = Stub(contracts.SERVICES[self.area], self._channel, token)

    def stop(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def get_dependency(self, worker_ctx: WorkerContext) -> Stub:
        return self._stub
