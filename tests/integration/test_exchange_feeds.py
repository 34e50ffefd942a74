"""Feeds on the real stack: a granted partner reads, replays, waits, streams; nobody else does."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from backbone.partners.access import KafkaAccess
from deploy.local import kafka_settings
from tests.support.partners_http import FEED, TOPIC, Document, Reader, Stream, bearer, now
from tests.support.polling import eventually
from tests.support.realm import Realm
from tests.support.rpc import Client
from tests.support.tables import Tables


@pytest.fixture
def caf(realm: Realm) -> str:
    return realm.client_token("partner-caf")


@pytest.fixture
def octroi(realm: Realm) -> str:
    return realm.client_token("partner-octroi")


@pytest.fixture
def document(documents: Client, token: str) -> Document:
    return Document(documents, token)


@pytest.fixture
def reader(gateway: httpx.Client, caf: str) -> Reader:
    """At the end of the feed, by date; behind what other tests did and comes only now, too."""
    opened = Reader(gateway, caf)
    opened.page(since=now())
    while opened.page(wait_seconds=1):
        pass
    return opened


def test_a_granted_partner_reads_every_event_once_and_in_order(
    reader: Reader, document: Document, database: Tables
) -> None:
    document.share(5)
    found = reader.until(document.id, 5)
    query = """SELECT attributes ->> 'id' AS id FROM exchange.feed_events
        WHERE attributes ->> 'subject' = %s ORDER BY sequence"""
    stored = [row["id"] for row in database.rows(query, document.id)]
    assert [item["event"]["id"] for item in found] == stored
    assert len(set(stored)) == 5
    event = found[0]["event"]
    assert event["specversion"] == "1.0"
    assert event["type"] == "administration.documents.v1.DocumentShared"
    assert event["data"]["documentId"] == event["subject"] == document.id
    assert event["data"]["administration"] == "caf-martinique"
    assert event["dataschema"].endswith("administration.documents.v1.DocumentShared.json")
    assert not [item for item in reader.page() if item["event"]["subject"] == document.id]


def test_sequences_have_no_gap(document: Document, reader: Reader, database: Tables) -> None:
    document.share()
    reader.until(document.id, 1)
    query = "SELECT sequence FROM exchange.feed_events WHERE topic = %s ORDER BY sequence"
    sequences = [row["sequence"] for row in database.rows(query, TOPIC)]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_an_event_is_read_again_from_an_earlier_cursor_and_from_a_date(
    reader: Reader, document: Document, gateway: httpx.Client, caf: str
) -> None:
    began, start = now(), reader.cursor
    document.share(3)
    first = reader.until(document.id, 3)
    ids = [item["event"]["id"] for item in first]

    again = Reader(gateway, caf)
    again.cursor = start
    assert [item["event"]["id"] for item in again.until(document.id, 3)] == ids
    # After the first of them.
    again.cursor = first[0]["cursor"]
    assert [item["event"]["id"] for item in again.until(document.id, 2)] == ids[1:]

    dated = Reader(gateway, caf)
    replayed = [item["event"]["id"] for item in dated.page(since=began, limit=500)]
    assert [item for item in replayed if item in ids] == ids
    whole = Reader(gateway, caf)
    assert len(whole.page(limit=2)) == 2


def test_a_long_poll_wakes_on_a_new_event(reader: Reader, document: Document) -> None:
    found: list[dict[str, Any]] = []

    def wait() -> None:
        found.extend(reader.page(wait_seconds=30))

    thread = threading.Thread(target=wait)
    thread.start()
    shared = time.monotonic()
    document.share()
    thread.join(40)
    assert [item["event"]["subject"] for item in found] == [document.id]
    # It has not waited to its end, for all that happens before an event is in the feed.
    assert time.monotonic() - shared < 25


def test_a_long_poll_without_an_event_ends_in_its_time_with_a_cursor(reader: Reader) -> None:
    began, cursor = time.monotonic(), reader.cursor
    assert reader.page(wait_seconds=1) == []
    # Its time, not the longest that there is.
    assert 0.9 < time.monotonic() - began < 25
    assert reader.cursor == cursor


def test_a_stream_goes_on_after_the_last_event_id(
    gateway: httpx.Client, caf: str, reader: Reader, document: Document
) -> None:
    headers = bearer(caf) | {"Last-Event-ID": reader.cursor}
    with gateway.stream("GET", f"{FEED}/stream", headers=headers) as response:
        assert response.status_code == 200
        stream = Stream(response)
        document.share(2)
        first, data = stream.next()
        assert data["event"]["subject"] == document.id
        assert data["cursor"] == first
        _, second = stream.next()
    document.share(1)
    headers["Last-Event-ID"] = first
    with gateway.stream("GET", f"{FEED}/stream", headers=headers) as response:
        stream = Stream(response)
        assert stream.next()[1] == second
        assert stream.next()[1]["event"]["subject"] == document.id


@pytest.mark.parametrize(
    "topic", [TOPIC, "public.nothing.v1.Nothing", "administration.documents.v1.Document", "x"]
)
def test_a_topic_that_was_not_granted_looks_like_one_that_is_not_there(
    topic: str, gateway: httpx.Client, caf: str, octroi: str
) -> None:
    token = octroi if topic == TOPIC else caf
    for path in (f"/v1/feeds/{topic}/events", f"/v1/feeds/{topic}/stream"):
        answer = gateway.get(path, headers=bearer(token))
        assert (answer.status_code, answer.json()["reason"]) == (404, "FEED_NOT_FOUND")
    made = gateway.post(
        "/v1/webhooks", json={"topic": topic, "url": "http://127.0.0.1:1/"}, headers=bearer(token)
    )
    assert (made.status_code, made.json()["reason"]) == (404, "FEED_NOT_FOUND")


@pytest.fixture
def access(stack: dict[str, Any]) -> Iterator[KafkaAccess]:
    """A partner that a test may grant what it likes: it ends with nothing."""
    opened = KafkaAccess(kafka_settings(stack))
    opened.grant("partner-octroi", TOPIC)
    yield opened
    opened.revoke("partner-octroi")


def test_a_cursor_of_another_partner_is_refused(
    gateway: httpx.Client, octroi: str, reader: Reader, access: KafkaAccess
) -> None:
    other = Reader(gateway, octroi)
    eventually(lambda: other.get(limit=1).status_code == 200)
    for cursor in (reader.cursor, "garbage", "é", "A" * 100):
        answer = other.get(after=cursor)
        assert answer.status_code == 400, cursor
        assert [item["field"] for item in answer.json()["errors"]] == ["after"]


def test_what_is_revoked_ends_within_seconds(
    access: KafkaAccess, gateway: httpx.Client, octroi: str
) -> None:
    reader, headers = Reader(gateway, octroi), bearer(octroi)
    eventually(lambda: reader.get(limit=1).status_code == 200)
    with gateway.stream("GET", f"{FEED}/stream", params={"since": now()}, headers=headers) as live:
        access.revoke("partner-octroi")
        began = time.monotonic()
        lines = [line for line in live.iter_lines() if line.startswith(("event:", "data:"))]
        assert time.monotonic() - began < 10
    assert lines[-2] == "event: problem"
    assert "FEED_NOT_FOUND" in lines[-1]
    assert reader.get(limit=1).status_code == 404


def test_a_citizen_and_a_stranger_read_no_feed(gateway: httpx.Client, token: str) -> None:
    assert gateway.get(f"{FEED}/events", headers=bearer(token)).status_code == 403
    assert gateway.get(f"{FEED}/events").status_code == 401


@pytest.mark.parametrize(
    "query", [{"limit": 501}, {"limit": -1}, {"wait_seconds": 31}, {"since": "yesterday"}]
)
def test_a_query_that_cannot_be_meant_is_refused(query: dict[str, Any], reader: Reader) -> None:
    answer = reader.get(**query)
    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 1


def test_a_cursor_whose_next_event_is_gone_says_so(
    reader: Reader, document: Document, database: Tables
) -> None:
    """What a purge takes away, taken by hand and put back."""
    start = reader.cursor
    document.share(2)
    reader.until(document.id, 2)
    query = """DELETE FROM exchange.feed_events WHERE topic = %s AND sequence = (
        SELECT min(sequence) FROM exchange.feed_events WHERE attributes ->> 'subject' = %s)
        RETURNING *"""
    (gone,) = database.rows(query, TOPIC, document.id)
    answer = reader.get(after=start)
    gone["attributes"] = json.dumps(gone["attributes"])
    database.rows(
        """INSERT INTO exchange.feed_events (topic, sequence, event_id, attributes, data, time,
        create_time) VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        *(gone[name] for name in ("topic", "sequence", "event_id", "attributes", "data", "time",
                                  "create_time")),
    )  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["reason"] == "CURSOR_EXPIRED"
    assert str(uuid.UUID(str(gone["event_id"]))) in reader.get(after=start).text
