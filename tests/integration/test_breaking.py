"""Who reads a topic that breaks: asked of the real Kafka's ACLs."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from backbone.partners.access import KafkaAccess
from deploy import breaking
from deploy.local import kafka_settings
from tests.support.partners_http import bearer
from tests.support.polling import eventually
from tests.support.realm import Realm

TOPIC = "public.documents.v1.Document"


def test_a_break_names_the_partners_that_may_read_the_topic(stack: dict[str, Any]) -> None:
    broken = breaking.Break(TOPIC, "administration.documents.v1.DocumentShared", "is broken")
    *_, last = breaking.report([], [broken], kafka=True)
    assert last.startswith("  read by: ")
    assert "partner-caf" in last.removeprefix("  read by: ").split(", ")
    assert stack["kafka"]["username"] not in last


@pytest.fixture
def granted(stack: dict[str, Any]) -> Iterator[str]:
    """A partner that never opens Kafka, and may read the topic."""
    access = KafkaAccess(kafka_settings(stack))
    access.grant("partner-octroi", TOPIC)
    yield "partner-octroi"
    access.revoke("partner-octroi")


def test_a_partner_that_has_a_webhook_alone_is_named_too(
    stack: dict[str, Any], gateway: httpx.Client, realm: Realm, granted: str
) -> None:
    headers = bearer(realm.client_token(granted))
    webhook = {"topic": TOPIC, "url": "http://127.0.0.1:9/"}

    def make() -> str:
        answer = gateway.post("/v1/webhooks", json=webhook, headers=headers)
        return str(answer.json()["webhook"]["webhookId"]) if answer.is_success else ""

    webhook_id = eventually(make)
    try:
        broken = breaking.Break(TOPIC, "administration.documents.v1.DocumentShared", "is broken")
        *_, last = breaking.report([], [broken], kafka=True)
        assert granted in last.removeprefix("  read by: ").split(", ")
    finally:
        assert gateway.delete(f"/v1/webhooks/{webhook_id}", headers=headers).is_success


def test_a_topic_that_nobody_was_granted_has_no_reader(stack: dict[str, Any]) -> None:
    assert breaking.subscribers(breaking.kafka_settings(), "public.nothing.v1.Nothing") == []
