"""What people are told: rules, texts, and when a failed delivery is tried again."""

from datetime import datetime, timedelta, timezone

import pytest
from administration.documents.v1.deposits_pb2 import RefusalReason

from backbone.events.subscribe import Subscribe
from services.identity.domain.account import LOCALES
from services.notifications.domain import delivery, rules, texts
from services.notifications.domain.rules import Notice
from services.notifications.service import NotificationsService

MOMENT = datetime(2026, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-4)))
NOTICES = [
    rules.document_deposited("doc-1", "owner-1"),
    rules.document_shared("doc-1", "owner-1", "caf-martinique", MOMENT),
    rules.retention_ended("doc-1", "owner-1", "TRANSFER"),
    rules.document_destroyed("doc-1", "owner-1"),
    rules.export_ready("doc-1", "owner-1", MOMENT),
    rules.erasure_requested("doc-1", "owner-1", MOMENT),
    rules.erasure_cancelled("doc-1", "owner-1"),
    rules.document_refused("doc-1", "owner-1", "MALWARE"),
    rules.document_unpacked("doc-1", "owner-1", 41, 1),
    rules.version_deposited("doc-1", "owner-1", 2),
    rules.version_refused("doc-1", "owner-1", 2, "MALWARE"),
    rules.document_damaged("doc-1", "owner-1", 2),
    *rules.shared_with_person("doc-1", "owner-1", "person-1", MOMENT),
    rules.box_opened("doc-1", "owner-1", "caf-martinique", MOMENT),
    rules.depositor_reminded("doc-1", "owner-1", "caf-martinique", MOMENT, 2),
    rules.hand_in_refused("box-1", "owner-1", "caf-martinique", "doc-1"),
    Notice(
        "invitation-1",
        rules.INVITATION,
        "",
        {
            "invitation_id": "doc-1",
            "organisation_name": "Ville d’Essai",
            "until": "01/01/2027",
            "url": "https://api.example.org",
        },
    ),
]


def subscribed() -> set[str]:
    """The events that notifications has a handler of."""
    methods = vars(NotificationsService).values()
    return {
        entrypoint.event.DESCRIPTOR.name
        for method in methods
        for entrypoint in getattr(method, "nameko_entrypoints", ())
        if isinstance(entrypoint, Subscribe)
    }


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.kind)
@pytest.mark.parametrize("locale", [*LOCALES, "xx", ""])
def test_every_kind_has_a_text_in_every_language(notice: Notice, locale: str) -> None:
    text = texts.render(notice.kind, notice.parameters, locale)
    letter = texts.letter(notice.kind, notice.parameters, locale, "Joséphine {x}")
    for written in (text, letter):
        assert written.subject
        assert "{" not in written.subject
        assert "doc-1" in written.body
    assert "Joséphine {x}" in letter.body
    assert text.body in letter.body
    assert "\n" not in letter.subject


def test_every_kind_of_text_is_told_by_a_rule() -> None:
    assert {notice.kind for notice in NOTICES} == texts.kinds()


def test_every_subscribed_event_has_a_text() -> None:
    assert subscribed()
    # The one about which nobody is left to be told.
    assert subscribed() - {"ErasureStarted"} <= texts.kinds()


def test_french_is_what_a_language_without_its_own_text_reads() -> None:
    notice = NOTICES[0]
    french = texts.render(notice.kind, notice.parameters, "fr")
    assert texts.render(notice.kind, notice.parameters, "gcf") == french
    assert texts.render(notice.kind, notice.parameters, "en") != french


def test_an_unknown_kind_or_a_missing_parameter_is_an_error() -> None:
    with pytest.raises(KeyError):
        texts.render("Nothing", {}, "fr")
    with pytest.raises(KeyError):
        texts.render("DocumentShared", {"document_id": "doc-1"}, "fr")


def test_a_parameter_is_a_value_and_never_a_template() -> None:
    text = texts.render("DocumentDeposited", {"document_id": "{name.__class__}"}, "fr")
    assert "{name.__class__}" in text.body


def test_a_notice_is_for_the_owner_and_tells_the_day_in_utc() -> None:
    shared = NOTICES[1]
    assert (shared.account_id, shared.entity_id) == ("owner-1", "doc-1")
    assert shared.parameters["until"] == "01/01/2027"


def test_a_failed_delivery_waits_longer_each_time_and_is_given_up() -> None:
    pauses = [delivery.pause(attempts) for attempts in range(1, delivery.MAX_ATTEMPTS)]
    known = [pause for pause in pauses if pause is not None]
    assert len(known) == len(pauses)
    assert known == sorted(known)
    assert known[0] == delivery.FIRST_PAUSE
    assert known[-1] == delivery.LONGEST_PAUSE
    assert delivery.pause(delivery.MAX_ATTEMPTS) is None
    assert delivery.pause(delivery.MAX_ATTEMPTS + 1) is None


@pytest.mark.parametrize("locale", ["fr", "en"])
def test_every_reason_of_a_refusal_has_words_of_its_own(locale: str) -> None:
    words = [name.removeprefix("REFUSAL_REASON_") for name in RefusalReason.keys()]  # noqa: SIM118
    told = {
        texts.render("DocumentRefused", {"document_id": "d", "reason": word}, locale).body
        for word in words
    }
    # UNSPECIFIED and UNCHECKABLE share theirs.
    assert len(told) == len(words) - 1
