"""What no publisher of ours would send, and a topic that is not there: the rest flows on."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from administration.documents.v1.events_pb2 import DocumentDeposited, DocumentShared
from administration.exchange.v1.events_pb2 import WebhookDisabled
from administration.notifications.v1.events_pb2 import EmailAccepted
from google.protobuf.message import Message
from kafka import KafkaProducer
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient

import deploy.local
from backbone.events import Received, envelope, subscribe, topics
from tests.support.events import Scratch, fact
from tests.support.kafka import header, internal_options, tap
from tests.support.nameko import container_of
from tests.support.polling import eventually
from tests.support.tables import Tables

DOCUMENTS = "administration.documents.v1.Document"
LARGE = 20 * 1024 * 1024
ROOM = LARGE + 1024 * 1024


@pytest.fixture
def admin(stack: dict[str, Any]) -> Iterator[KafkaAdminClient]:
    with KafkaAdminClient(**internal_options(stack)) as opened:
        yield opened


@pytest.fixture
def large(stack: dict[str, Any], admin: KafkaAdminClient) -> Iterator[KafkaProducer]:
    """A producer that may send what the topic, for once, takes."""

    def permit(value: Any) -> None:
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, DOCUMENTS, {"max.message.bytes": value})]
        )

    permit(str(ROOM))
    opened = KafkaProducer(**internal_options(stack), max_request_size=ROOM)
    yield opened
    opened.close()
    permit((AlterConfigOp.DELETE, None))


def put(producer: KafkaProducer, message: Message, value: bytes | None = None, **more: str) -> None:
    """An event on the documents' topic, with data and headers that may be anybody's."""
    attributes = envelope.attributes(message, "/services/documents", "http://127.0.0.1/schemas")
    producer.send(
        DOCUMENTS,
        key=attributes["subject"].encode(),
        value=envelope.encode_data(message) if value is None else value,
        headers=envelope.headers(attributes | more),
    ).get(60)


def test_a_record_of_20_mb_is_set_aside_with_its_cause_and_the_rest_flows_on(
    large: KafkaProducer, stack: dict[str, Any], database: Tables
) -> None:
    one, owner = str(uuid.uuid4()), str(uuid.uuid4())
    before = {name: deploy.local.pid(name) for name in ("notifications", "exchange")}
    deposited = DocumentDeposited(document_id=one, owner_id=owner)
    shared = DocumentShared(document_id=one, owner_id=owner, administration="essai")
    shared.expire_time.FromSeconds(4_000_000_000)
    # Valid but for its size: a field that these contracts do not know would be passed over.
    padded = b'{"documentId": "%s", "x": "%s"}' % (one.encode(), b"x" * LARGE)
    with tap(internal_options(stack), f"{DOCUMENTS}.dead") as dead:
        put(large, deposited, padded)
        put(large, shared, padded)
        put(large, deposited, padding="x" * 100_000)
        put(large, shared)
        entries = "SELECT kind FROM notifications.entries WHERE account_id = %s"
        assert eventually(lambda: database.rows(entries, owner), within=60) == [
            {"kind": "DocumentShared"}
        ]
        feed = "SELECT * FROM exchange.feed_events WHERE attributes ->> 'subject' = %s"
        assert len(eventually(lambda: database.rows(feed, one), within=60)) == 1
        # Notifications reads both types, exchange the public one.
        told = dead.until(lambda record: record.key == one.encode(), count=4, within=60)
    for schema, causes in (("notifications", 3), ("exchange", 1)):
        letters = letters_of(database, schema, one)
        assert len(letters) == causes
        assert f"{len(padded)} bytes of data are more" in letters[0]["cause"]
        assert letters[0]["size"] == len(padded)
        forget(database, schema, one)
    assert [len(record.value) for record in told if header(record, "ce_deaddata")] == [0, 0, 0]
    (headers,) = (record for record in told if header(record, "ce_deadheaders"))
    assert "headers are more than" in header(headers, "ce_deadcause")
    assert {name: deploy.local.pid(name) for name in before} == before


def letters_of(database: Tables, schema: str, key: str) -> list[dict[str, Any]]:
    if schema == "exchange":
        return database.rows(
            "SELECT cause, length(data) AS size FROM exchange.dead_letters WHERE key = %s"
            ' ORDER BY "offset"',
            key,
        )
    return database.rows(
        "SELECT cause, length(data) AS size FROM notifications.dead_letters WHERE key = %s"
        ' ORDER BY "offset"',
        key,
    )


def forget(database: Tables, schema: str, key: str) -> None:
    if schema == "exchange":
        database.rows("DELETE FROM exchange.dead_letters WHERE key = %s", key)
    else:
        database.rows("DELETE FROM notifications.dead_letters WHERE key = %s", key)


def test_a_topic_that_is_missing_at_start_is_read_once_it_is_there_and_the_others_at_once(
    scratch: Scratch,
    stack: dict[str, Any],
    admin: KafkaAdminClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It comes first, so it is also the one that the consumer asks its coordinator about.
    missing, group = f"administration.essai.v1.X{uuid.uuid4().hex}", f"essai-{uuid.uuid4().hex}"
    internal = topics.internal
    monkeypatch.setattr(
        topics,
        "internal",
        lambda of: missing if of is WebhookDisabled.DESCRIPTOR else internal(of),
    )
    kafka = stack["kafka"]
    monkeypatch.setenv("BACKBONE_DATABASE_URL", scratch.url())
    monkeypatch.setenv("BACKBONE_KAFKA_BOOTSTRAP", kafka["internal"])
    monkeypatch.setenv("BACKBONE_KAFKA_USERNAME", kafka["username"])
    monkeypatch.setenv("BACKBONE_KAFKA_PASSWORD", kafka["password"])
    seen: list[str] = []

    class Service:
        name = group

        @subscribe(EmailAccepted, WebhookDisabled)
        def on_event(self, event: Received[Message]) -> None:
            seen.append(event.subject)

    there, late = str(uuid.uuid4()), str(uuid.uuid4())
    container = container_of(Service)
    container.start()
    try:
        with scratch.relaying() as publisher:
            with scratch.transactions.transaction():
                publisher.publish(fact(there))
            eventually(lambda: there in seen, within=60)
            admin.create_topics({missing: {"num_partitions": 1, "replication_factor": 1}})
            with scratch.transactions.transaction():
                publisher.publish(WebhookDisabled(webhook_id=late))
            # Within the time that a consumer's knowledge of topics may be old.
            eventually(lambda: late in seen, within=90)
    finally:
        container.stop()
        admin.delete_groups([group])
        if missing in admin.list_topics():
            admin.delete_topics([missing])
