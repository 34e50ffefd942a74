"""Every role against every method, with the identifiers of somebody else: from the contracts."""

import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from administration.options.v1 import options_pb2
from administration.options.v1.options_pb2 import AccessRule
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from backbone import contracts
from backbone.path_template import parse
from backbone.validation import validator
from tests.support import vault
from tests.support.partners_http import TOPIC
from tests.support.realm import Realm
from tests.support.rpc import ENDS_ITS_CALLER, Client, Refusal, asked
from tests.support.sign_in import claims

METHODS = [
    pytest.param(area, method, id=f"{area}.{method.name}")
    for area, name in contracts.SERVICES.items()
    for method in contracts.service(name).methods
    if method.name not in ENDS_ITS_CALLER
]
# Words that a rule asks for and no rule can tell.
WORDS = {
    "administration": "caf-martinique",
    "email": "ailleurs@courriel.example",
    "siret": "73282932000074",
    "topic": TOPIC,
    "url": "https://ailleurs.example/a",
}
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}


@pytest.fixture(scope="module")
def ids(realm: Realm, documents: Client, gateway: httpx.Client) -> Iterator[dict[str, str]]:
    """What belongs to one citizen, or to one partner, by the field that names it."""
    with realm.person() as owner:
        tokens = realm.sign_in(owner)
        assert tokens is not None
        token = str(tokens["access_token"])
        document = vault.deposit(documents, token, vault.unique_bytes())
        partner = {"Authorization": f"Bearer {realm.client_token('partner-caf')}"}
        hook = {"topic": TOPIC, "url": "http://127.0.0.1:9/"}
        made = gateway.post("/v1/webhooks", json=hook, headers=partner)
        assert made.status_code == 200, made.text
        webhook_id = made.json()["webhook"]["webhookId"]
        yield {
            "account_id": owner.account_id,
            "document_id": document.document_id,
            "session_id": str(claims(token)["sid"]),
            "webhook_id": webhook_id,
        }
        gateway.delete(f"/v1/webhooks/{webhook_id}", headers=partner)


def others(realm: Realm) -> dict[str, str]:
    """A token of each role, none the owner's; people's are of the level that some acts ask for."""
    return {
        "citizen": realm.token("stranger", substantial=True),
        "agent": realm.token("agent"),
        "admin": realm.token("admin"),
        "partner": realm.client_token("partner-octroi"),
        # Of one that holds no other role, as documents does.
        "service": realm.client_token("notifications"),
    }


def filled(descriptor: Descriptor, ids: dict[str, str]) -> Any:
    """A request that every rule allows, with somebody else's identifiers wherever one goes."""
    message: Any = contracts.message_class(descriptor)()
    for field in descriptor.fields:
        rules = field.GetOptions().Extensions[options_pb2.rules]
        if field.name in ids:
            setattr(message, field.name, ids[field.name])
        elif field.is_repeated and field.name.removesuffix("s") in ids:
            getattr(message, field.name).append(ids[field.name.removesuffix("s")])
        elif rules.uuid:
            setattr(message, field.name, str(uuid.uuid4()))
        elif rules.required and field.message_type is not None and field.is_repeated:
            getattr(message, field.name).append(filled(field.message_type, ids))
        elif rules.required and field.message_type is not None:
            getattr(message, field.name).CopyFrom(Timestamp(seconds=32_503_680_000))
        elif rules.required and field.type == FieldDescriptor.TYPE_STRING:
            word = WORDS.get(field.name, "essai")
            if field.is_repeated:
                getattr(message, field.name).append(word)
            else:
                setattr(message, field.name, word)
        elif rules.required:
            setattr(message, field.name, max(1, rules.minimum))
    if "header" in descriptor.fields_by_name:
        message.header.name, message.header.media_type = "acte.pdf", "application/pdf"
        if "document_id" in message.header.DESCRIPTOR.fields_by_name:
            message.header.document_id = ids["document_id"]
    return message


def is_for_others(rule: AccessRule, role: str) -> bool:
    """Services act upon others by their rule, and so do agents and administrators where no citizen
    is let in: citizens and partners see their own.
    """
    return role == "service" or (role in ("agent", "admin") and "citizen" not in rule.roles)


def names_somebody(method: MethodDescriptor, ids: dict[str, str]) -> bool:
    told = str(filled(method.input_type, ids))
    return any(value in told for value in ids.values())


def attempt(
    client: Client, method: MethodDescriptor, request: Any, token: str, *, admitted: bool
) -> Any:
    """What is answered, or how it is refused; whether the rule admits the role is known before."""
    # An event stream that stays open was admitted, and may have nothing to tell.
    events = admitted and method.GetOptions().HasExtension(options_pb2.server_sent_events)
    return asked(client, method, request, stays_open=events, token=token)


@pytest.mark.parametrize(("area", "method"), METHODS)
def test_nobody_reaches_what_is_somebody_elses(
    area: str,
    method: MethodDescriptor,
    ids: dict[str, str],
    clients: dict[str, Client],
    realm: Realm,
) -> None:
    rule = contracts.access_rule(method)
    request = filled(method.input_type, ids)
    # Else the rules would refuse it, and nothing would have been tried.
    validator(method.input_type)(request)
    for role, token in others(realm).items():
        admitted = rule.public or role in rule.roles
        found = attempt(clients[area], method, request, token, admitted=admitted)
        if not admitted:
            assert isinstance(found, Refusal), f"{role} is not in the rule"
            assert (found.code, found.reason) == (
                grpc.StatusCode.PERMISSION_DENIED,
                "ROLE_MISSING",
            )
        elif isinstance(found, Refusal):
            assert found.code not in FAULTS, f"{role}: {found.code}"
        elif not is_for_others(rule, role):
            assert not names_somebody(method, ids), f"{role} was answered"
            assert not any(value in str(found) for value in ids.values()), role


@pytest.mark.parametrize(("area", "method"), METHODS)
def test_nobody_reaches_it_through_the_gateway_either(
    area: str,
    method: MethodDescriptor,
    ids: dict[str, str],
    gateway: httpx.Client,
    realm: Realm,
) -> None:
    rule = contracts.access_rule(method)
    request = json_format.MessageToDict(filled(method.input_type, ids))
    values = json_format.MessageToDict(
        filled(method.input_type, ids), preserving_proto_field_name=True
    )
    for verb, template in contracts.routes(method):
        path = template
        for variable in parse(template).variables:
            value = values.get(variable) or values["header"][variable]
            path = path.replace(f"{{{variable}}}", str(value))
        bound = {json_format_name(name) for name in parse(template).variables}
        body = {name: value for name, value in request.items() if name not in bound}
        query = body if verb == "GET" else None
        for role, token in others(realm).items():
            headers = {"Authorization": f"Bearer {token}"}
            with gateway.stream(
                verb, path, headers=headers, params=query, json=body if verb != "GET" else None
            ) as answer:
                if role not in rule.roles and not rule.public:
                    assert answer.status_code in (400, 403), f"{role}: {answer.status_code}"
                else:
                    assert answer.status_code < 500, f"{role}: {answer.status_code}"
                    if names_somebody(method, ids) and not is_for_others(rule, role):
                        assert answer.status_code >= 400, f"{role} was answered"


def json_format_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
