"""What a deposit must be: announced, then received exactly as announced."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from backbone.errors import Conflict, FieldViolation, InvalidInput, TooLarge

# Controls, the marks that turn `exe.fdp` into `pdf.exe`, halves of characters, line separators.
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Spaces and dots around a name: `.` and `..` are no names, and others are cut by file systems.
_EDGES = re.compile(r"^[\s.]+|[\s.]+$")


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the depositor says before sending. 0 and "" mean: not told."""

    name: str
    media_type: str
    size_bytes: int = 0
    sha256: str = ""


def clean_name(name: str) -> str:
    """A file name that is safe to show and to save: NFC, no path, no control character.

    Raises:
        InvalidInput: nothing is left of it.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    # Cut to its length between the edges: what a cut leaves at the end may be an edge again.
    cleaned = _EDGES.sub("", _EDGES.sub("", visible(base))[:255])
    if not cleaned:
        raise InvalidInput.field("name", "NAME", "needs a visible character")
    return cleaned


Header = TypeVar("Header", covariant=True)


class Opening(Protocol[Header]):
    """The first message of a deposit."""

    @property
    def header(self) -> Header: ...

    def HasField(self, name: Any, /) -> bool: ...  # noqa: N802


def first_header(messages: Iterator[Opening[Header]]) -> Header:
    """What a deposit announces: its first message, which is taken.

    Raises:
        InvalidInput: it announces nothing.
    """
    first = next(messages, None)
    if first is None or not first.HasField("header"):
        raise InvalidInput.field("header", "REQUIRED", "must be the first message of a deposit")
    return first.header


class Part(Protocol):
    """A message of a deposit, after the first."""

    @property
    def chunk(self) -> bytes: ...

    def HasField(self, name: Any, /) -> bool: ...  # noqa: N802


def chunks(parts: Iterable[Part]) -> Iterator[bytes]:
    """What the messages carry, up to the one that says that all was sent.

    Raises:
        InvalidInput: a message carries nothing. Conflict: they ended without saying so.
    """
    for part in parts:
        if part.HasField("end"):
            return
        if not part.HasField("chunk"):
            raise InvalidInput.field("chunk", "REQUIRED", "must be every message after the first")
        yield part.chunk
    # grpc may end the requests of a call that is cancelled as if the caller had finished.
    raise Conflict("The upload ended without its end.", reason="TRUNCATED")


def visible(text: str) -> str:
    """What a person typed, in NFC, without characters that hide or turn what is shown."""
    kept = (char for char in text if unicodedata.category(char) not in _INVISIBLE)
    return unicodedata.normalize("NFC", "".join(kept))


class Intake:
    """Counts and hashes what arrives, and refuses what is not what was announced.

    Iterate it once; `size_bytes` and `sha256` are known when it is exhausted.
    """

    def __init__(self, announced: Announcement, chunks: Iterable[bytes], max_bytes: int) -> None:
        if announced.size_bytes > max_bytes:
            raise _too_large(max_bytes)
        self._announced = announced
        self._chunks = chunks
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        """Raises:
        TooLarge, InvalidInput: as soon as what arrives cannot be what was announced.
        Conflict: the upload ended early.
        """
        announced = self._announced
        for chunk in self._chunks:
            self.size_bytes += len(chunk)
            if self.size_bytes > self._max_bytes:
                raise _too_large(self._max_bytes)
            if announced.size_bytes and self.size_bytes > announced.size_bytes:
                raise InvalidInput.field(
                    "size_bytes", "SIZE", f"more than the announced {announced.size_bytes} arrived"
                )
            self._digest.update(chunk)
            yield chunk
        if not self.size_bytes:
            raise InvalidInput.field("chunk", "EMPTY", "an empty document cannot be deposited")
        if announced.size_bytes and self.size_bytes < announced.size_bytes:
            raise Conflict(
                f"The upload ended after {self.size_bytes} of {announced.size_bytes} bytes.",
                reason="TRUNCATED",
            )
        if announced.sha256 and announced.sha256 != self.sha256:
            raise InvalidInput.field(
                "sha256", "SHA256", "is not the SHA-256 of what arrived; send the document again"
            )

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal."""
        return self._digest.hexdigest()


def _too_large(max_bytes: int) -> TooLarge:
    description = f"a document holds at most {max_bytes} bytes"
    return TooLarge(description, fields=[FieldViolation("size_bytes", "TOO_LARGE", description)])
