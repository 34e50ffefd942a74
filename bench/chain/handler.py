"""The rpc of the bench, and the body that both sides run for it."""

from administration.identity.v1 import identity_pb2

PROTO = "administration/identity/v1/identity.proto"
SERVICE = "administration.identity.v1.IdentityService"
METHOD = f"{SERVICE}/GetContact"
DATA = '{"account_id": "0b8f3c52-6f0e-4a55-9d6c-2a3f5b1c7e90"}'


def get_contact(request: identity_pb2.GetContactRequest) -> identity_pb2.GetContactResponse:
    """A canned answer: what is measured is what stands around it."""
    return identity_pb2.GetContactResponse(
        display_name="Joséphine Marie-Sainte",
        email=f"{request.account_id}@courriel.example",
        locale="fr",
    )
