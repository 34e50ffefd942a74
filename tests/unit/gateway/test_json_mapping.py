"""The compiled JSON mapping is json_format's, both ways, on every message of the contracts."""

import math
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from backbone import contracts
from backbone.contracts import message_class
from backbone.errors import InvalidInput
from services.gateway.json_decoder import decode
from services.gateway.json_encoder import encoder, to_json
from tests.unit.gateway.exotic import EXOTIC

_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
LARGEST = 3.4028234663852886e38
_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


def _messages(found: Any) -> Iterator[Descriptor]:
    for message in found:
        yield message
        yield from _messages(message.nested_types)


def everything() -> list[Descriptor]:
    """Every message of the contracts, and one with every kind of field."""
    files = [
        import_module(f"administration.{area}.v1.{name}_pb2").DESCRIPTOR
        for area in contracts.SERVICES
        for name in (area, "events")
    ]
    tops = [message for file in files for message in file.message_types_by_name.values()]
    tops.append(EXOTIC)
    return [item for item in _messages(tops) if not item.GetOptions().map_entry]


def scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        numbers = [value.number for value in field.enum_type.values]
        return st.sampled_from([*numbers, 77])
    if field.cpp_type in _RANGES:
        return st.integers(*_RANGES[field.cpp_type])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=12)
    if field.type == FieldDescriptor.TYPE_FLOAT:
        # The largest one json_format writes as it does not read it.
        return st.floats(width=32).filter(lambda value: abs(value) != LARGEST)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return st.floats()
    return st.booleans() if field.type == FieldDescriptor.TYPE_BOOL else _TEXT


@cache
def filled(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Any]:
    """Messages of a type with any values."""
    if descriptor.full_name == "google.protobuf.Timestamp":
        return st.builds(
            message_class(descriptor),
            seconds=st.integers(-62135596800, 253402300799),
            nanos=st.integers(0, 999_999_999),
        )
    if descriptor.full_name == "google.protobuf.Duration":
        return st.builds(message_class(descriptor), seconds=st.integers(0, 10**9))
    if descriptor.full_name == "google.protobuf.FieldMask":
        # Only what may be a field's name has a JSON form.
        names = st.from_regex(r"[a-z]{1,4}(_[a-z]{1,4})?", fullmatch=True)
        return st.builds(message_class(descriptor), paths=st.lists(names, max_size=3))
    if descriptor.full_name == "google.protobuf.Struct":
        # Its values are JSON's, not any message: one without a kind has no JSON form.
        values = st.none() | st.booleans() | _TEXT | st.integers(-(2**53), 2**53)
        objects = st.dictionaries(_TEXT, values | st.lists(values, max_size=2), max_size=3)
        return objects.map(lambda value: json_format.ParseDict(value, message_class(descriptor)()))
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in descriptor.fields:
        kind: Any = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            key, value = kind.fields_by_name["key"], kind.fields_by_name["value"]
            inner = filled(value.message_type, depth + 1) if value.message_type else scalar(value)
            fields[field.name] = st.dictionaries(scalar(key), inner, max_size=3)
            continue
        if kind is not None and depth > 2:
            continue
        one = filled(kind, depth + 1) if kind is not None else scalar(field)
        fields[field.name] = st.lists(one, max_size=3) if field.is_repeated else one
    return st.fixed_dictionaries({}, optional=fields).map(
        lambda values: message_class(descriptor)(**values)
    )


def test_the_largest_float_is_written_as_it_is_read() -> None:
    message = message_class(EXOTIC)(single=-LARGEST)
    written = to_json(message)
    assert orjson.loads(written)["single"] == -3.4028235e38
    read: Any = message_class(EXOTIC)()
    decode(EXOTIC, orjson.loads(written), read)
    assert read.single == -LARGEST
    with pytest.raises(InvalidInput):
        decode(EXOTIC, {"single": 3.4028236e38}, read)


def same(left: Any, right: Any) -> bool:
    return str(left) == str(right)


