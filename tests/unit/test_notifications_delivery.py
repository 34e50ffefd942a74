"""What becomes of an e-mail, on fakes of everything around it."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from administration.identity.v1.identity_pb2 import GetContactResponse
from administration.identity.v1.organisations_pb2 import GetInvitationLetterResponse

from backbone.errors import Unavailable
from backbone.settings import EventSettings
from services.notifications.deliveries import DeliveryRow, State
from services.notifications.domain import delivery as backoff
from services.notifications.domain.text import Text
from services.notifications.mailer import MailError
from services.notifications.service import NotificationsService
from tests.unit.test_errors import FailedCall

CONTACT = GetContactResponse(display_name="Joséphine", email="j@courriel.example", locale="fr")


def answer(value: Any) -> Callable[..., Any]:
    """A call that returns `value`, or raises it."""

    def call(*_: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return call


@dataclass
class Mailer:
    """Takes mail, unless it was given an error."""

    error: Exception | None = None
    sent: list[tuple[str, str, str, Text]] = field(default_factory=list)

    def send(self, delivery_id: str, name: str, address: str, text: Text) -> None:
        if self.error:
            raise self.error
        self.sent.append((delivery_id, name, address, text))


@dataclass
class Sending:
    """One delivery, and what it meets."""

    contact: Any = None
    invitation: Any = None
    mailer: Mailer = field(default_factory=Mailer)
    kind: str = "DocumentDeposited"
    attempts: int = 0
    published: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.row = DeliveryRow(
            delivery_id=uuid.uuid4(),
            account_id=uuid.uuid4(),
            kind=self.kind,
            parameters={"document_id": "doc-1"},
            traceparent="",
            state=State.PENDING,
            attempts=self.attempts,
        )
        service: Any = NotificationsService()
        service.identity = SimpleNamespace(
            get_contact=answer(self.contact or CONTACT),
            get_invitation_letter=answer(self.invitation),
        )
        service.settings = EventSettings()
        service.mailer = self.mailer
        service.events = SimpleNamespace(publish=self.published.append)
        service._send(self.row)


def test_an_invitation_goes_to_its_address_and_names_no_account() -> None:
    letter = GetInvitationLetterResponse(email="i@courriel.example", organisation_name="Ville")
    letter.expire_time.FromJsonString("2027-01-01T00:00:00Z")
    sending = Sending(kind="MemberInvited", invitation=letter)
    ((_, name, address, text),) = sending.mailer.sent
    assert (name, address) == ("", "i@courriel.example")
    assert text.subject == "Vous êtes invité(e) à rejoindre Ville"
    assert "01/01/2027" in text.body
    assert str(sending.row.account_id) in text.body
    (event,) = sending.published
    assert event.account_id == ""
    assert "courriel" not in str(event)


def test_an_invitation_that_has_ended_is_not_sent() -> None:
    sending = Sending(kind="MemberInvited", invitation=GetInvitationLetterResponse())
    assert sending.row.state == State.UNREACHABLE
    assert sending.mailer.sent == []


def test_a_mail_that_was_taken_is_sent_and_published_without_its_address() -> None:
    sending = Sending()
    assert sending.row.state == State.SENT
    ((delivery_id, name, address, text),) = sending.mailer.sent
    assert (delivery_id, name, address) == (
        str(sending.row.delivery_id),
        "Joséphine",
        "j@courriel.example",
    )
    assert "Bonjour Joséphine" in text.body
    (event,) = sending.published
    assert event.delivery_id == delivery_id
    assert "courriel" not in str(event)


def test_a_person_without_an_address_is_unreachable() -> None:
    sending = Sending(contact=GetContactResponse(display_name="Joséphine"))
    assert sending.row.state == State.UNREACHABLE
    assert sending.mailer.sent == sending.published == []


@pytest.mark.parametrize(
    ("problem", "state"),
    [
        (MailError("full", permanent=False), State.PENDING),
        (MailError("unknown", permanent=True), State.FAILED),
        (RuntimeError("whatever"), State.PENDING),
    ],
    ids=str,
)
def test_a_mail_that_was_not_taken_is_tried_again_unless_it_never_will_be(
    problem: Exception, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        sending = Sending(mailer=Mailer(problem))
    assert (sending.row.state, sending.row.attempts) == (state, 1)
    assert sending.published == []


@pytest.mark.parametrize(
    ("problem", "state"),
    [
        (FailedCall(grpc.StatusCode.UNAVAILABLE, ""), State.PENDING),
        (FailedCall(grpc.StatusCode.NOT_FOUND, ""), State.FAILED),
        (Unavailable("The realm is down."), State.PENDING),
    ],
    ids=["identity is down", "no such person", "no token"],
)
def test_a_contact_that_cannot_be_had_now_is_asked_for_again(
    problem: Exception, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        sending = Sending(contact=problem)
    assert (sending.row.state, sending.row.attempts) == (state, 1)


def test_a_mail_that_cannot_be_worded_does_not_hold_up_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.CRITICAL):
        sending = Sending(kind="Nothing")
    assert (sending.row.state, sending.row.attempts) == (State.PENDING, 1)


def test_a_mail_is_given_up_after_its_last_attempt() -> None:
    sending = Sending(
        mailer=Mailer(MailError("full", permanent=False)), attempts=backoff.MAX_ATTEMPTS - 1
    )
    assert sending.row.state == State.FAILED
