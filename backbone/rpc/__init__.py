"""gRPC on native threads: the entrypoint, its server, the chain of every call, the client."""

from backbone.rpc.call import Call, CurrentCall
from backbone.rpc.client import GrpcClient, Stub
from backbone.rpc.entrypoint import Grpc

__all__ = ["Call", "CurrentCall", "Grpc", "GrpcClient", "Stub"]
