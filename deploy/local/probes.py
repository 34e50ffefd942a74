"""Asking a component whether it is healthy, and waiting until it is."""

import smtplib
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from deploy.local.component import Probe

TIMEOUT = 3.0  # seconds for one question
PAUSE = 0.1  # seconds between two


def http_ok(url: str) -> Probe:
    """Healthy when GET `url` answers 200."""

    def probe() -> str | None:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 - our own address
                return None if answer.status == 200 else f"{url} answered {answer.status}"
        except urllib.error.HTTPError as error:
            return f"{url} answered {error.code}: {error.read(200).decode(errors='replace')}"
        except OSError as error:
            return f"{url}: {error}"

    return probe


def smtp_ok(host: str, port: int) -> Probe:
    """Healthy when a mail server greets."""

    def probe() -> str | None:
        try:
            with smtplib.SMTP(host, port, timeout=TIMEOUT) as server:
                code, words = server.noop()
                return None if code == 250 else f"{code} {words!r}"
        except (OSError, smtplib.SMTPException) as error:
            return str(error)

    return probe


def wait_for(probe: Probe, patience: float, still: Callable[[str, float], None]) -> None:
    """Return as soon as `probe` is healthy; TimeoutError with its last answer when `patience`
    seconds have passed.

    `still(answer, waited)` is called after each answer that is not yet good: it may tell, or raise
    to give up.
    """
    began = time.monotonic()
    while (answer := probe()) is not None:
        waited = time.monotonic() - began
        if waited > patience:
            raise TimeoutError(answer)
        still(answer, waited)
        time.sleep(PAUSE)
