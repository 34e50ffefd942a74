"""The OpenAPI document is valid, complete, and says what the gateway does."""

from typing import Any

import httpx
import pytest
from administration.options.v1.options_pb2 import AccessRule, AssuranceLevel
from openapi_spec_validator import validate

from backbone.path_template import parse
from services.gateway import assembly
from services.gateway.bytes import HANDLERS, byte_stream
from services.gateway.http_rules import bindings
from services.gateway.openapi_bytes import DESCRIBED
from services.gateway.openapi_responses import step_up_of, told
from services.gateway.routes import display


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1.")


def test_every_route_of_the_contracts_is_in_it_and_no_other(document: dict[str, Any]) -> None:
    declared = set()
    for rpc in assembly.rpcs():
        declared |= {(display(item.path), item.method.lower()) for item in bindings(rpc)}
        if stream := byte_stream(rpc):
            declared.add((display(parse(stream.path)), stream.method.lower()))
    told = {(path, method) for path, item in document["paths"].items() for method in item}
    assert told == declared


def test_every_byte_stream_has_a_handler_and_a_description() -> None:
    streams = {rpc.full_name for rpc in assembly.rpcs() if byte_stream(rpc)}
    assert streams == set(HANDLERS) == set(DESCRIBED)


def test_rules_roles_and_refusals_come_from_the_contracts(document: dict[str, Any]) -> None:
    share = document["paths"]["/v1/documents/{documentId}/shares"]["post"]
    body = share["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["administration"]["maxLength"] == 63
    assert body["required"] == ["purpose", "expireTime"]
    assert body["additionalProperties"] is False
    assert "documentId" not in body["properties"]
    assert share["x-roles"] == ["citizen", "agent"]
    assert {"400", "401", "403", "404", "413", "415", "default"} <= set(share["responses"])
    identifier, acting = share["parameters"]
    assert (acting["name"], acting["in"]) == ("Backbone-Acting-For", "header")
    assert share["x-mandate-scope"] == "documents.share"
    mandates = document["paths"]["/v1/me/mandates"]["get"]
    assert "Backbone-Acting-For" not in str(mandates)
    assert (identifier["name"], identifier["in"]) == ("documentId", "path")
    assert identifier["schema"]["format"] == "uuid"
    page = document["paths"]["/v1/documents"]["get"]["parameters"][0]
    assert (page["name"], page["schema"]["maximum"]) == ("pageSize", 200)
    scheme = document["components"]["securitySchemes"]["bearer"]
    assert scheme["openIdConnectUrl"].startswith("https://realm.example/realms/administration/")


def test_words_come_from_the_comments_in_the_names_of_json(document: dict[str, Any]) -> None:
    me = document["paths"]["/v1/me"]["get"]
    assert me["summary"].startswith("The caller's own account")
    token = document["components"]["schemas"]["ListDocumentsResponse"]["properties"]
    assert token["nextPageToken"]["description"] == "Empty on the last page."
    assert "`afterSequence`" in document["paths"]["/v1/inbox/stream"]["get"]["description"]
    assert document["components"]["schemas"]["Account"]["properties"]["email"]["x-personal"]


def test_an_event_stream_tells_its_events(document: dict[str, Any]) -> None:
    stream = document["paths"]["/v1/inbox/stream"]["get"]
    assert "Last-Event-ID" in [item["name"] for item in stream["parameters"]]
    content = stream["responses"]["200"]["content"]["text/event-stream"]
    assert content["x-event-data"]["WatchInbox"]["$ref"].endswith("/WatchInboxResponse")


def test_it_is_revalidated_by_its_etag(client: httpx.Client) -> None:
    first = client.get("/openapi.json")
    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_every_message_of_an_operation_has_a_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for rpc in assembly.rpcs():
        # A preview is answered as the image that its message holds.
        if rpc.server_streaming or rpc.name == "GetPreview":
            continue
        if bindings(rpc) or byte_stream(rpc):
            assert rpc.output_type.name in schemas


def test_a_level_that_a_rule_asks_for_is_in_the_document(document: dict[str, Any]) -> None:
    rule = AccessRule(
        roles=["citizen"], level=AssuranceLevel.ASSURANCE_LEVEL_HIGH, max_age_seconds=60
    )
    assert step_up_of(rule) == {"acr_values": "high", "max_age": 60}
    assert "acr_values high and max_age 60" in told(step_up_of(rule))
    assert step_up_of(AccessRule(roles=["citizen"])) == {}
    refused = document["paths"]["/v1/me"]["get"]["responses"]["401"]
    assert "RFC 9470" in refused["headers"]["WWW-Authenticate"]["description"]
