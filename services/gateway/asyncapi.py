"""``/asyncapi.json``: AsyncAPI 3.1 of what partner administrations can subscribe to.

Public topics alone, and from the subscriber's side: its operations are `receive`. Topics, keys and
schemas come from the descriptors; words from the contracts' comments.
"""

from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import contracts
from backbone.events import envelope, topics
from backbone.settings import PREFIX, load
from services.gateway import comments, event_schemas
from services.gateway.openapi_schemas import Schema, Schemas
from services.gateway.routes import Handler
from services.gateway.settings import GatewaySettings

_DISTRIBUTION = "administration-backbone"
_BINDING = {"bindingVersion": "0.5.0"}
_SCHEME = "realm"
_EXAMPLE = {
    "id": "6f1c2a52-5d0e-4f0b-9f3e-0a4f6f0a7c11",
    "time": event_schemas.EXAMPLE_TIME,
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
_FOR_ANOTHER = {
    "ce_actorid": "Who acted",
    "ce_principalid": "For whom",
    "ce_mandateid": "By which mandate",
}
_DESCRIPTION = """\
Events for partner administrations, on Kafka. The operations are the subscriber's: what your \
application receives.

Records are CloudEvents 1.0 in Kafka's binary content mode: the attributes are `ce_*` headers, the \
value is JSON (the proto3 JSON mapping: names in lowerCamelCase, 64-bit integers as strings, empty \
fields left out), the key is the entity's id.

- **At least once.** An event can arrive again: deduplicate on `ce_id`.
- **Order.** Events of one key arrive in the order in which they happened; nothing is promised \
between keys.
- **Retention.** Events are kept for as long as the topic's `retention.ms` says, which is the \
operator's (Kafka's default is seven days). A group that is away for longer loses what has gone.
- **Growth.** Fields, values and event types are added without notice: pass over what you do not \
know. What is there neither changes nor goes; that needs a topic of a new version.
- **Privacy.** Events hold identifiers, states, types, sizes and times. Who may know more asks \
the HTTP API with the same token.
- **Access.** Topics are granted one by one. The name of your consumer group begins with your \
client's id and a dot."""
_SERVER = """\
The partners' listener. SASL/OAUTHBEARER (RFC 7628) with an access token of the realm, by the \
client credentials grant (RFC 6749, section 4.4). The broker asks for a new one while the \
connection is open: give your client a callback, not a string."""


class PartnerListener(BaseSettings):
    """Where partner administrations reach Kafka."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    kafka_public_address: str = Field(
        default="",
        pattern=r"^([^\s,/]+:\d{1,5})?$",
        description="host:port that partners begin with; empty: told to each of them",
    )


def document(settings: GatewaySettings, address: str) -> dict[str, Any]:
    """The AsyncAPI document of the public topics; `address` is a broker's, or empty."""
    words = comments.load()
    schemas = Schemas(words, sparse=True)
    channels: dict[str, Schema] = {}
    operations: dict[str, Schema] = {}
    messages: dict[str, Schema] = {}
    for topic, events in public_topics().items():
        for event in events:
            messages[event.full_name] = _message(event, settings.public_url, schemas, words)
        channels[topic] = _channel(topic, events)
        operations[_operation_id(topic)] = _operation(topic, events)
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Smart administration: events",
            "version": _version(),
            "description": _DESCRIPTION,
            "license": {"name": "EUPL-1.2"},
            "externalDocs": {
                "description": "The HTTP API (OpenAPI).",
                "url": f"{settings.public_url.rstrip('/')}/openapi.json",
            },
        },
        "defaultContentType": envelope.CONTENT_TYPE,
        "servers": {"partners": _server(settings, address)},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas.components,
            "securitySchemes": _security_schemes(settings),
        },
    }


def handler(settings: GatewaySettings) -> Handler:
    """``GET /asyncapi.json``.

    Raises:
        ConfigurationError: the address of the partners' listener is malformed.
    """
    body = orjson.dumps(document(settings, load(PartnerListener).kafka_public_address))
    return event_schemas.written_once(body, b"application/json", b"no-cache")


def public_topics() -> dict[str, list[Descriptor]]:
    """The events of every topic that partners can be granted."""
    found: dict[str, list[Descriptor]] = {}
    for event in chain.from_iterable(map(contracts.events, contracts.SERVICES)):
        for topic in topics.topics_of(event):
            if topic.startswith(topics.PUBLIC):
                found.setdefault(topic, []).append(event)
    return found


