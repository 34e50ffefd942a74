"""Topics, as the contracts derive them."""

import pytest
from administration.documents.v1.events_pb2 import DocumentDeposited, DocumentShared
from pydantic import SecretStr

from backbone.events import topics
from backbone.settings import KafkaSettings

SETTINGS = KafkaSettings(bootstrap="nowhere.invalid:1", username="a", password=SecretStr("b"))


def test_an_internal_event_goes_to_one_topic() -> None:
    assert topics.topics_of(DocumentDeposited.DESCRIPTOR) == [
        "administration.documents.v1.Document"
    ]


def test_a_public_event_goes_to_the_partners_topic_as_well() -> None:
    assert topics.topics_of(DocumentShared.DESCRIPTOR) == [
        "administration.documents.v1.Document",
        "public.documents.v1.Document",
    ]


def test_facts_of_one_entity_share_a_topic_so_that_they_stay_in_order() -> None:
    assert topics.internal(DocumentDeposited.DESCRIPTOR) == topics.internal(
        DocumentShared.DESCRIPTOR
    )


def test_every_event_of_the_contracts_has_its_topics() -> None:
    assert topics.all_topics() == [
        "administration.documents.v1.Document",
        "administration.documents.v1.Document.dead",
        "administration.exchange.v1.Webhook",
        "administration.exchange.v1.Webhook.dead",
        "administration.identity.v1.Account",
        "administration.identity.v1.Account.dead",
        "administration.notifications.v1.Delivery",
        "administration.notifications.v1.Delivery.dead",
        "public.documents.v1.Document",
    ]


@pytest.mark.parametrize("topic", ["administration.documents.v1.Document", "public.nothing", ""])
def test_only_a_public_topic_can_be_granted(topic: str) -> None:
    with pytest.raises(ValueError, match="public\\.documents\\.v1\\.Document"):
        topics.grant(SETTINGS, "partner-caf", topic)
