"""Who reads a topic that breaks: asked of the real Kafka's ACLs."""

from typing import Any

from deploy import breaking

TOPIC = "public.documents.v1.Document"


def test_a_break_names_the_partners_that_may_read_the_topic(stack: dict[str, Any]) -> None:
    broken = breaking.Break(TOPIC, "administration.documents.v1.DocumentShared", "is broken")
    *_, last = breaking.report([], [broken], kafka=True)
    assert last.startswith("  read by: ")
    assert "partner-caf" in last.removeprefix("  read by: ").split(", ")
    assert stack["kafka"]["username"] not in last


def test_a_topic_that_nobody_was_granted_has_no_reader(stack: dict[str, Any]) -> None:
    assert breaking.subscribers(breaking.kafka_settings(), "public.nothing.v1.Nothing") == []
