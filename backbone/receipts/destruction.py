"""What a certificate of a destruction says: lines of text, signed as a note by the log's key.

    backbone destruction v1
    document: 6f1c2c1e-0f60-4a5c-9a3e-0d2c6a1b7f10
    cause: RETENTION_ENDED
    destroyed: 2036-11-24T15:04:05.123456Z
    deposited: 2026-11-24T15:04:05.123456Z
    size: 421
    sha256: 0b1f…
    leaf: 1207
    class: comptable
    basis: Code de commerce, article L123-22
    version: 1 2026-11-20T09:00:00.000000Z 398 77c2… 1154

What a document did not have is ``-``. The last line is there for each other version that went with
it: its number, when it was deposited, its size, its SHA-256 and its leaf. The first line, and the
words before each value, keep it from being read as a checkpoint, which the same key signs (C2SP
signed-note).
"""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from administration.documents.v1 import retention_pb2

from backbone.receipts.notes import NoteError

TITLE = "backbone destruction v1"
NONE = "-"
_NAMES = (
    "document", "cause", "destroyed", "deposited", "size", "sha256", "leaf", "class", "basis",
)  # fmt: skip
_VERSION = re.compile(r"version: (\d+) (\S+) (\d+) (\S+) (\S+)\n", re.ASCII)
_TEXT = re.compile(
    re.escape(TITLE)
    + "\n"
    + "".join(rf"{name}: (?P<{name}>.+)\n" for name in _NAMES)
    + r"(?P<others>(version: .+\n)*)"
)
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Other:
    """A version beside the one that the document showed, as below."""

    version: int
    deposit_time: datetime
    size_bytes: int
    sha256: str
    leaf_index: int | None

    def text(self) -> str:
        values = (
            self.version,
            _written(self.deposit_time),
            self.size_bytes,
            self.sha256,
            NONE if self.leaf_index is None else self.leaf_index,
        )
        return f"version: {' '.join(map(str, values))}\n"


@dataclass(frozen=True, slots=True)
class Statement:
    """The last facts of a document; "" and None for what it did not have."""

    document_id: str
    # A word of the contract's `DestructionCause`.
    cause: str
    destroy_time: datetime
    deposit_time: datetime
    size_bytes: int
    # Lower-case hexadecimal.
    sha256: str
    leaf_index: int | None
    retention_class: str
    basis: str
    others: tuple[Other, ...] = ()

    def sha256s(self) -> set[str]:
        """Of every version."""
        return {self.sha256, *(other.sha256 for other in self.others)}

    def text(self) -> str:
        values = (
            self.document_id,
            self.cause,
            _written(self.destroy_time),
            _written(self.deposit_time),
            self.size_bytes,
            self.sha256,
            NONE if self.leaf_index is None else self.leaf_index,
            self.retention_class or NONE,
            self.basis or NONE,
        )
        lines = (f"{name}: {value}\n" for name, value in zip(_NAMES, values, strict=True))
        others = (other.text() for other in self.others)
        return f"{TITLE}\n{''.join(lines)}{''.join(others)}"

    def to_proto(self) -> retention_pb2.Destruction:
        """Without the certificate and its key."""
        message = retention_pb2.Destruction(
            document_id=self.document_id,
            cause=retention_pb2.DestructionCause.Value(f"DESTRUCTION_CAUSE_{self.cause}"),
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            leaf_index=self.leaf_index,
            retention_class=self.retention_class,
            basis=self.basis,
        )
        message.destroy_time.FromDatetime(self.destroy_time)
        message.deposit_time.FromDatetime(self.deposit_time)
        return message


def stated(note: str) -> Statement:
    """What a certificate says, whoever signed it.

    Raises:
        NoteError: it is no certificate of a destruction.
    """
    text = note.rpartition("\n\n")[0] + "\n"
    found = _TEXT.fullmatch(text)
    if found is None:
        raise NoteError("it is not a certificate of a destruction")
    said = found.groupdict()
    try:
        statement = Statement(
            document_id=str(uuid.UUID(said["document"])),
            cause=said["cause"],
            destroy_time=_read(said["destroyed"]),
            deposit_time=_read(said["deposited"]),
            size_bytes=int(said["size"]),
            sha256=said["sha256"],
            leaf_index=_leaf(said["leaf"]),
            retention_class=_absent(said["class"]),
            basis=_absent(said["basis"]),
            others=tuple(
                Other(int(number), _read(deposited), int(size), sha256, _leaf(leaf))
                for number, deposited, size, sha256, leaf in _VERSION.findall(said["others"])
            ),
        )
        retention_pb2.DestructionCause.Value(f"DESTRUCTION_CAUSE_{statement.cause}")
    except ValueError:
        raise NoteError("the certificate says what cannot be") from None
    # One way to say it: what reads the same is the same.
    if statement.text() != text:
        raise NoteError("the certificate is not written as they are")
    return statement


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_TIME)


def _read(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def _leaf(text: str) -> int | None:
    return None if text == NONE else int(text)


def _absent(text: str) -> str:
    return "" if text == NONE else text
