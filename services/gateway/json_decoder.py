"""Reads JSON into messages by the proto3 JSON mapping, compiled once per message type.

``google.protobuf.json_format`` reads the same mapping; this one is here because it names the
field at fault and what it should hold, tells of all faults at once, and is faster. Accepted
names are lowerCamelCase and the proto's own; ``null`` leaves a field unset.
"""

from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from backbone.errors import FieldViolation, InvalidInput
from services.gateway.json_scalars import Mismatch, from_json, well_known

# As in protobuf's own parsers.
_MAX_DEPTH = 100
# A body full of faults is answered with the first ones.
_MAX_FAULTS = 20

Faults = list[FieldViolation]
_Setter = Callable[[Any, Any, str, Faults, int], None]
_DECODERS: dict[str, "Decoder"] = {}


def decoder(descriptor: Descriptor) -> "Decoder":
    """The compiled decoder of a message type."""
    found = _DECODERS.get(descriptor.full_name)
    return found or Decoder(descriptor)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text (RFC 8259).

    Raises:
        InvalidInput: it is not one; the detail says where it stops being one.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(
            f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.",
            reason="MALFORMED_JSON",
        ) from None


def decode(descriptor: Descriptor, value: Any, message: Message) -> None:
    """Fills `message` from a JSON value.

    Raises:
        InvalidInput: with a violation for each field that is unknown, given twice or of the
            wrong type (the first twenty).
    """
    if type(value) is not dict:
        raise InvalidInput("The body has to be a JSON object.", reason="WRONG_TYPE")
    faults: Faults = []
    decoder(descriptor)(message, value, "", faults, 0)
    if faults:
        raise InvalidInput("The request has fields at fault.", fields=faults[:_MAX_FAULTS])


class Decoder:
    """Fills messages of one type. Submessages may be of the same type: it is registered first."""

    def __init__(self, descriptor: Descriptor) -> None:
        _DECODERS[descriptor.full_name] = self
        self._fields: dict[str, tuple[FieldDescriptor, _Setter]] = {}
        for field in descriptor.fields:
            entry = (field, _setter(field))
            self._fields[field.json_name] = self._fields[field.name] = entry

    def __call__(self, message: Any, value: Any, path: str, faults: Faults, depth: int) -> None:
        if type(value) is not dict:
            _fault(faults, path.rstrip("."), "WRONG_TYPE", "has to be an object")
            return
        if depth > _MAX_DEPTH:
            _fault(faults, path.rstrip("."), "TOO_DEEP", f"is nested deeper than {_MAX_DEPTH}")
            return
        seen: set[str] = set()
        for name, item in value.items():
            entry = self._fields.get(name)
            if entry is None:
                _fault(faults, f"{path}{name[:100]}", "UNKNOWN_FIELD", "is not a field here")
                if len(faults) >= _MAX_FAULTS:
                    return
                continue
            field, setter = entry
            if item is None and not _takes_null(field):
                continue
            key = field.containing_oneof.full_name if field.containing_oneof else field.name
            if key in seen:
                _fault(faults, f"{path}{name}", "GIVEN_TWICE", "is given twice, or with its rival")
                continue
            seen.add(key)
            try:
                setter(message, item, f"{path}{name}", faults, depth)
            except Mismatch as mismatch:
                _fault(faults, f"{path}{name}", mismatch.reason, mismatch.expected)
            if len(faults) >= _MAX_FAULTS:
                return


def _fault(faults: Faults, path: str, reason: str, expected: str) -> None:
    faults.append(FieldViolation(path, reason, expected))


def _takes_null(field: FieldDescriptor) -> bool:
    kind = field.message_type or field.enum_type
    return kind is not None and kind.full_name in {
        "google.protobuf.Value",
        "google.protobuf.NullValue",
    }


def _setter(field: FieldDescriptor) -> _Setter:
    name = field.name
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map(field, field.message_type)
    if field.is_repeated:
        return _repeated(field)
    if field.message_type is not None:
        fill = _filler(field.message_type)

        def set_message(message: Any, value: Any, path: str, faults: Faults, depth: int) -> None:
            target = getattr(message, name)
            target.SetInParent()
            fill(target, value, f"{path}.", faults, depth + 1)

        return set_message
    convert = from_json(field)

    def set_scalar(message: Any, value: Any, _path: str, _faults: Faults, _depth: int) -> None:
        setattr(message, name, convert(value))

    return set_scalar


def _filler(descriptor: Descriptor) -> _Setter:
    if not descriptor.full_name.startswith("google.protobuf."):
        return decoder(descriptor)

    def fill(message: Any, value: Any, _path: str, _faults: Faults, _depth: int) -> None:
        well_known(message, value)

    return fill


def _repeated(field: FieldDescriptor) -> _Setter:
    name = field.name
    fill = _filler(field.message_type) if field.message_type else None
    convert = None if field.message_type else from_json(field)

    def set_repeated(message: Any, value: Any, path: str, faults: Faults, depth: int) -> None:
        if type(value) is not list:
            raise Mismatch("WRONG_TYPE", "has to be an array")
        target = getattr(message, name)
        for index, item in enumerate(value):
            try:
                if fill is not None:
                    fill(target.add(), item, f"{path}[{index}].", faults, depth + 1)
                elif convert is not None:
                    target.append(convert(item))
            except Mismatch as mismatch:
                _fault(faults, f"{path}[{index}]", mismatch.reason, mismatch.expected)
            if len(faults) >= _MAX_FAULTS:
                return

    return set_repeated


def _map(field: FieldDescriptor, entry: Descriptor) -> _Setter:
    name = field.name
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    key_of = from_json(key_field)
    if key_field.type == FieldDescriptor.TYPE_BOOL:
        key_of = {"true": True, "false": False}.__getitem__
    fill = _filler(value_field.message_type) if value_field.message_type else None
    convert = None if value_field.message_type else from_json(value_field)

    def set_map(message: Any, value: Any, path: str, faults: Faults, depth: int) -> None:
        if type(value) is not dict:
            raise Mismatch("WRONG_TYPE", "has to be an object")
        target = getattr(message, name)
        for text, item in value.items():
            try:
                key = key_of(text)
                if fill is not None:
                    fill(target[key], item, f"{path}.{text}.", faults, depth + 1)
                elif convert is not None:
                    target[key] = convert(item)
            except KeyError:
                _fault(faults, f"{path}.{text}", "WRONG_TYPE", "has to be the key true or false")
            except Mismatch as mismatch:
                _fault(faults, f"{path}.{text}", mismatch.reason, mismatch.expected)
            if len(faults) >= _MAX_FAULTS:
                return

    return set_map
