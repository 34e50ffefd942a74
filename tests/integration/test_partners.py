"""Partner administrations on Kafka: their own token, what they were granted, and nothing else."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from administration.documents.v1 import documents_pb2
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from tests.support import vault
from tests.support.fake_realm import FakeRealm
from tests.support.kafka import header, partner_options, tap
from tests.support.polling import eventually
from tests.support.realm import Realm
from tests.support.rpc import Client

PUBLIC = "public.documents.v1.Document"
INTERNAL = "administration.documents.v1.Document"


def share(documents: Client, token: str, document_id: str) -> None:
    request = documents_pb2.ShareDocumentRequest(
        document_id=document_id, administration="caf-martinique", purpose="Dossier secret"
    )
    request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    documents.share_document(request, token=token)


def test_a_partner_reads_the_event_of_a_share_and_fetches_the_document(
    documents: Client, token: str, realm: Realm, stack: dict[str, Any]
) -> None:
    data = vault.unique_bytes()

    def caf() -> str:
        return realm.client_token("partner-caf")

    with tap(partner_options(stack, caf), PUBLIC) as topic:
        document_id = vault.deposit(documents, token, data, name="Secret.pdf").document_id
        share(documents, token, document_id)
        (record,) = topic.until(lambda r: r.key == document_id.encode())
    assert header(record, "ce_type") == "administration.documents.v1.DocumentShared"
    published = json.loads(record.value)
    assert published["administration"] == "caf-martinique"
    assert "ecret" not in str(record)
    assert vault.read(documents, caf(), published["documentId"])[1] == data


def consumer(stack: dict[str, Any], token: str, group: str | None, topic: str) -> KafkaConsumer:
    options = partner_options(stack, lambda: token)
    return KafkaConsumer(
        topic, **options, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )


@pytest.mark.parametrize(
    ("partner", "topic"), [("partner-caf", INTERNAL), ("partner-octroi", PUBLIC)]
)
def test_a_partner_is_refused_a_topic_it_was_not_granted(
    partner: str, topic: str, realm: Realm, stack: dict[str, Any]
) -> None:
    token = realm.client_token(partner)
    opened = KafkaConsumer(**partner_options(stack, lambda: token), enable_auto_commit=False)
    try:
        assert topic not in opened.topics()
        with pytest.raises(TopicAuthorizationFailedError):
            opened.beginning_offsets([TopicPartition(topic, 0)])
    finally:
        opened.close()


@pytest.mark.parametrize("group", ["notifications", "partner-octroi.essai"])
def test_a_partner_is_refused_a_group_that_is_not_its_own(
    group: str, realm: Realm, stack: dict[str, Any]
) -> None:
    opened = consumer(stack, realm.client_token("partner-caf"), group, PUBLIC)
    try:
        with pytest.raises(GroupAuthorizationFailedError):
            eventually(lambda: opened.poll(timeout_ms=200))
    finally:
        opened.close()


def test_a_partner_may_read_with_a_group_of_its_own_name(
    realm: Realm, stack: dict[str, Any], documents: Client, token: str
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    share(documents, token, document_id)
    group = f"partner-caf.{uuid.uuid4()}"
    opened = consumer(stack, realm.client_token("partner-caf"), group, PUBLIC)
    keys: set[bytes] = set()

    def there() -> bool:
        for records in opened.poll(timeout_ms=200).values():
            keys.update(record.key for record in records)
        return document_id.encode() in keys

    try:
        eventually(there)
        opened.commit()
    finally:
        opened.close()


def test_the_broker_refuses_a_token_that_is_not_the_realm_s(
    stack: dict[str, Any], foreign_realm: FakeRealm
) -> None:
    token = foreign_realm.token({"azp": "partner-caf", "iss": stack["issuer"]})
    options = partner_options(stack, lambda: token)
    with pytest.raises(KafkaError):
        KafkaConsumer(**options, bootstrap_timeout_ms=3000)
