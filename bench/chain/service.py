"""The same rpc as a service of the backbone: ``python -m bench.chain.service``.

Four dependencies, as the project's own services have: the call, the database, another service and
settings.
"""

from administration.identity.v1 import identity_pb2
from pydantic_settings import BaseSettings

from backbone.database import Database, Transactions
from backbone.dependencies import Settings
from backbone.rpc import Call, CurrentCall, Grpc, GrpcClient, Stub
from backbone.runner import run
from backbone.settings import EventSettings
from bench.chain import handler

grpc = Grpc.implementing(handler.SERVICE)


class Contacts:
    name = "bench"

    call: Call = CurrentCall()
    db: Transactions = Database()
    documents: Stub = GrpcClient("documents")
    settings: BaseSettings = Settings(EventSettings)

    @grpc
    def get_contact(
        self, request: identity_pb2.GetContactRequest
    ) -> identity_pb2.GetContactResponse:
        return handler.get_contact(request)

    @grpc
    def get_me(self, request: identity_pb2.GetMeRequest) -> identity_pb2.GetMeResponse:
        return identity_pb2.GetMeResponse()


if __name__ == "__main__":
    run(Contacts)
