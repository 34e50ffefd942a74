"""Watermarks: who got a document and when, on each of its pages, made anew for each reading."""

import logging
import subprocess
import threading
from datetime import UTC, datetime

from backbone.errors import InvalidInput, TooMany, Unavailable
from backbone.tokens import Caller
from services.documents import confined
from services.documents.content_row import ContentRow
from services.documents.sharing.shares import ShareRow

log = logging.getLogger(__name__)

MAX_BYTES = 20 * 1024 * 1024
# From its beginning to its end: more than the program may compute for.
SECONDS = 30
# One at a time in a process, for its memory; how long another waits for its turn.
TURN, WAIT_SECONDS = threading.Lock(), 10
STAMPING = "services.documents.sharing.stamping"
KINDS = {"application/pdf": "pdf", "image/jpeg": "jpeg", "image/png": "png"}


class NotStamped(Exception):
    """The document cannot be written on: damaged, with a password, too many pages or pixels."""


def require_kind(row: ContentRow) -> None:
    """Raises:
    InvalidInput: a document of this type or size can have no watermark.
    """
    if row.media_type.lower() not in KINDS:
        raise InvalidInput.field(
            "watermark", "MEDIA_TYPE", f"leave it out: only {', '.join(KINDS)} can have one"
        )
    if row.size_bytes > MAX_BYTES:
        raise InvalidInput.field(
            "watermark", "TOO_LARGE", f"leave it out: only up to {MAX_BYTES} bytes can have one"
        )


def words(share: ShareRow, reader: Caller) -> str:
    """What is written: a name or an administration, and the day."""
    whom = share.administration or " ".join(reader.name.split()) or reader.subject
    return f"Transmis à {whom} le {datetime.now(UTC):%d/%m/%Y}"


def stamped(row: ContentRow, content: bytes, text: str) -> bytes:
    """The content with a text on each page.

    Raises:
        NotStamped: it cannot have one. TooMany: too many are made now.
        Unavailable: it took too long.
    """
    if not TURN.acquire(timeout=WAIT_SECONDS):
        raise TooMany("Too many watermarks are made now.", metadata={"retry_after": "5"})
    try:
        program = confined.command(STAMPING, KINDS[row.media_type.lower()])
        code, marked = confined.run(program, (text.encode() + b"\n", content), SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("document %s: its watermark took too long", row.told_id)
        raise Unavailable("The watermark took too long.", reason="WATERMARK_FAILED") from None
    finally:
        TURN.release()
    if code:
        # A signal's number below zero: more memory or time than it may take.
        log.warning("document %s: no watermark (%d)", row.told_id, code)
        raise NotStamped
    return marked
