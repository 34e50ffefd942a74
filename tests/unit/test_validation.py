"""Field rules: each of them, at every depth."""

from typing import Any

import pytest
from administration.documents.v1 import documents_pb2
from administration.options.v1.options_pb2 import FieldRules

from backbone.errors import InvalidInput
from backbone.validation import validate
from tests.support.schemas import BYTES, INT64, MESSAGE, TIMESTAMP, Schema, field, message

made = Schema(
    [
        message(
            "Part",
            field("label", rules=FieldRules(required=True, max_length=5)),
            field("deeper", MESSAGE, of="Deeper"),
        ),
        message(
            "Deeper",
            field("code", rules=FieldRules(pattern="[a-z]{2}")),
            # Its own parent: a contract may be recursive.
            field("again", MESSAGE, of="Deeper"),
        ),
        message(
            "Everything",
            field("name", rules=FieldRules(required=True)),
            field("short", rules=FieldRules(max_length=3)),
            field("data", BYTES, rules=FieldRules(max_length=3)),
            field("code", rules=FieldRules(pattern=r"\d+|\w\w")),
            field("identifier", rules=FieldRules(uuid=True)),
            field("low", INT64, rules=FieldRules(minimum=0)),
            field("size", INT64, rules=FieldRules(minimum=-2, maximum=10)),
            field("tags", rules=FieldRules(max_items=2, max_length=4), repeated=True),
            field("some", rules=FieldRules(required=True), repeated=True),
            field("end", MESSAGE, of=TIMESTAMP, rules=FieldRules(required=True)),
            field("part", MESSAGE, of="Part"),
            field("parts", MESSAGE, of="Part", rules=FieldRules(max_items=2), repeated=True),
            field("at_least_one", INT64, rules=FieldRules(minimum=1)),
        ),
    ]
)
GOOD: dict[str, Any] = {
    "name": "a",
    "some": ["a"],
    "end": {"seconds": 1},
    "at_least_one": 1,
}


def faults(**values: Any) -> dict[str, str]:
    """The fields at fault in a message that is good but for `values`, and their reasons."""
    built = made["Everything"](**{**GOOD, **values})
    try:
        validate(built)
    except InvalidInput as error:
        return {item.field: item.reason for item in error.fields if item.description}
    return {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": ""}, {"name": "REQUIRED"}),
        ({"some": []}, {"some": "REQUIRED"}),
        ({"end": None}, {"end": "REQUIRED"}),
        ({"short": "abcd"}, {"short": "MAX_LENGTH"}),
        ({"short": "ééé"}, {}),
        ({"short": ""}, {}),
        ({"data": b"abcd"}, {"data": "MAX_LENGTH"}),
        ({"data": "é".encode() * 2}, {"data": "MAX_LENGTH"}),
        ({"code": "12x"}, {"code": "PATTERN"}),
        ({"code": "12"}, {}),
        ({"code": "12\n"}, {"code": "PATTERN"}),
        ({"code": "١٢٣"}, {"code": "PATTERN"}),
        ({"identifier": "123"}, {"identifier": "UUID"}),
        ({"identifier": "5F0C0F4E-7A5E-4B52-8A5E-000000000001"}, {}),
        ({"identifier": "{5f0c0f4e-7a5e-4b52-8a5e-000000000001}"}, {"identifier": "UUID"}),
        ({"identifier": "5f0c0f4e7a5e4b528a5e000000000001"}, {"identifier": "UUID"}),
        ({"identifier": "urn:uuid:5f0c0f4e-7a5e-4b52-8a5e-000000000001"}, {"identifier": "UUID"}),
        ({"low": -1}, {"low": "MINIMUM"}),
        ({"low": 0}, {}),
        ({"size": -3}, {"size": "MINIMUM"}),
        ({"size": 11}, {"size": "MAXIMUM"}),
        ({"size": 10}, {}),
        ({"at_least_one": 0}, {"at_least_one": "MINIMUM"}),
        ({"tags": ["a", "b", "c"]}, {"tags": "MAX_ITEMS"}),
        ({"tags": ["a", "abcde"]}, {"tags": "MAX_LENGTH"}),
        ({"part": {}}, {"part.label": "REQUIRED"}),
        ({"part": {"label": "abcdef"}}, {"part.label": "MAX_LENGTH"}),
        (
            {"part": {"label": "a", "deeper": {"code": "ABC"}}},
            {"part.deeper.code": "PATTERN"},
        ),
        ({"parts": [{"label": "a"}, {}]}, {"parts[1].label": "REQUIRED"}),
        ({"parts": [{"label": "a"}] * 3}, {"parts": "MAX_ITEMS"}),
        (
            {"name": "", "short": "abcd", "parts": [{}]},
            {"name": "REQUIRED", "short": "MAX_LENGTH", "parts[0].label": "REQUIRED"},
        ),
        ({}, {}),
    ],
    ids=str,
)
def test_each_rule_finds_its_fault_and_no_other(
    values: dict[str, Any], expected: dict[str, str]
) -> None:
    assert faults(**values) == expected


@pytest.mark.parametrize(
    "end",
    [
        {"seconds": 253_402_300_800},
        {"seconds": -62_135_596_801},
        {"seconds": 1, "nanos": -1},
        {"seconds": 1, "nanos": 1_000_000_000},
        {"seconds": 2**63 - 1},
    ],
    ids=str,
)
def test_a_moment_that_no_calendar_has_is_at_fault(end: dict[str, int]) -> None:
    assert faults(end=end) == {"end": "TIMESTAMP"}


def test_a_moment_of_the_calendar_passes() -> None:
    assert faults(end={"seconds": 253_402_300_799, "nanos": 999_999_999}) == {}
    assert faults(end={"seconds": -62_135_596_800}) == {}


def test_a_text_with_the_character_that_no_database_holds_is_at_fault() -> None:
    assert faults(name="a\x00b") == {"name": "NUL"}
    assert faults(part={"label": "\x00"}) == {"part.label": "NUL"}
    assert faults(tags=["\x00"]) == {"tags": "NUL"}


def test_a_message_without_rules_passes() -> None:
    validate(documents_pb2.ListDocumentsResponse())


def test_the_header_of_a_deposit_is_checked_within_its_oneof() -> None:
    header = documents_pb2.DepositDocumentRequest.Header(name="a", media_type="pdf", sha256="x")
    with pytest.raises(InvalidInput) as refused:
        validate(documents_pb2.DepositDocumentRequest(header=header))
    assert {item.field for item in refused.value.fields} == {"header.media_type", "header.sha256"}
    validate(documents_pb2.DepositDocumentRequest(chunk=b"anything"))
