"""The gRPC entrypoint: ``grpc = Grpc.implementing("area.v1.Service")``, then ``@grpc`` a method.

The rpc is the method's name in CamelCase; its kind, access rule and field rules are the
contract's. The method gets the request (an iterator of requests when the client streams) and
returns the response (an iterator of responses when the server streams).
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from nameko.extensions import Entrypoint

from backbone import chunks, contracts
from backbone.rpc.chain import Chain
from backbone.rpc.server import GrpcServer

Method = TypeVar("Method", bound=Callable[..., Any])


class Grpc(Entrypoint):  # type: ignore[misc]
    """One rpc of a service's contract."""

    server = GrpcServer()

    def __init__(self, service: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service = service

    @classmethod
    def implementing(cls, service: str) -> Callable[[Method], Method]:
        """The decorator for the methods of one gRPC service, by its full name."""
        return cls.decorator(service)  # type: ignore[no-any-return]

    def setup(self) -> None:
        """Finds the rpc in the contract and registers its handler.

        Raises:
            ContractError: no such rpc, or it has no access rule.
        """
        descriptor = contracts.service(self.service)
        by_name = {contracts.snake_case(item.name): item for item in descriptor.methods}
        method = by_name.get(self.method_name)
        if method is None:
            raise contracts.ContractError(
                f"{self.service} has no rpc for the method `{self.method_name}`;"
                f" it has {', '.join(sorted(by_name))}"
            )
        server = self.server
        chain = Chain(method, server.verifier, server.proofs, server.stopping, server.mandates)
        self.server.register(method, self._handler(method, chain))

    def stop(self) -> None:
        # Before any dependency: a call that runs still needs them.
        self.server.stop()

    def _handler(self, method: MethodDescriptor, chain: Chain) -> "grpc.RpcMethodHandler[Any, Any]":
        streams = (bool(method.client_streaming), bool(method.server_streaming))
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[streams]
        behaviour = self._serve_stream if method.server_streaming else self._serve
        return make(
            partial(behaviour, chain),
            request_deserializer=chunks.deserializer(method.input_type),
            response_serializer=chunks.serializer(method.output_type),
        )

    def _serve(self, chain: Chain, request: Any, context: grpc.ServicerContext) -> Message:
        with chain.served(request, context) as (call, checked):  # noqa: SIM117
            with self.container.worker(self, {"call": call}) as method:
                return method(checked)  # type: ignore[no-any-return]

    def _serve_stream(
        self, chain: Chain, request: Any, context: grpc.ServicerContext
    ) -> Iterator[Message]:
        with chain.served(request, context) as (call, checked):  # noqa: SIM117
            with self.container.worker(self, {"call": call}) as method:
                # The client learns at once that the stream is open, before the first message.
                context.send_initial_metadata(())
                yield from method(checked)
