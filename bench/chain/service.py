"""The same rpc as a service of the backbone: ``python -m bench.chain.service``.

Five dependencies, as the project's own services have: the call, the database, another service,
mandates and settings.
"""

from collections.abc import Callable
from typing import Any

from administration.identity.v1 import identity_pb2
from pydantic_settings import BaseSettings

from backbone import contracts
from backbone.database import Database, Transactions
from backbone.dependencies import Settings
from backbone.mandates import IdentityMandates
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
    mandates: Stub = IdentityMandates()
    settings: BaseSettings = Settings(EventSettings)

    @grpc
    def get_contact(
        self, request: identity_pb2.GetContactRequest
    ) -> identity_pb2.GetContactResponse:
        return handler.get_contact(request)


def _uncalled() -> Callable[..., Any]:
    def method(self: Contacts, request: Any) -> Any:
        raise NotImplementedError

    return method


# A service has all the rpcs of its contract; no more than the one above is called here.
for rpc in contracts.service(handler.SERVICE).methods:
    name = contracts.snake_case(rpc.name)
    if not hasattr(Contacts, name):
        setattr(Contacts, name, grpc(_uncalled()))


if __name__ == "__main__":
    run(Contacts)
