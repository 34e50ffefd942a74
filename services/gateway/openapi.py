"""``/openapi.json``: OpenAPI 3.1 of everything the gateway serves, from the contracts.

Paths, parameters, bodies and rules come from the descriptors; words from their comments.
"""

import hashlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson
from google.protobuf.descriptor import MethodDescriptor

from backbone import acting
from backbone.contracts import access_rule, snake_case
from backbone.path_template import parse
from services.gateway import bytes as byte_streams
from services.gateway import comments
from services.gateway.content_headers import entity_tag, none_match
from services.gateway.exchange import Exchange
from services.gateway.http_rules import Binding, bindings
from services.gateway.openapi_bytes import DESCRIBED
from services.gateway.openapi_responses import (
    PROBLEM,
    SECURITY,
    TRACE,
    problem,
    refusals,
    security_scheme,
    step_up_of,
    told,
)
from services.gateway.openapi_schemas import Schema, Schemas, parameter
from services.gateway.requests import Parameter, RequestBuilder
from services.gateway.routes import Handler, display
from services.gateway.settings import GatewaySettings
from services.gateway.sse import event_name, sent_events

_DISTRIBUTION = "administration-backbone"
_DESCRIPTION = (
    "Names are lowerCamelCase (the proto3 JSON mapping); 64-bit integers are strings; times are"
    " RFC 3339. Every refusal is a problem document (RFC 9457) that names the field at fault."
)


def document(settings: GatewaySettings, rpcs: Iterable[MethodDescriptor]) -> dict[str, Any]:
    """The OpenAPI document of `rpcs`."""
    words = comments.load()
    schemas = Schemas(words)
    schemas.components["Problem"] = PROBLEM
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for rpc in rpcs:
        for path, method, operation in _operations(rpc, schemas, words):
            paths.setdefault(path, {})[method.lower()] = operation
            tags[operation["tags"][0]] = words.get(rpc.containing_service.file.package, "")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Smart administration",
            "version": _version(),
            "description": _DESCRIPTION,
            "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        },
        "servers": [{"url": settings.public_url}],
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": security_scheme(settings),
        },
    }


def handler(settings: GatewaySettings, rpcs: Iterable[MethodDescriptor]) -> Handler:
    """``GET /openapi.json``: written once, with an ETag."""
    body = orjson.dumps(document(settings, rpcs))
    etag = entity_tag(hashlib.sha256(body).hexdigest())
    validators = [(b"etag", etag), (b"cache-control", b"no-cache")]

    async def serve(exchange: Exchange, _: tuple[str, ...]) -> None:
        condition = exchange.headers.get(b"if-none-match")
        if condition is not None and not none_match(condition, etag):
            await exchange.respond(304, [*validators])
            return
        await exchange.respond(200, [*validators, (b"content-type", b"application/json")], body)

    return serve


def _version() -> str:
    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:
        return "0"


def _operations(
    rpc: MethodDescriptor, schemas: Schemas, words: dict[str, str]
) -> Iterable[tuple[str, str, Schema]]:
    comment = words.get(rpc.full_name, "")
    declared = byte_streams.byte_stream(rpc)
    if declared is not None:
        path = parse(declared.path)
        operation = _common(rpc, comment, body=False)
        described = DESCRIBED[rpc.full_name](rpc, schemas)
        fields = dict(rpc.input_type.fields_by_name)
        if rpc.client_streaming and (header := fields["header"].message_type) is not None:
            # What the path binds is of the first message.
            fields |= dict(header.fields_by_name)
        bound = [parameter(Parameter((), fields[name]), "path", schemas) for name in path.variables]
        operation["parameters"] = bound + described["parameters"] + operation["parameters"]
        operation["responses"] = {**described["responses"], **operation["responses"]}
        if "requestBody" in described:
            operation["requestBody"] = described["requestBody"]
        yield display(path), declared.method, operation
    for index, binding in enumerate(bindings(rpc)):
        operation = _transcoded(binding, schemas, comment)
        if index:
            operation["operationId"] += str(index + 1)
        yield display(binding.path), binding.method, operation