def _server(settings: GatewaySettings, address: str) -> Schema:
    # Nobody outside reaches an API by https and its broker in the clear, or the other way round.
    secure = settings.public_url.startswith("https://")
    server: Schema = {
        "host": address or "{bootstrap}",
        "protocol": "kafka-secure" if secure else "kafka",
        "title": "Kafka for partner administrations",
        "description": _SERVER,
    }
    if not address:
        # A server has to have a host: this one is a variable that the reader fills in.
        server["variables"] = {"bootstrap": {"description": "Told to you with your client's id."}}
    if _security_schemes(settings):
        server["security"] = [{"$ref": f"#/components/securitySchemes/{_SCHEME}"}]
    return server


def _security_schemes(settings: GatewaySettings) -> dict[str, Schema]:
    if not settings.issuer:
        return {}
    scheme = {
        "type": "openIdConnect",
        "openIdConnectUrl": f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
        "scopes": [],
        "description": "SASL/OAUTHBEARER; the principal is the token's `azp`, your client's id.",
    }
    return {_SCHEME: scheme}


def _channel(topic: str, events: list[Descriptor]) -> Schema:
    declared = contracts.event(events[0])
    key = events[0].fields_by_name[declared.key_field].json_name
    return {
        "address": topic,
        "title": declared.entity,
        "description": f"Events of the entity {declared.entity}, in order for each `{key}`.",
        "servers": [{"$ref": "#/servers/partners"}],
        "messages": {
            event.full_name: {"$ref": f"#/components/messages/{event.full_name}"}
            for event in events
        },
        "bindings": {"kafka": {"topic": topic, "topicConfiguration": _kept(topic), **_BINDING}},
    }


def _kept(topic: str) -> Schema:
    return {"retention.ms": topics.retention_days()[topic] * 24 * 3600 * 1000}


def _operation_id(topic: str) -> str:
    """``public.documents.v1.Document`` → ``receiveDocumentsV1Document``."""
    return "receive" + "".join(f"{word[0].upper()}{word[1:]}" for word in topic.split(".")[1:])


def _operation(topic: str, events: list[Descriptor]) -> Schema:
    group = _text(
        "Your client's id, a dot, and a name of your choice.", examples=["partner-caf.archive"]
    )
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": f"Read {topic}; pass over every `ce_type` that you do not know.",
        "messages": [
            {"$ref": f"#/channels/{topic}/messages/{event.full_name}"} for event in events
        ],
        "bindings": {"kafka": {"groupId": group, **_BINDING}},
    }


def _message(event: Descriptor, public_url: str, schemas: Schemas, words: dict[str, str]) -> Schema:
    schemas.components[event.full_name] = event_schemas.data(event, schemas)
    key = event.fields_by_name[contracts.event(event).key_field].json_name
    told = event_schemas.example(event, words)
    area = event.full_name.split(".")[1]
    url = event_schemas.address(event, public_url)
    attributes = envelope.attributes(told, f"/services/{area}", url.rpartition("/")[0]) | _EXAMPLE
    headers = {
        name: value.decode() for name, value in envelope.headers(attributes) if value is not None
    }
    return {
        "name": event.full_name,
        "title": event.name,
        "summary": words.get(event.full_name, ""),
        "contentType": envelope.CONTENT_TYPE,
        "headers": _headers(event, url),
        "payload": {"$ref": f"#/components/schemas/{event.full_name}"},
        "bindings": {
            "kafka": {"key": _text(f"The data's `{key}`.", minLength=1), **_BINDING},
        },
        "externalDocs": {"description": "Its JSON Schema (draft 2020-12).", "url": url},
        "examples": [
            {
                "name": event.name,
                "headers": headers,
                "payload": orjson.loads(envelope.encode_data(told)),
            }
        ],
    }


def _headers(event: Descriptor, url: str) -> Schema:
    """The record's headers (CloudEvents' Kafka binding, section 3.2)."""
    properties = {
        "content-type": _text("Of the value.", const=envelope.CONTENT_TYPE),
        "ce_specversion": _text("The version of CloudEvents.", const="1.0"),
        "ce_id": _text("Of this event: deduplicate on it.", format="uuid"),
        "ce_source": _text("The service that published it.", format="uri-reference"),
        "ce_type": _text("What happened.", const=event.full_name),
        "ce_subject": _text("The entity's id, as in the record's key.", minLength=1),
        "ce_time": _text("When it happened (RFC 3339).", format="date-time"),
        "ce_dataschema": _text("The JSON Schema of the value.", format="uri", examples=[url]),
    }
    required = list(properties)
    properties["ce_traceparent"] = _text(
        "The trace that it happened in (W3C Trace Context), if it was traced.",
        pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    )
    for name, description in _FOR_ANOTHER.items():
        properties[name] = _text(f"{description}, if it was done for another.", format="uuid")
    return {"type": "object", "properties": properties, "required": required}


def _text(description: str, **rules: Any) -> Schema:
    return {"type": "string", "description": description, **rules}


def _version() -> str:
    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:
        return "0"
