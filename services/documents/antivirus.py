"""The antivirus: ClamAV's daemon, which is sent a document and says what it finds.

`clamav-client` speaks the same protocol, but sends 1 KiB at a time, takes a connection that was
closed without an answer for no finding, and loses the answer to a document that is too large.
"""

import logging
import select
import socket
import struct
import time
from collections.abc import Iterable
from typing import Protocol

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import telemetry
from backbone.errors import Unavailable
from backbone.settings import PREFIX
from services.documents.checks.pipeline import Finding

log = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024
CONNECT_SECONDS = 3.0
# An answer is one line with the name of a signature.
MAX_ANSWER_BYTES = 4096
# What it says, with `AlertExceedsMax`, of what it did not look at.
LIMITS = "Heuristics.Limits.Exceeded"


class AntivirusSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}ANTIVIRUS_")

    address: str = Field(description="of clamd: host:port, or unix:/path")
    max_bytes: int = Field(
        default=100 * 1024 * 1024,
        ge=1,
        description="what is sent to it: at most its StreamMaxLength and MaxFileSize",
    )
    timeout: float = Field(
        default=180.0, gt=0, description="seconds that a scan may take: more than its MaxScanTime"
    )

    @field_validator("address")
    @classmethod
    def _address(cls, address: str) -> str:
        _, _, port = address.rpartition(":")
        if not address.startswith("unix:/") and not port.isdigit():
            raise ValueError("is neither host:port nor unix:/path")
        return address


class Antivirus(Protocol):
    """What the checks need of an antivirus, which scans at most `max_bytes` of a document."""

    max_bytes: int

    def scan(self, chunks: Iterable[bytes]) -> Finding:
        """What it finds in a document; it may stop reading the chunks before their end.

        Raises:
            Unavailable: it did not answer, or not in time: nothing is known.
        """

    def missing(self) -> str | None:
        """Why it cannot be asked; None when it can."""


class Clamd:
    """An `Antivirus` that speaks to clamd (clamd(8), INSTREAM). It must have `AlertExceedsMax`."""

    def __init__(self, settings: AntivirusSettings) -> None:
        self._settings = settings
        self.max_bytes = settings.max_bytes

    def scan(self, chunks: Iterable[bytes]) -> Finding:
        deadline = time.monotonic() + self._settings.timeout
        sent = 0
        with telemetry.client_span("clamd INSTREAM"):
            try:
                with self._connect() as connection:
                    connection.sendall(b"zINSTREAM\0")
                    for chunk in chunks:
                        sent += len(chunk)
                        if sent > self._settings.max_bytes:
                            return Finding.BEYOND
                        if not _send(connection, chunk, deadline):
                            break
                    else:
                        _limit(connection, deadline)
                        connection.sendall(struct.pack("!L", 0))
                    return _finding(_answer(connection, deadline))
            except OSError as error:
                raise _unavailable(type(error).__name__) from error

    def missing(self) -> str | None:
        try:
            with self._connect() as connection:
                connection.sendall(b"zPING\0")
                answer = _answer(connection, time.monotonic() + CONNECT_SECONDS)
        except (OSError, Unavailable) as error:
            return f"the antivirus does not answer ({type(error).__name__}): deposits wait"
        return None if answer == "PONG" else "the antivirus answers something else than PONG"

    def _connect(self) -> socket.socket:
        address = self._settings.address
        if address.startswith("unix:"):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(CONNECT_SECONDS)
            try:
                connection.connect(address.removeprefix("unix:"))
            except OSError:
                connection.close()
                raise
            return connection
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS)


def _send(connection: socket.socket, chunk: bytes, deadline: float) -> bool:
    """Sends a chunk; False when clamd has answered before its end, which ends the stream."""
    for start in range(0, len(chunk), PIECE_BYTES):
        if select.select([connection], [], [], 0)[0]:
            return False
        _limit(connection, deadline)
        piece = chunk[start : start + PIECE_BYTES]
        connection.sendall(struct.pack("!L", len(piece)) + piece)
    return True


def _answer(connection: socket.socket, deadline: float) -> str:
    answer = b""
    while not answer.endswith(b"\0") and len(answer) < MAX_ANSWER_BYTES:
        _limit(connection, deadline)
        part = connection.recv(MAX_ANSWER_BYTES)
        if not part:
            raise _unavailable("it closed the connection")
        answer += part
    return answer.rstrip(b"\0").decode(errors="replace")


def _limit(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _finding(answer: str) -> Finding:
    if answer == "stream: OK":
        return Finding.CLEAN
    if answer.endswith(" FOUND"):
        name = answer.removeprefix("stream: ").removesuffix(" FOUND")
        if name.startswith(LIMITS):
            return Finding.BEYOND
        log.warning("the antivirus found %s", name)
        return Finding.INFECTED
    if "size limit exceeded" in answer:
        log.warning("clamd's StreamMaxLength is less than BACKBONE_ANTIVIRUS_MAX_BYTES")
        return Finding.BEYOND
    raise _unavailable(answer)


def _unavailable(why: str) -> Unavailable:
    log.warning("antivirus: %s", why)
    return Unavailable("The antivirus does not answer.")
