"""Topics, as the contracts derive them, and what makes a broker what they say."""

import dataclasses

import pytest
from administration.documents.v1.events_pb2 import DocumentDeposited, DocumentShared
from administration.options.v1 import options_pb2
from kafka.admin import ACL, ACLOperation
from pydantic import SecretStr

from backbone.events import plan, topics
from backbone.events.plan import Action, Change, Topic
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
        "administration.documents.v1.Box",
        "administration.documents.v1.Box.dead",
        "administration.documents.v1.Document",
        "administration.documents.v1.Document.dead",
        "administration.documents.v1.Export",
        "administration.documents.v1.Export.dead",
        "administration.exchange.v1.Webhook",
        "administration.exchange.v1.Webhook.dead",
        "administration.identity.v1.Access",
        "administration.identity.v1.Access.dead",
        "administration.identity.v1.Account",
        "administration.identity.v1.Account.dead",
        "administration.identity.v1.Consent",
        "administration.identity.v1.Consent.dead",
        "administration.identity.v1.Erasure",
        "administration.identity.v1.Erasure.dead",
        "administration.identity.v1.Invitation",
        "administration.identity.v1.Invitation.dead",
        "administration.identity.v1.Key",
        "administration.identity.v1.Key.dead",
        "administration.identity.v1.Mandate",
        "administration.identity.v1.Mandate.dead",
        "administration.identity.v1.Organisation",
        "administration.identity.v1.Organisation.dead",
        "administration.identity.v1.PersonalData",
        "administration.identity.v1.PersonalData.dead",
        "administration.identity.v1.RealmLog",
        "administration.identity.v1.RealmLog.dead",
        "administration.identity.v1.SignInFailure",
        "administration.identity.v1.SignInFailure.dead",
        "administration.notifications.v1.Delivery",
        "administration.notifications.v1.Delivery.dead",
        "public.documents.v1.Document",
    ]


@pytest.mark.parametrize("topic", ["administration.documents.v1.Document", "public.nothing", ""])
def test_only_a_public_topic_can_be_granted(topic: str) -> None:
    with pytest.raises(ValueError, match="public\\.documents\\.v1\\.Document"):
        topics.grant(SETTINGS, "partner-caf", topic)


def test_a_topic_keeps_what_it_holds_as_long_as_its_most_lasting_event() -> None:
    days = topics.retention_days()
    shared = 90
    assert DocumentShared.DESCRIPTOR.GetOptions().Extensions[options_pb2.event].retention_days == (
        shared
    )
    # DocumentDeposited does not say, and goes to the same internal topic.
    assert days["administration.documents.v1.Document"] == shared
    assert days["administration.documents.v1.Document.dead"] == shared
    assert days["public.documents.v1.Document"] == shared
    assert days["administration.identity.v1.Account"] == topics.RETENTION_DAYS
    assert days["administration.notifications.v1.Delivery"] < topics.RETENTION_DAYS


# ---- what a broker lacks ------------------------------------------------------------------------

PUBLIC = "public.documents.v1.Document"


def as_wanted() -> dict[str, Topic]:
    """A broker that has every topic as it is to be."""
    return {
        name: Topic(SETTINGS.partitions, SETTINGS.replication, plan.configs(days, 1))
        for name, days in topics.retention_days().items()
    }


def only(found: dict[str, Topic], rules: list[ACL]) -> Change:
    (change,) = plan.changes(found, rules, SETTINGS)
    return change


def test_a_broker_that_is_as_the_contracts_say_needs_nothing() -> None:
    assert (
        list(plan.changes(as_wanted(), topics.partner_rules("partner-caf", PUBLIC), SETTINGS)) == []
    )


def test_an_empty_broker_needs_every_topic() -> None:
    made = list(plan.changes({}, [], SETTINGS))
    assert [change.subject for change in made] == topics.all_topics()
    assert {change.action for change in made} == {Action.CREATE}


def test_partitions_are_added_with_a_warning_and_never_taken_away() -> None:
    found = as_wanted()
    found[PUBLIC] = dataclasses.replace(found[PUBLIC], partitions=2)
    more = only(found, [])
    assert (more.action, more.now, more.wanted) == (Action.PARTITIONS, "2", "6")
    assert "keys move" in more.note
    found[PUBLIC] = dataclasses.replace(found[PUBLIC], partitions=12)
    fewer = only(found, [])
    assert fewer.action is Action.TELL
    assert "no partition away" in fewer.note


def test_other_replicas_are_told_and_what_is_written_needs_no_more_than_there_are() -> None:
    found = as_wanted()
    found[PUBLIC] = Topic(6, 3, plan.configs(topics.retention_days()[PUBLIC], 3))
    assert only(found, []).action is Action.TELL
    assert plan.configs(1, 3)["min.insync.replicas"] == "2"
    assert plan.configs(1, 1)["min.insync.replicas"] == "1"


@pytest.mark.parametrize(
    ("before", "note"), [("1000", ""), ("-1", "deleted"), ("99999999999", "deleted")]
)
def test_a_retention_is_changed_and_a_shorter_one_says_what_is_lost(before: str, note: str) -> None:
    found = as_wanted()
    found[PUBLIC] = Topic(6, 1, {**found[PUBLIC].configs, "retention.ms": before})
    change = only(found, [])
    assert (change.action, change.setting, change.now) == (
        Action.CONFIGURE,
        "retention.ms",
        before,
    )
    assert note in change.note
    assert bool(note) == bool(change.note)


def test_a_topic_of_ours_that_no_contract_has_is_told_and_others_are_nobody_s_business() -> None:
    found = as_wanted() | {"public.gone.v1.Gone": Topic(1, 1, {}), "metrics": Topic(1, 1, {})}
    change = only(found, [])
    assert (change.action, change.subject) == (Action.TELL, "public.gone.v1.Gone")


def test_a_grant_that_lacks_a_rule_is_completed() -> None:
    read, describe, group = topics.partner_rules("partner-caf", PUBLIC)
    assert describe.operation is ACLOperation.DESCRIBE
    made = list(plan.changes(as_wanted(), [read], SETTINGS))
    assert [change.rule for change in made] == [describe, group]
    assert {(change.action, change.subject) for change in made} == {(Action.ALLOW, "partner-caf")}


def test_a_partner_that_reads_what_is_not_public_is_told_with_the_mend() -> None:
    rules = topics.partner_rules("partner-caf", "administration.documents.v1.Document")
    change = only(as_wanted(), rules)
    assert change.action is Action.TELL
    assert "partner revoke partner-caf administration.documents.v1.Document" in change.note
    others = topics.partner_rules("exporter", "administration.documents.v1.Document")
    assert list(plan.changes(as_wanted(), others, SETTINGS)) == []
