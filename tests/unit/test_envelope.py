"""The envelope of events: CloudEvents 1.0 in Kafka's binary mode."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from administration.documents.v1.events_pb2 import DocumentDeposited
from administration.identity.v1.events_pb2 import AccountCreated
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from backbone import contracts
from backbone.events import envelope
from backbone.events.envelope import EnvelopeError

SCHEMAS = "http://127.0.0.1:8000/schemas"
# Surrogates alone are no text; NUL is text to protobuf.
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
moments = st.builds(
    lambda seconds, nanos: {"seconds": seconds, "nanos": nanos},
    st.integers(-62_135_596_800, 253_402_300_799),
    st.integers(0, 999_999_999),
)


def messages() -> st.SearchStrategy[Message]:
    """Any event of any contract, filled in any way."""
    events = [event for area in contracts.SERVICES for event in contracts.events(area)]
    return st.one_of([_messages(event) for event in events])


def _messages(event: Any) -> st.SearchStrategy[Message]:
    fields = st.fixed_dictionaries({field.name: _values(field) for field in event.fields})
    return fields.map(lambda values: contracts.message_class(event)(**values))


def _values(field: Any) -> st.SearchStrategy[Any]:
    return st.lists(_value(field), max_size=3) if field.is_repeated else _value(field)


def _value(field: Any) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return moments
        return _messages(field.message_type)
    if field.type == field.TYPE_STRING:
        return words
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == field.TYPE_BOOL:
        return st.booleans()
    if field.type == field.TYPE_INT32:
        return st.integers(-(2**31), 2**31 - 1)
    assert field.type == field.TYPE_INT64
    return st.integers(-(2**63), 2**63 - 1)


def packed(message: Message) -> tuple[envelope.Headers, bytes]:
    attributes = envelope.attributes(message, "/services/documents", SCHEMAS)
    return envelope.headers(attributes), envelope.encode_data(message)


@given(messages())
def test_every_event_is_received_as_it_was_published(message: Message) -> None:
    headers, data = packed(message)
    received = envelope.decode(headers, data)
    assert received.data == message
    assert received.type == message.DESCRIPTOR.full_name == envelope.type_of(headers)
    assert received.source == "/services/documents"
    key = contracts.event(message.DESCRIPTOR).key_field
    assert received.subject == getattr(message, key)
    assert received.time <= datetime.now(UTC)


def account() -> AccountCreated:
    return AccountCreated(account_id=str(uuid.uuid4()))


def test_headers_are_those_of_the_cloudevents_kafka_binding() -> None:
    headers = {name: value or b"" for name, value in packed(account())[0]}
    assert headers["content-type"] == b"application/json"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"administration.identity.v1.AccountCreated"
    assert headers["ce_dataschema"].decode() == (
        f"{SCHEMAS}/administration.identity.v1.AccountCreated.json"
    )
    assert uuid.UUID(headers["ce_id"].decode())


def test_two_events_of_the_same_fact_have_two_ids() -> None:
    fact = account()
    first, second = (envelope.decode(*packed(fact)).id for _ in range(2))
    assert first != second


def test_an_event_without_its_key_cannot_be_published() -> None:
    with pytest.raises(ValueError, match="account_id is the key"):
        packed(AccountCreated())


def test_an_event_that_is_too_large_cannot_be_published() -> None:
    message = DocumentDeposited(document_id="a", media_type="x" * envelope.MAX_DATA_BYTES)
    with pytest.raises(ValueError, match="most of it is media_type"):
        packed(message)


@pytest.mark.parametrize("missing", ["specversion", "id", "time", "type", "source", "subject"])
def test_a_record_without_a_required_attribute_is_no_event(missing: str) -> None:
    headers, data = packed(account())
    with pytest.raises(EnvelopeError, match=f"ce_{missing}"):
        envelope.decode([pair for pair in headers if pair[0] != f"ce_{missing}"], data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", b"not-a-uuid"),
        ("id", b""),
        ("time", b"yesterday"),
        ("time", b"2026-99-01T00:00:00Z"),
        ("specversion", b"0.3"),
        ("type", b"administration.identity.v1.Nothing"),
        ("type", b"\xff\xfe"),
        ("source", b"\xff"),
        ("type", b""),
        ("subject", None),
        ("type", None),
    ],
)
def test_a_record_with_a_malformed_attribute_is_no_event(name: str, value: Any) -> None:
    headers, data = packed(account())
    changed = [(key, value if key == f"ce_{name}" else old) for key, old in headers]
    with pytest.raises(EnvelopeError):
        envelope.decode(changed, data)


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"accountId": 7}',
        b'{"createTime": "yesterday"}',
        b'{"accountId": "a", "accountId": "b"}',
        b'{"accountId": "\\ud800"}',
        b"[" * 100_000,
        b'{"accountId":' * 5_000,
    ],
)
def test_data_that_does_not_fit_its_type_is_no_event(data: bytes | None) -> None:
    headers, _ = packed(account())
    with pytest.raises(EnvelopeError):
        envelope.decode(headers, data)


def test_a_field_that_a_newer_publisher_added_is_no_fault() -> None:
    headers, _ = packed(account())
    received = envelope.decode(headers, b'{"accountId": "a", "addedLater": {"x": [1]}}')
    assert received.data == AccountCreated(account_id="a")


def test_a_record_of_nobody_s_type_is_told_apart() -> None:
    assert envelope.type_of([]) is None
    assert envelope.type_of([("ce_type", None)]) is None
    assert envelope.type_of([("other", b"x"), ("ce_type", b"a.B")]) == "a.B"
