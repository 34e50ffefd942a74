"""The mailbox of the local stack, read back."""

import email
import email.policy
import time
from email.message import EmailMessage
from pathlib import Path

from deploy.demo.narrator import StepError


def wait(maildir: Path, recipient: str, text: str, seconds: float) -> EmailMessage:
    """The e-mail to `recipient` whose body holds `text`, when it is there.

    Raises:
        StepError: it is not within so many seconds.
    """
    deadline, seen = time.monotonic() + seconds, set()
    while time.monotonic() < deadline:
        for path in [*(maildir / "new").iterdir(), *(maildir / "cur").iterdir()]:
            if path in seen:
                continue
            seen.add(path)
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            body = message.get_body(("plain",))
            if recipient in str(message["To"]) and body and text in body.get_content():
                return message
        time.sleep(0.05)
    raise StepError(f"no e-mail about {text} within {seconds} s")
