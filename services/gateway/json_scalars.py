"""Scalars of the proto3 JSON mapping, from JSON values and from text.

A converter takes a parsed JSON value to what the protobuf field holds, and raises `Mismatch`,
which says what was expected. Numbers and booleans also come as text, in paths and queries.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

Converter = Callable[[Any], Any]

_INTEGER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# The largest that is rounded to a 32-bit float: a little more than the largest of these, whose
# shortest decimal is such a one.
_FLOAT_MAX = math.nextafter(3.4028235677973366e38, 0)


class Mismatch(Exception):
    """A value is not what its field holds: the word for the rule, and what was expected."""

    def __init__(self, reason: str, expected: str) -> None:
        super().__init__(expected)
        self.reason = reason
        self.expected = expected


def _integer(low: int, high: int) -> Converter:
    expected = f"has to be an integer from {low} to {high}"

    def convert(value: Any) -> int:
        kind = type(value)
        if (kind is str and _INTEGER.fullmatch(value)) or (kind is float and value.is_integer()):
            value = int(value)
        elif kind is not int:
            raise Mismatch("WRONG_TYPE", expected)
        if low <= value <= high:
            return value  # type: ignore[no-any-return]
        raise Mismatch("OUT_OF_RANGE", expected)

    return convert


def _floating(limit: float) -> Converter:
    def convert(value: Any) -> float:
        if type(value) is str:
            if value in _SPECIAL:
                return _SPECIAL[value]
            if _NUMBER.fullmatch(value):
                value = float(value)
        if type(value) not in (int, float):
            raise Mismatch("WRONG_TYPE", "has to be a number")
        if not abs(value) <= limit:
            raise Mismatch("OUT_OF_RANGE", "has to be a number that the field can hold")
        return float(value)

    return convert


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise Mismatch("WRONG_TYPE", "has to be true or false")


def _string(value: Any) -> str:
    if type(value) is str:
        return value
    raise Mismatch("WRONG_TYPE", "has to be a string")


def _binary(value: Any) -> bytes:
    if type(value) is str:
        standard = value.replace("-", "+").replace("_", "/")
        if _BASE64.fullmatch(standard):
            try:
                return base64.b64decode(
                    standard.rstrip("=") + "=" * (-len(standard.rstrip("=")) % 4)
                )
            except binascii.Error:
                pass
    raise Mismatch("WRONG_TYPE", "has to be a string in base64 (RFC 4648)")


def _enumeration(enum: EnumDescriptor) -> Converter:
    numbers = {value.name: value.number for value in enum.values}
    expected = f"has to be one of {', '.join(numbers)}"
    number = _integer(-(2**31), 2**31 - 1)

    def convert(value: Any) -> int:
        if type(value) is str and value in numbers:
            return numbers[value]
        if type(value) is str and not _INTEGER.fullmatch(value):
            raise Mismatch("WRONG_TYPE", expected)
        try:
            return int(number(value))
        except Mismatch as mismatch:
            raise Mismatch(mismatch.reason, expected) from None

    return convert


_INT32 = _integer(-(2**31), 2**31 - 1)
_INT64 = _integer(-(2**63), 2**63 - 1)
_UINT32 = _integer(0, 2**32 - 1)
_UINT64 = _integer(0, 2**64 - 1)
_BY_TYPE: dict[int, Converter] = {
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_SFIXED32: _INT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_SFIXED64: _INT64,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_FIXED32: _UINT32,
    FieldDescriptor.TYPE_UINT64: _UINT64,
    FieldDescriptor.TYPE_FIXED64: _UINT64,
    FieldDescriptor.TYPE_FLOAT: _floating(_FLOAT_MAX),
    FieldDescriptor.TYPE_DOUBLE: _floating(1.7976931348623157e308),
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_BYTES: _binary,
}
# Messages that are one value in JSON, and so can stand in a path or a query.
TEXTUAL = {
    "google.protobuf.Timestamp": "has to be a date and time (RFC 3339), as 2026-11-24T10:00:00Z",
    "google.protobuf.Duration": "has to be seconds followed by s, as 1.5s",
    "google.protobuf.FieldMask": "has to be field names separated by commas",
}


def from_json(field: FieldDescriptor) -> Converter:
    """The converter of a scalar or enum field's JSON values."""
    if field.enum_type is not None:
        return _enumeration(field.enum_type)
    return _BY_TYPE[field.type]


def from_text(field: FieldDescriptor) -> Converter:
    """The converter of a field's text, as in a path or a query."""
    if field.type != FieldDescriptor.TYPE_BOOL:
        return from_json(field)
    return lambda text: _boolean({"true": True, "false": False}.get(text))


def well_known(message: Any, value: Any) -> None:
    """Reads the JSON form of a ``google.protobuf`` message into `message`.

    Raises:
        Mismatch: it is not that message's JSON form.
    """
    name = message.DESCRIPTOR.full_name
    expected = TEXTUAL.get(name, f"has to be the JSON form of {name}")
    if name in TEXTUAL and type(value) is not str:
        raise Mismatch("WRONG_TYPE", expected)
    try:
        json_format.ParseDict(value, message)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError):
        raise Mismatch("WRONG_TYPE", expected) from None


def shortest_float(value: float) -> float:
    """The shortest decimal that a 32-bit float field reads back as `value`."""
    for digits in range(6, 9):
        candidate = float(f"{value:.{digits}g}")
        if (
            abs(candidate) <= _FLOAT_MAX
            and struct.unpack("f", struct.pack("f", candidate))[0] == value
        ):
            return candidate
    return float(f"{value:.9g}")
