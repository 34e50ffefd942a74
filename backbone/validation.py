"""Field rules of the contracts (``administration.options.v1.rules``), compiled once per message.

Why not a library: ADR 3. The vocabulary is JSON Schema's; an empty value passes every rule but
`required`, as proto3 cannot tell an empty string from an absent one.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from administration.options.v1 import options_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from backbone.errors import FieldViolation, InvalidInput

# Appends what it finds in a message, whose path it is given.
Check = Callable[[Any, str, list[FieldViolation]], None]
# What a value must pass, the reason when it does not, and the mend.
Test = tuple[Callable[[Any], bool], str, str]
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_TIMESTAMP = "google.protobuf.Timestamp"


def validate(message: Message) -> None:
    """Checks a message, and the messages within it, against the rules of its contract.

    Raises:
        InvalidInput: with every field at fault, by its path.
    """
    validator(message.DESCRIPTOR)(message)


@cache
def validator(descriptor: Descriptor) -> Callable[[Message], None]:
    """`validate` for one type of message."""
    checks = tuple(_compile(descriptor, frozenset()))

    def validate_message(message: Message) -> None:
        violations: list[FieldViolation] = []
        for check in checks:
            check(message, "", violations)
        if violations:
            first = violations[0]
            raise InvalidInput(f"{first.field}: {first.description}", fields=violations)

    return validate_message


def _compile(descriptor: Descriptor, above: frozenset[str]) -> Iterator[Check]:
    for field in descriptor.fields:
        tests = list(_type_tests(field))
        options = field.GetOptions()
        if tests or options.HasExtension(options_pb2.rules):
            yield _rules(field, options.Extensions[options_pb2.rules], tests)
        nested = field.message_type
        if nested is not None and nested.full_name not in above | {descriptor.full_name}:
            inner = tuple(_compile(nested, above | {descriptor.full_name}))
            if inner:
                yield _within(field, inner)


def _within(field: FieldDescriptor, checks: tuple[Check, ...]) -> Check:
    name, repeated = field.name, field.is_repeated

    def check(message: Any, prefix: str, found: list[FieldViolation]) -> None:
        if repeated:
            for index, item in enumerate(getattr(message, name)):
                for inner in checks:
                    inner(item, f"{prefix}{name}[{index}].", found)
        elif message.HasField(name):
            for inner in checks:
                inner(getattr(message, name), f"{prefix}{name}.", found)

    return check


def _rules(field: FieldDescriptor, rules: options_pb2.FieldRules, tests: list[Test]) -> Check:
    name = field.name
    tests = [*tests, *_value_tests(rules)]
    required, max_items, repeated = rules.required, rules.max_items, field.is_repeated
    presence = field.message_type is not None and not repeated

    def check(message: Any, prefix: str, found: list[FieldViolation]) -> None:
        value = getattr(message, name)
        if not message.HasField(name) if presence else not value:
            if required:
                found.append(FieldViolation(prefix + name, "REQUIRED", "is required"))
                return
            if value != 0 or presence:
                return
        if max_items and len(value) > max_items:
            description = f"has more than {max_items} items"
            found.append(FieldViolation(prefix + name, "MAX_ITEMS", description))
        for item in value if repeated else (value,):
            for test, reason, description in tests:
                if not test(item):
                    found.append(FieldViolation(prefix + name, reason, description))

    return check


def _type_tests(field: FieldDescriptor) -> Iterator[Test]:
    # What protobuf lets through, and neither PostgreSQL nor Python's calendar can hold.
    if field.type == FieldDescriptor.TYPE_STRING:
        yield lambda value: "\0" not in value, "NUL", "must not hold the character U+0000"
    if field.message_type is not None and field.message_type.full_name == _TIMESTAMP:
        yield _is_moment, "TIMESTAMP", "must lie in the years 1 to 9999"


def _value_tests(rules: options_pb2.FieldRules) -> Iterator[Test]:
    if limit := rules.max_length:
        yield lambda value: len(value) <= limit, "MAX_LENGTH", f"is longer than {limit}"
    if rules.pattern:
        match = re.compile(rules.pattern, re.ASCII).fullmatch
        yield lambda value: match(value) is not None, "PATTERN", f"must match {rules.pattern}"
    if rules.uuid:
        yield is_uuid, "UUID", "must be a UUID (RFC 9562)"
    if rules.HasField("minimum"):
        low = rules.minimum
        yield lambda value: value >= low, "MINIMUM", f"must be at least {low}"
    if rules.HasField("maximum"):
        high = rules.maximum
        yield lambda value: value <= high, "MAXIMUM", f"must be at most {high}"


def _is_moment(value: Any) -> bool:
    in_calendar = -62_135_596_800 <= value.seconds < 253_402_300_800
    return bool(in_calendar and 0 <= value.nanos < 1_000_000_000)


def is_uuid(value: str) -> bool:
    """Whether a text is a UUID (RFC 9562), in either case, with hyphens."""
    return _UUID(value) is not None
