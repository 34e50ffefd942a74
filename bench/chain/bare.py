"""A gRPC server as grpcio's own documentation writes it: ``python -m bench.chain.bare``."""

import signal
import threading
from concurrent import futures

import grpc
from administration.identity.v1 import identity_pb2

from backbone.rpc.server import OPTIONS
from backbone.settings import ServerSettings, load
from bench.chain import handler


def answer(
    request: identity_pb2.GetContactRequest, _: grpc.ServicerContext
) -> identity_pb2.GetContactResponse:
    return handler.get_contact(request)


def main() -> None:
    """Serves on the address, and with the bound of threads, that the other side has too."""
    settings = load(ServerSettings)
    workers = settings.grpc_workers + settings.grpc_streams
    server = grpc.server(futures.ThreadPoolExecutor(workers), options=OPTIONS)
    # As `add_IdentityServiceServicer_to_server` of the generated code does.
    handlers = {
        "GetContact": grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=identity_pb2.GetContactRequest.FromString,
            response_serializer=identity_pb2.GetContactResponse.SerializeToString,
        )
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(handler.SERVICE, handlers),)
    )
    server.add_registered_method_handlers(handler.SERVICE, handlers)
    server.add_insecure_port(settings.grpc_listen)
    server.start()
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    asked.wait()
    server.stop(grace=1).wait()


if __name__ == "__main__":
    main()
