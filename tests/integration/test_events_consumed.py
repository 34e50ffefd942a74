"""Consuming, by the running notifications service: once in effect, whatever the log holds."""

import uuid
from collections.abc import Iterator

import pytest
from kafka import KafkaProducer

import deploy.local
from tests.support.polling import eventually
from tests.support.tables import Tables
from tests.support.told import Headers, Log, opened_log


def replaced(headers: Headers, name: str, value: bytes) -> Headers:
    return [(key, value if key == name else old) for key, old in headers]


def removed(headers: Headers, name: str) -> Headers:
    return [(key, value) for key, value in headers if key != name]


@pytest.fixture
def another(kafka: KafkaProducer, database: Tables) -> Iterator[Log]:
    with opened_log(kafka, database) as opened:
        yield opened


def test_an_event_that_arrives_twice_has_one_effect(log: Log) -> None:
    event = log.deposited()
    log.put(*event)
    log.put(*event)
    eventually(log.entries)
    log.put(*event)
    log.put(*log.shared())
    eventually(lambda: len(log.entries()) >= 2)
    assert log.entries() == ["DocumentDeposited", "DocumentShared"]
    assert log.dead() == []


def test_a_handler_that_fails_parks_its_key_and_the_others_flow_on(log: Log, another: Log) -> None:
    # The handler cannot make an account of this owner, however often it tries.
    partition = log.put(*log.deposited(owner="nobody"))
    log.put(*log.shared())
    another.put(*another.deposited(), partition=partition)
    eventually(another.entries)
    failed, behind = eventually(lambda: len(found := log.parked()) == 2 and found)
    assert "ValueError" in failed["cause"]
    assert (behind["cause"], behind["attempts"]) == ("", 0)
    assert log.entries() == []
    assert log.dead() == []
    eventually(lambda: log.parked()[0]["attempts"] >= 2)


def poison(log: Log) -> dict[str, tuple[Headers, bytes | None]]:
    """Records that are no event, each in its own way."""
    headers, value = log.deposited()
    return {
        "no data": (headers, None),
        "no JSON": (headers, b"{"),
        "no object": (headers, b"[]"),
        "no text": (headers, b"\xff\xfe\x00"),
        "a wrong type within": (headers, b'{"documentId": {"a": 1}}'),
        "no headers": ([], value),
        "a trace and no type": (
            [("ce_traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
            value,
        ),
        "no id": (removed(headers, "ce_id"), value),
        "an unknown type": (
            replaced(headers, "ce_type", b"administration.documents.v1.Document"),
            value,
        ),
        "an id that is none": (replaced(headers, "ce_id", b"1"), value),
        "a time that is none": (replaced(headers, "ce_time", b"yesterday"), value),
        "another version": (replaced(headers, "ce_specversion", b"2.0"), value),
        "no type": (removed(headers, "ce_type"), value),
        "NUL in a header": ([*replaced(headers, "ce_id", b"\0"), ("x\0", b"\0")], value),
        "a header that is no text": (replaced(headers, "ce_source", b"\xff"), value),
        "a deep nesting": (headers, b'{"documentId":' * 20_000),
    }


def test_records_that_are_no_event_are_set_aside_with_their_cause_and_the_rest_flows_on(
    log: Log,
) -> None:
    before = deploy.local.pid("notifications")
    records = poison(log)
    for headers, value in records.values():
        log.put(headers, value)
    log.put(*log.shared())
    eventually(log.entries, within=60)
    assert log.entries() == ["DocumentShared"]
    letters = log.dead()
    assert len(letters) == len(records)
    for letter, name in zip(letters, records, strict=True):
        assert letter["cause"], name
        assert "attempts" not in letter["cause"], name
    # No record, whatever it is, ends the service.
    assert deploy.local.pid("notifications") == before


def test_a_record_whose_key_is_no_text_is_set_aside_as_well(log: Log, database: Tables) -> None:
    mark = uuid.uuid4().hex
    log.put([("mark", mark.encode())], b"{", key=b"\xff\0" + mark.encode())
    query = "SELECT key FROM notifications.dead_letters WHERE key LIKE %s"
    found = eventually(lambda: database.rows(query, f"%{mark}"))
    assert len(found) == 1
    database.rows("DELETE FROM notifications.dead_letters WHERE key LIKE %s", f"%{mark}")


def test_an_event_that_nobody_here_subscribes_to_is_passed_over(log: Log) -> None:
    headers, value = log.deposited()
    other = b"administration.identity.v1.AccountCreated"
    log.put(replaced(headers, "ce_type", other), value)
    log.put(*log.shared())
    eventually(log.entries)
    assert log.entries() == ["DocumentShared"]
    assert log.dead() == []


def test_a_field_that_a_newer_publisher_added_is_no_fault(log: Log) -> None:
    headers, value = log.deposited()
    log.put(headers, value[:-1] + b', "addedLater": {"x": [1, 2]}}')
    eventually(log.entries)
    assert log.dead() == []
