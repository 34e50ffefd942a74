"""The AsyncAPI document and the schemas of events say what is on Kafka, and nothing internal.

The document's form was also checked against AsyncAPI's own JSON Schema, which no package of the
Python registry carries: what that schema requires of the objects in use is asserted here.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from jsonschema import (  # type: ignore[import-untyped]
    Draft7Validator,
    Draft202012Validator,
    FormatChecker,
)

from backbone import contracts
from backbone.events import envelope, topics
from backbone.settings import ConfigurationError
from services.gateway import asyncapi, comments, event_schemas
from services.gateway.openapi_schemas import Schemas
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import problem_of
from tests.unit.gateway.exotic import EXOTIC
from tests.unit.test_envelope import messages

EVENTS = [event for area in contracts.SERVICES for event in contracts.events(area)]
WORDS = comments.load()
ISSUER = "https://realm.example/realms/administration"


def named(item: Any) -> str:
    return str(item.full_name)


def settings(**values: str) -> GatewaySettings:
    addresses = {f"{area}_address": "service.invalid:1" for area in contracts.SERVICES}
    return GatewaySettings.model_validate({**addresses, "issuer": ISSUER, **values})


def validate(schema: Any, instance: Any, validator: Any = Draft202012Validator) -> None:
    validator.check_schema(schema)
    validator(schema, format_checker=FormatChecker()).validate(instance)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    node = document
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return resolve(document, node["$ref"]) if "$ref" in node else node


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/asyncapi.json").json()
    return found


# ---- the document ---------------------------------------------------------------------------


def test_it_has_what_asyncapi_requires(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.1.0"
    assert document["info"].keys() >= {"title", "version"}
    for server in document["servers"].values():
        assert server["host"]
        assert server["protocol"] in {"kafka", "kafka-secure"}
        variables = set(re.findall(r"\{(\w+)\}", server["host"]))
        assert variables == server.get("variables", {}).keys()
    for operation in document["operations"].values():
        assert operation["action"] == "receive"
        channel = operation["channel"]["$ref"]
        assert resolve(document, channel)["address"] in document["channels"]
        told = {item["$ref"] for item in operation["messages"]}
        assert told == {
            f"{channel}/messages/{name}" for name in resolve(document, channel)["messages"]
        }
    for reference in references(document):
        assert resolve(document, reference)


def test_it_tells_every_public_topic_and_event_and_nothing_internal(
    document: dict[str, Any], client: httpx.Client
) -> None:
    public = [event for event in EVENTS if len(topics.topics_of(event)) == 2]
    assert document["channels"].keys() == {topics.topics_of(event)[1] for event in public}
    assert document["channels"].keys() == {
        item["address"] for item in document["channels"].values()
    }
    assert document["components"]["messages"].keys() == {event.full_name for event in public}
    text = client.get("/asyncapi.json").text
    for event in EVENTS:
        assert f'"{topics.internal(event)}"' not in text
        assert (event.full_name in text) == (event in public)


def test_a_subscriber_is_told_what_it_has_to_know(document: dict[str, Any]) -> None:
    for word in ("At least once", "`ce_id`", "Order", "Retention", "consumer group"):
        assert word in document["info"]["description"]
    channel = document["channels"]["public.documents.v1.Document"]
    assert "`documentId`" in channel["description"]
    assert channel["bindings"]["kafka"]["topic"] == channel["address"]
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["openIdConnectUrl"] == f"{ISSUER}/.well-known/openid-configuration"


def test_its_examples_are_valid_in_both_dialects(document: dict[str, Any]) -> None:
    for name, message in document["components"]["messages"].items():
        (example,) = message["examples"]
        payload = {**message["payload"], "components": document["components"]}
        # Draft 7 is what AsyncAPI's own schemas are made of; the words in use mean the same there.
        for validator in (Draft7Validator, Draft202012Validator):
            validate(payload, example["payload"], validator)
            validate(message["headers"], example["headers"], validator)
        key = message["bindings"]["kafka"]["key"]
        validate(key, example["headers"]["ce_subject"])
        pairs = [(name, value.encode()) for name, value in example["headers"].items()]
        received = envelope.decode([*pairs], orjson.dumps(example["payload"]))
        assert (received.type, received.subject) == (name, example["headers"]["ce_subject"])


def test_headers_are_those_of_a_real_event(document: dict[str, Any]) -> None:
    for event in EVENTS:
        if event.full_name in document["components"]["messages"]:
            message = event_schemas.example(event, WORDS)
            attributes = envelope.attributes(message, "/services/documents", "https://a.example/s")
            headers = {
                name: (value or b"").decode() for name, value in envelope.headers(attributes)
            }
            described = document["components"]["messages"][event.full_name]["headers"]
            validate(described, headers)
            assert headers.keys() <= described["properties"].keys()
            del headers["ce_id"]
            with pytest.raises(Exception, match="ce_id"):
                validate(described, headers)


def test_the_listener_has_its_address_or_a_variable_for_it() -> None:
    known = asyncapi.document(settings(public_url="https://api.example"), "kafka.example:9094")
    (server,) = known["servers"].values()
    assert (server["host"], server["protocol"]) == ("kafka.example:9094", "kafka-secure")
    (server,) = asyncapi.document(settings(), "")["servers"].values()
    assert (server["host"], server["protocol"]) == ("{bootstrap}", "kafka")
    assert server["security"] == [{"$ref": "#/components/securitySchemes/realm"}]
    (server,) = asyncapi.document(settings(issuer=""), "")["servers"].values()
    assert "security" not in server


def test_an_address_without_a_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBONE_KAFKA_PUBLIC_ADDRESS", "kafka.example")
    with pytest.raises(ConfigurationError, match="BACKBONE_KAFKA_PUBLIC_ADDRESS"):
        asyncapi.handler(settings())


def test_every_replica_serves_the_same_and_it_is_revalidated(client: httpx.Client) -> None:
    assert asyncapi.document(settings(), "") == asyncapi.document(settings(), "")
    etag = client.get("/asyncapi.json").headers["etag"]
    again = client.get("/asyncapi.json", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)


# ---- the schemas ----------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS, ids=named)
def test_every_dataschema_answers_and_describes_real_events(
    event: Descriptor, client: httpx.Client
) -> None:
    public_url = settings().public_url
    full = event_schemas.example(event, WORDS)
    key = contracts.event(event).key_field
    bare = contracts.message_class(event)(**{key: "0"})
    address = envelope.attributes(full, "/services/x", f"{public_url}/schemas")["dataschema"]

    answer = client.get(urlsplit(address).path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    schema = answer.json()
    assert (schema["$id"], schema["$schema"]) == (address, event_schemas.DIALECT)
    assert len(schema["properties"]) == len(event.fields)
    for message in (full, bare):
        validate(schema, orjson.loads(envelope.encode_data(message)))
    assert orjson.loads(envelope.encode_data(full)).keys() == schema["properties"].keys()
    validate(schema, {**schema["examples"][0], "fieldOfTheNextVersion": 1})
    with pytest.raises(Exception, match="required property"):
        validate(schema, {})

    etag = answer.headers["etag"]
    again = client.get(urlsplit(address).path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


@given(messages())
def test_whatever_an_event_holds_fits_its_schema(message: Any) -> None:
    event = message.DESCRIPTOR
    schema = event_schemas.document(event, "https://api.example", WORDS)
    data = orjson.loads(envelope.encode_data(message))
    Draft202012Validator(schema, format_checker=FormatChecker(["uuid"])).validate(data)


def test_every_kind_of_field_has_a_schema_that_its_example_fits() -> None:
    schemas = Schemas({}, root="#/$defs", sparse=True)
    schema = {**schemas.message(EXOTIC, request=False), "$defs": schemas.components}
    told = {"exotic.v1.Exotic.snake_case_name": "A name, such as `a_b`."}
    example = event_schemas.example(EXOTIC, told)
    assert json_format.MessageToDict(example)["snakeCaseName"] == "a_b"
    for message in (example, contracts.message_class(EXOTIC)()):
        validate(schema, json_format.MessageToDict(message))
    assert event_schemas.example(EXOTIC, {}) == event_schemas.example(EXOTIC, {})
    assert not any("required" in item for item in schemas.components.values())


@pytest.mark.parametrize(
    "path",
    [
        "/schemas/administration.documents.v1.DocumentShared",
        "/schemas/administration.documents.v1.Nothing.json",
        "/schemas/administration.documents.v1.Document.json",
        "/schemas/..%2fasyncapi.json",
        "/schemas/",
    ],
)
def test_what_is_no_event_has_no_schema(path: str, client: httpx.Client) -> None:
    assert problem_of(client.get(path))["status"] == 404
