"""E-mails, against a mail server that refuses in every way."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from services.notifications.domain.text import Text
from services.notifications.mailer import MailError, SmtpMailer, SmtpSettings
from tests.support.processes import free_port

TEXT = Text("Votre document est partagé", "Bonjour,\n\nÀ bientôt.\n")


class Server:
    """Takes mail, unless `answer` says otherwise."""

    def __init__(self) -> None:
        self.answer = "250 OK"
        self.letters: list[Any] = []

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.letters.append(envelope)
        return "250 OK"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def mailer(server: Server) -> Iterator[SmtpMailer]:
    controller = Controller(server, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield SmtpMailer(settings(controller.port))
    controller.stop()


def settings(port: int) -> SmtpSettings:
    return SmtpSettings(host="127.0.0.1", port=port, password=SecretStr(""), timeout=5)


def send(mailer: SmtpMailer, name: str = "Joséphine", address: str = "j@courriel.example") -> None:
    mailer.send("delivery-1", name, address, TEXT)


def test_a_mail_is_what_it_should_be_and_names_its_delivery(
    mailer: SmtpMailer, server: Server
) -> None:
    send(mailer)
    (letter,) = server.letters
    assert letter.rcpt_tos == ["j@courriel.example"]
    content = letter.content.decode()
    assert "Message-ID: <delivery-1@administration.invalid>" in content
    assert "Auto-Submitted: auto-generated" in content


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [("550 no such user", True), ("450 try later", False), ("452 full", False)],
)
def test_a_refused_recipient_is_permanent_only_if_the_server_says_so(
    mailer: SmtpMailer, server: Server, answer: str, permanent: bool
) -> None:
    server.answer = answer
    with pytest.raises(MailError) as refused:
        send(mailer)
    assert refused.value.permanent is permanent
    assert "courriel" not in str(refused.value)


def test_a_server_that_does_not_answer_is_tried_again() -> None:
    with pytest.raises(MailError) as refused:
        send(SmtpMailer(settings(free_port())))
    assert refused.value.permanent is False


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("Joséphine", "joséphine@courriel.example"),
        ("Joséphine\r\nBcc: everybody@courriel.example", "j@courriel.example"),
        ("Joséphine", "j@courriel.example\r\nBcc: everybody@courriel.example"),
        ("\ud800", "j@courriel.example"),
    ],
)
def test_a_mail_that_cannot_be_written_is_refused_for_good(
    mailer: SmtpMailer, server: Server, name: str, address: str
) -> None:
    with pytest.raises(MailError) as refused:
        send(mailer, name, address)
    assert refused.value.permanent
    assert server.letters == []
