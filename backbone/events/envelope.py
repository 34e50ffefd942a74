"""CloudEvents 1.0 in Kafka's binary content mode: ``ce_*`` headers, and the data as the value.

Data is the proto3 JSON mapping of the event message, so a subscriber needs no protobuf.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from google.protobuf import descriptor_pool, json_format
from google.protobuf.message import Message

from backbone import acting, contracts, telemetry

CONTENT_TYPE = "application/json"
MAX_DATA_BYTES = 256 * 1024
MAX_KEY_BYTES = 1024
MAX_ATTRIBUTES_BYTES = 64 * 1024

Data = TypeVar("Data", bound=Message)
Headers = list[tuple[str, bytes | None]]


class EnvelopeError(Exception):
    """A record is not an event of these contracts; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Received(Generic[Data]):
    """An event as a handler gets it."""

    id: uuid.UUID
    type: str
    source: str
    subject: str
    time: datetime
    data: Data
    traceparent: str
    # As they came, what this version's contracts do not know included: for who passes it on.
    attributes: dict[str, str]
    encoded: bytes


def attributes(
    message: Message,
    source: str,
    schemas: str,
    event_id: uuid.UUID | None = None,
    time: datetime | None = None,
) -> dict[str, str]:
    """The CloudEvents attributes of an event: a new one that happens now, unless it is said.

    Within a call for another they tell by extension attributes who acts, for whom, and by which
    mandate (`Acting.identifiers`).
    """
    declared = contracts.event(message.DESCRIPTOR)
    key = str(getattr(message, declared.key_field))
    if not key:
        raise ValueError(f"{message.DESCRIPTOR.full_name}: {declared.key_field} is the key: set it")
    if (size := len(key.encode())) > MAX_KEY_BYTES:
        raise ValueError(
            f"{message.DESCRIPTOR.full_name}: {declared.key_field} is the key: {size} bytes are"
            f" more than its {MAX_KEY_BYTES}"
        )
    return {
        "specversion": "1.0",
        "id": str(event_id or uuid.uuid4()),
        "source": source,
        "type": message.DESCRIPTOR.full_name,
        "subject": key,
        "time": (time or datetime.now(UTC)).isoformat(),
        "dataschema": f"{schemas}/{message.DESCRIPTOR.full_name}.json",
        **({"traceparent": parent} if (parent := telemetry.traceparent()) else {}),
        **acting.identifiers(),
    }


def encode_data(message: Message) -> bytes:
    """Raises:
    ValueError: larger than an event may be; the document itself belongs in the object store.
    """
    data = json_format.MessageToJson(message, indent=None).encode()
    if len(data) > MAX_DATA_BYTES:
        sizes = {of.name: len(str(value)) for of, value in message.ListFields()}
        raise ValueError(
            f"{message.DESCRIPTOR.full_name}: {len(data)} bytes are more than an event's"
            f" {MAX_DATA_BYTES}; most of it is {max(sizes, key=lambda name: sizes[name])}"
        )
    return data


def headers(of: dict[str, str]) -> Headers:
    """Kafka headers of the attributes (CloudEvents Kafka binding, section 3.2)."""
    pairs: Headers = [(f"ce_{name}", value.encode()) for name, value in of.items()]
    return [("content-type", CONTENT_TYPE.encode()), *pairs]


def type_of(received: Headers) -> str | None:
    """The event's type, None when a record does not say."""
    named = (value for key, value in received if key == "ce_type" and value is not None)
    return next((value.decode("utf-8", "replace") for value in named), None)


def known(name: str) -> bool:
    """Whether these contracts have an event of this type."""
    try:
        contracts.event(descriptor_pool.Default().FindMessageTypeByName(name))
    except (KeyError, contracts.ContractError):
        return False
    return True


def decode(received: Headers, value: bytes | None) -> Received[Message]:
    """The event in a Kafka record.

    Raises:
        EnvelopeError: an attribute is missing or malformed, or the data does not fit its type, or
            either is larger than an event's.
    """
    if value is not None and len(value) > MAX_DATA_BYTES:
        raise EnvelopeError(f"{len(value)} bytes of data are more than an event's {MAX_DATA_BYTES}")
    if sum(len(name) + len(text or b"") for name, text in received) > MAX_ATTRIBUTES_BYTES:
        raise EnvelopeError(f"the headers are more than an event's {MAX_ATTRIBUTES_BYTES} bytes")
    try:
        # Kafka lets a header be null: like one that is missing.
        ours = [(k, v) for k, v in received if k.startswith("ce_") and v is not None]
        attribute = {key.removeprefix("ce_"): value_.decode() for key, value_ in ours}
        version = attribute["specversion"]
        event_id, moment = uuid.UUID(attribute["id"]), datetime.fromisoformat(attribute["time"])
        name, source, subject = (attribute[key] for key in ("type", "source", "subject"))
    except KeyError as error:
        raise EnvelopeError(f"the header ce_{error.args[0]} is missing") from error
    except ValueError as error:
        raise EnvelopeError("a ce_ header cannot be read: id, time or its encoding") from error
    if version != "1.0":
        raise EnvelopeError("ce_specversion is not 1.0")
    # `json_format` takes some lists and texts for an empty message.
    if value is None or not value.lstrip().startswith(b"{"):
        raise EnvelopeError("the data is not a JSON object")
    try:
        of = descriptor_pool.Default().FindMessageTypeByName(name)
        # A field that a newer publisher added is no fault.
        data = json_format.Parse(value, contracts.message_class(of)(), ignore_unknown_fields=True)
    except KeyError as error:
        raise EnvelopeError("ce_type is not an event of these contracts") from error
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise EnvelopeError("the data does not fit the event's type") from error
    traceparent = attribute.get("traceparent", "")
    return Received(
        event_id, name, source, subject, moment, data, traceparent, attribute, bytes(value)
    )