def _common(rpc: MethodDescriptor, comment: str, *, body: bool) -> Schema:
    rule = access_rule(rpc)
    roles = list(rule.roles)
    first, _, _ = comment.partition(". ")
    operation: Schema = {
        "operationId": snake_case(rpc.name),
        "tags": [rpc.full_name.split(".")[1]],
        "summary": " ".join(first.partition("\n\n")[0].split()).rstrip("."),
        "description": comment + ("" if rule.public else f"\n\nRoles: {', '.join(roles)}."),
        "security": [] if rule.public else SECURITY,
        "parameters": [],
        "responses": refusals(comment, public=rule.public, body=body),
    }
    if roles:
        operation["x-roles"] = roles
    if rule.mandate_scope:
        operation["x-mandate-scope"] = rule.mandate_scope
        operation["parameters"].append(_acting_for(rule.mandate_scope))
        operation["responses"]["503"] = problem("Temporarily unavailable.")
    if step_up := step_up_of(rule):
        operation["x-step-up"] = step_up
        operation["description"] += f"\n\n{told(step_up)}"
    return operation


def _acting_for(scope: str) -> Schema:
    return {
        "name": acting.HEADER,
        "in": "header",
        "description": "Whom this is done for: a person or a company that gave the caller a mandate"
        f" with the scope `{scope}`; else 403 `MANDATE_MISSING`.",
        "schema": {"type": "string", "format": "uuid"},
    }


def _transcoded(binding: Binding, schemas: Schemas, comment: str) -> Schema:
    rpc = binding.rpc
    builder = RequestBuilder(binding)
    operation = _common(rpc, comment, body=builder.has_body)
    operation["parameters"] = [
        *(parameter(item, "path", schemas) for item in builder.path_parameters),
        *(parameter(item, "query", schemas) for item in builder.query_parameters),
        *operation["parameters"],
    ]
    if binding.body:
        operation["requestBody"] = _request_body(binding, schemas)
    if rpc.server_streaming:
        success = _stream(binding, operation, schemas)
    else:
        schema = schemas.reference(rpc.output_type, request=False)
        if binding.response_body:
            field = rpc.output_type.fields_by_name[binding.response_body]
            schema = schemas.field(field, request=False)
        content = {"application/json": {"schema": schema}}
        success = {"description": "Done.", "headers": TRACE, "content": content}
    operation["responses"] = {"200": success, **operation["responses"]}
    return operation


def _request_body(binding: Binding, schemas: Schemas) -> Schema:
    message = binding.rpc.input_type
    if binding.body == "*":
        bound = frozenset(binding.path.variables)
        schema = schemas.message(message, request=True, without=bound)
        required = bool(schema.get("required"))
    else:
        schema = schemas.field(message.fields_by_name[binding.body], request=True)
        required = True
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _stream(binding: Binding, operation: Schema, schemas: Schemas) -> Schema:
    """Server-Sent Events, which OpenAPI 3.1 has no words for: told, and in an extension."""
    data = schemas.reference(binding.rpc.output_type, request=False)
    declared = sent_events(binding)
    if declared.resume_field:
        operation["parameters"].append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The `id` of the last event seen; goes before the query.",
                "schema": {"type": "string"},
            }
        )
    name = event_name(binding)
    text = (
        f"Server-Sent Events (WHATWG HTML, section 9.2). Each event is `{name}`; its `data` is"
        " the JSON of `x-event-data`. A comment comes every 15 seconds. A failure after the"
        " start is an event `problem`, whose `data` is a problem document; the stream then ends."
    )
    stream = {
        "schema": {"type": "string"},
        "x-event-data": {name: data, "problem": {"$ref": "#/components/schemas/Problem"}},
    }
    return {"description": text, "headers": TRACE, "content": {"text/event-stream": stream}}
