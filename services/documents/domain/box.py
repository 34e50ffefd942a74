"""What a drop box asks for, what is missing of it, and when its depositors are reminded."""

import hashlib
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backbone.errors import Forbidden, InvalidInput, NotFound

# Before the deadline, for whoever misses something then.
REMINDERS = (timedelta(days=7), timedelta(days=1))
DEFAULT_KEEP_DAYS = 90
# The farthest deadline.
LONGEST = timedelta(days=2 * 366)
# Documents that one person hands in for one piece of a box, those that were refused too.
MAX_PER_PIECE = 20


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing that is asked for. No media types: any; 0 bytes: as many as the vault takes."""

    piece_id: str
    label: str
    required: bool
    media_types: tuple[str, ...] = ()
    max_bytes: int = 0

    def require_accepts(self, media_type: str, size_bytes: int) -> None:
        """Raises:
        InvalidInput: not a document of this type, or of this size.
        """
        if self.media_types and media_type.lower() not in self.media_types:
            accepted = ", ".join(self.media_types)
            raise InvalidInput.field(
                "document_id", "MEDIA_TYPE", f"hand in a document of one of the types {accepted}"
            )
        if self.max_bytes and size_bytes > self.max_bytes:
            raise InvalidInput.field(
                "document_id", "TOO_LARGE", f"hand in a document of at most {self.max_bytes} bytes"
            )


def pieces(asked: Iterable[Piece]) -> list[Piece]:
    """The pieces of a box, in their order.

    Raises:
        InvalidInput: two have the same identifier.
    """
    found: dict[str, Piece] = {}
    for number, piece in enumerate(asked):
        if piece.piece_id in found:
            raise InvalidInput.field(
                f"pieces[{number}].piece_id", "DUPLICATE", "must be of one piece of the box alone"
            )
        found[piece.piece_id] = piece
    return list(found.values())


def piece(of: Iterable[Piece], piece_id: str) -> Piece:
    """Raises:
    NotFound: there is none of this name.
    """
    for found in of:
        if found.piece_id == piece_id:
            return found
    raise NotFound("The box asks for no such piece.", reason="PIECE_NOT_FOUND")


def missing(of: Iterable[Piece], handed_in: Collection[str]) -> list[str]:
    """The required pieces that are not among those handed in, in their order."""
    return [item.piece_id for item in of if item.required and item.piece_id not in handed_in]


def next_reminder(
    deadline: datetime, now: datetime, before: Sequence[timedelta] = REMINDERS
) -> datetime | None:
    """When a depositor is reminded next; None: no more."""
    return min((deadline - ahead for ahead in before if deadline - ahead > now), default=None)


def require_administration(administration: str) -> str:
    """Raises:
    Forbidden: the token does not say for which administration an agent acts.
    """
    if not administration:
        raise Forbidden(
            "This needs an agent's token that names one administration.",
            reason="ADMINISTRATION_MISSING",
        )
    return administration


def new_code() -> str:
    """What lets whoever has it join a box: 256 bits, in letters that go into a link."""
    return secrets.token_urlsafe(32)


def code_hash(code: str) -> bytes:
    """What is stored of a code."""
    return hashlib.sha256(code.encode()).digest()
