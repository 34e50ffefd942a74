"""The mailbox of the local stack, as whoever got the mail would read it."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

from tests.support.polling import PATIENCE, eventually


class Mailbox:
    """A Maildir that a mail server writes to."""

    def __init__(self, folder: Path) -> None:
        self._new = folder / "new"
        self._known: dict[str, EmailMessage] = {}

    def to(self, recipient: str) -> list[EmailMessage]:
        """Every mail that was sent to an address."""
        for path in self._new.iterdir() if self._new.is_dir() else ():
            if path.name not in self._known:
                with path.open("rb") as file:
                    mail = email.message_from_binary_file(file, policy=email.policy.default)
                assert isinstance(mail, EmailMessage)
                self._known[path.name] = mail
        return [mail for mail in self._known.values() if mail["X-RcptTo"] == recipient]

    def wait(self, recipient: str, subject: str, within: float = PATIENCE) -> EmailMessage:
        """The first mail to an address with a subject."""
        found = eventually(
            lambda: [mail for mail in self.to(recipient) if mail["Subject"] == subject],
            within,
            f"a mail to {recipient}",
        )
        return found[0]