@pytest.mark.parametrize("descriptor", everything(), ids=lambda item: item.full_name)
def test_both_ways_are_those_of_json_format(descriptor: Descriptor) -> None:
    @settings(max_examples=40 if descriptor is EXOTIC else 12, deadline=None, database=None)
    @given(message=filled(descriptor))
    def check(message: Any) -> None:
        reference = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
        assert repr(encoder(descriptor)(message)) == repr(_ordered(descriptor, reference))
        # Names of the proto are read as well.
        for names in (False, True):
            text = json_format.MessageToJson(message, preserving_proto_field_name=names)
            read = message_class(descriptor)()
            decode(descriptor, orjson.loads(text), read)
            assert same(read, message)
        again = json_format.Parse(to_json(message), message_class(descriptor)())
        assert same(again, message)

    check()


def _ordered(descriptor: Descriptor, document: dict[str, Any]) -> dict[str, Any]:
    """json_format's document in the encoder's order, at each level: always-there fields first."""
    ordered = {}
    for present in (False, True):
        for field in descriptor.fields:
            if field.has_presence is present and field.json_name in document:
                value = document[field.json_name]
                kind: Any = field.message_type
                if kind is not None and not kind.full_name.startswith("google.protobuf."):
                    value = _ordered_value(field, kind, value)
                ordered[field.json_name] = value
    assert len(ordered) == len(document)
    return ordered


def _ordered_value(field: FieldDescriptor, kind: Any, value: Any) -> Any:
    if kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"].message_type
        if inner is None or inner.full_name.startswith("google.protobuf."):
            return value
        return {key: _ordered(inner, item) for key, item in value.items()}
    if field.is_repeated:
        return [_ordered(kind, item) for item in value]
    return _ordered(kind, value)


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | _TEXT
    | st.sampled_from(["1", "-7", "1.5", "NaN", "AAAA", "COLOUR_RED", "2027-01-01T00:00:00Z"])
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)


def _faults(document: dict[str, Any], message: Any) -> list[str]:
    try:
        decode(EXOTIC, document, message)
    except InvalidInput as refused:
        return [item.field for item in refused.fields]
    return []


@settings(max_examples=300, deadline=None, database=None)
@given(name=st.sampled_from([field.json_name for field in EXOTIC.fields]), value=_VALUES)
def test_whatever_is_accepted_json_format_accepts_as_the_same(name: str, value: Any) -> None:
    read = message_class(EXOTIC)()
    faults = _faults({name: value}, read)
    if faults:
        assert all(field.startswith(name) for field in faults)
        return
    reference = message_class(EXOTIC)()
    if not (isinstance(value, float) and math.isinf(value)):
        assert same(read, json_format.ParseDict({name: value}, reference))


@pytest.mark.parametrize(
    ("document", "field", "reason"),
    [
        ({"colours": ["COLOUR_RED", "COLOUR_PINK"]}, "colours[1]", "WRONG_TYPE"),
        ({"nested": {"deep": [{"name": 1}]}}, "nested.deep[0].name", "WRONG_TYPE"),
        ({"byName": {"a": {"x": 1}}}, "byName.a.x", "UNKNOWN_FIELD"),
        ({"flags": {"yes": "x"}}, "flags.yes", "WRONG_TYPE"),
        ({"small": 2**31}, "small", "OUT_OF_RANGE"),
        ({"small": True}, "small", "WRONG_TYPE"),
        ({"small": "1_0"}, "small", "WRONG_TYPE"),
        ({"single": 1e39}, "single", "OUT_OF_RANGE"),
        ({"raw": "a"}, "raw", "WRONG_TYPE"),
        ({"text": "a", "number": 1}, "number", "GIVEN_TWICE"),
        ({"byName": [], "by_name": {}}, "by_name", "GIVEN_TWICE"),
        ({"colours": [None]}, "colours[0]", "WRONG_TYPE"),
        ({"nested": {"itself": 3}}, "nested.itself", "WRONG_TYPE"),
        ({"lapse": "1h"}, "lapse", "WRONG_TYPE"),
    ],
)
def test_the_path_of_a_fault_is_told(document: Any, field: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(EXOTIC, document, message_class(EXOTIC)())
    assert (field, reason) in [(item.field, item.reason) for item in caught.value.fields]


def test_a_message_within_itself_has_a_bottom() -> None:
    document: dict[str, Any] = {}
    for _ in range(300):
        document = {"itself": document}
    with pytest.raises(InvalidInput) as caught:
        decode(EXOTIC, {"nested": document}, message_class(EXOTIC)())
    assert caught.value.fields[0].reason == "TOO_DEEP"
