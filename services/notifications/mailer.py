"""E-mail over SMTP (RFC 5321)."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formataddr, formatdate
from typing import Protocol

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import telemetry
from backbone.settings import PREFIX, load
from services.notifications.domain.text import Text


class SmtpSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}SMTP_")

    host: str
    port: int = 25
    starttls: bool = False
    username: str = ""
    password: SecretStr = SecretStr("")
    sender: str = "ne-pas-repondre@administration.invalid"
    timeout: float = 10.0


class MailError(Exception):
    """The server did not take the mail. `permanent` when it never will (5xx on the recipient)."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class Mailer(Protocol):
    def send(self, delivery_id: str, name: str, address: str, text: Text) -> None:
        """Hands one e-mail to the server.

        The Message-ID is the delivery's: a second sending after a crash is the same message.

        Raises:
            MailError: the server did not take it.
        """


class SmtpMailer:
    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    def send(self, delivery_id: str, name: str, address: str, text: Text) -> None:
        settings = self._settings
        try:
            mail = self._mail(delivery_id, name, address, text)
        except ValueError as error:
            # A line break or a character that no header has: no other attempt will mend it.
            raise MailError("it cannot be written", permanent=True) from error
        try:
            with (
                telemetry.client_span("SMTP"),
                smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout) as smtp,
            ):
                if settings.starttls:
                    smtp.starttls(context=ssl.create_default_context())
                if settings.username:
                    smtp.login(settings.username, settings.password.get_secret_value())
                smtp.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise MailError("recipient refused", permanent=all(c >= 500 for c in codes)) from error
        except (smtplib.SMTPException, OSError) as error:
            raise MailError(type(error).__name__, permanent=False) from error

    def _mail(self, delivery_id: str, name: str, address: str, text: Text) -> EmailMessage:
        sender = self._settings.sender
        mail = EmailMessage()
        mail["Message-ID"] = f"<{delivery_id}@{sender.rpartition('@')[2]}>"
        mail["Date"] = formatdate()
        mail["From"] = sender
        mail["To"] = formataddr((name, address))
        mail["Subject"] = text.subject
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text.body)
        return mail


class Mail(DependencyProvider):  # type: ignore[misc]
    """Injects the `Mailer`."""

    def setup(self) -> None:
        self._mailer = SmtpMailer(load(SmtpSettings))

    def get_dependency(self, worker_ctx: WorkerContext) -> Mailer:
        return self._mailer
