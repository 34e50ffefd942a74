"""``/schemas/<type>.json``: the JSON Schema (draft 2020-12) of every event's data.

The address is the `dataschema` of the event's envelope (CloudEvents 1.0, section 3.1), and the
`$id` of the schema.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from backbone import contracts
from backbone.events import envelope
from services.gateway import comments
from services.gateway.content_headers import entity_tag, none_match
from services.gateway.exchange import Exchange
from services.gateway.openapi_schemas import Schema, Schemas, rules_of
from services.gateway.routes import Handler
from services.gateway.settings import GatewaySettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXAMPLE_TIME = "2026-11-24T10:00:00Z"
_MEDIA_TYPE = b"application/schema+json"
# A validator may keep a schema: the next version of a contract only adds to it.
_CACHE = b"public, max-age=300"
_SUCH_AS = re.compile(r"such as `([^`]+)`")


def routes(settings: GatewaySettings) -> Iterator[tuple[str, Handler]]:
    """The path and the handler of every event's schema, the internal ones too."""
    words = comments.load()
    for area in contracts.SERVICES:
        for event in contracts.events(area):
            body = orjson.dumps(document(event, settings.public_url, words))
            yield path(event), written_once(body, _MEDIA_TYPE, _CACHE)


def path(event: Descriptor) -> str:
    return f"/schemas/{event.full_name}.json"


def address(event: Descriptor, public_url: str) -> str:
    """What the envelope of `event` says in `ce_dataschema`."""
    return public_url.rstrip("/") + path(event)


def document(event: Descriptor, public_url: str, words: dict[str, str]) -> Schema:
    """The schema that stands alone: what it refers to is in its `$defs`."""
    schemas = Schemas(words, root="#/$defs", sparse=True)
    schema = {
        "$schema": DIALECT,
        "$id": address(event, public_url),
        **data(event, schemas),
        "examples": [orjson.loads(envelope.encode_data(example(event, words)))],
    }
    return {**schema, "$defs": schemas.components} if schemas.components else schema


def data(event: Descriptor, schemas: Schemas) -> Schema:
    """The schema of an event's data; `schemas` is a sparse one.

    Only the key is always there. Other fields are left out when they are empty, and fields that a
    newer publisher adds are no fault.
    """
    schema = schemas.message(event, request=False)
    key = event.fields_by_name[contracts.event(event).key_field].json_name
    schema["properties"][key]["minLength"] = 1
    schema["required"] = [key]
    return schema


def example(event: Descriptor, words: dict[str, str]) -> Message:
    """An event with every field filled, the same at each call.

    A field's comment gives its value where it says "such as" and quotes one.
    """
    message = contracts.message_class(event)()
    _fill(message, words, frozenset({event.full_name}))
    return message


def written_once(body: bytes, media_type: bytes, cache: bytes) -> Handler:
    """Answers GET with a body that never changes while the process runs, with an ETag."""
    etag = entity_tag(hashlib.sha256(body).hexdigest())
    validators = [(b"etag", etag), (b"cache-control", cache)]

    async def serve(exchange: Exchange, _: tuple[str, ...]) -> None:
        condition = exchange.headers.get(b"if-none-match")
        if condition is not None and not none_match(condition, etag):
            await exchange.respond(304, [*validators])
            return
        await exchange.respond(200, [*validators, (b"content-type", media_type)], body)

    return serve


def _fill(message: Any, words: dict[str, str], above: frozenset[str]) -> None:
    for field in message.DESCRIPTOR.fields:
        kind = field.message_type
        value = getattr(message, field.name)
        if kind is None:
            scalar = _scalar(field, words.get(field.full_name, ""))
            if field.is_repeated:
                value.append(scalar)
            else:
                setattr(message, field.name, scalar)
        elif kind.full_name not in above and not kind.GetOptions().map_entry:
            inner = value.add() if field.is_repeated else value
            if kind.full_name == "google.protobuf.Timestamp":
                inner.FromJsonString(EXAMPLE_TIME)
            elif kind.full_name == "google.protobuf.Duration":
                inner.seconds = 1
            elif not kind.full_name.startswith("google.protobuf."):
                inner.SetInParent()
                _fill(inner, words, above | {kind.full_name})


def _scalar(field: FieldDescriptor, comment: str) -> Any:
    told = _SUCH_AS.search(comment)
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_STRING:
        if told:
            return told[1]
        identifier = rules_of(field).uuid or field.name.endswith("_id")
        return str(uuid.uuid5(uuid.NAMESPACE_URL, field.name)) if identifier else field.json_name
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"\x00"
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return True
    return int(told[1]) if told else rules_of(field).minimum or 1
