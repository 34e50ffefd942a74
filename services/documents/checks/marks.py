"""Marks in the bytes: formats hidden in another one, scripts, macros, encryption."""

import re
from collections.abc import Iterable, Iterator, Sequence

from services.documents.checks import kinds
from services.documents.checks.verdict import Reason, Refused, Remark

# Longer than any mark, so that none is missed between two chunks.
OVERLAP = 256
TAIL_BYTES = 65_535 + 22
# As far as programs look for what a file begins with.
NEAR_BYTES = 1024

_PDF = re.compile(rb"%PDF-")
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|iframe|\?php)\b", re.IGNORECASE)
# `GIF89a=1;` and `GIF89a/*`: an assignment or a comment, and an image of an absurd width.
_SCRIPTED_MARK = re.compile(rb"\w{2,6}\s*(?:=[ -~]|/\*)")
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_WORD = "_VBA_PROJECT".encode("utf-16-le")
_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_SCRIPT = re.compile(
    rb"<(?:\w+:)?(?:script|foreignobject|iframe|embed|object|handler)\b"
    rb"|[\s\"'/]on[a-z]{3,}\s*=|javascript\s*:|<!entity\b|data\s*:\s*text/html",
    re.IGNORECASE,
)
_PDF_ACTIVE = re.compile(rb"/(?:JavaScript|Launch|RichMedia)\b")
_PDF_ENCRYPTED = re.compile(rb"/Encrypt\b")


def hidden(kind: str | None, head: bytes, tail: bytes, files: Sequence[range] = ()) -> None:
    """Refuses a file that another program would open as something else.

    `head` and `tail` are its first `kinds.HEAD_BYTES` and its last TAIL_BYTES, or all of it;
    `files` is where an archive has its files: what begins there is the archive's own.

    Raises:
        Refused: it is a polyglot.
    """
    # Readers of PDF look for its beginning in the first KiB, whatever comes before.
    place = _first(_PDF, head, files)
    if place > 0 and head[:place].strip(b"\xef\xbb\xbf \t\r\n\0"):
        raise Refused(Reason.POLYGLOT, "a PDF begins after something else")
    if kind is None:
        return
    textual = (kinds.HTML, kinds.SVG, kinds.XML)
    if kind not in textual and _first(_PAGE, head, files) >= 0:
        raise Refused(Reason.POLYGLOT, f"a page begins in a {kind}")
    if kind in kinds.IMAGES and _SCRIPTED_MARK.match(head):
        raise Refused(Reason.POLYGLOT, f"a script begins with the mark of a {kind}")
    if kind in (kinds.PDF, *kinds.IMAGES, *textual) and _archived(tail, exact=kind == kinds.PDF):
        raise Refused(Reason.POLYGLOT, f"an archive ends a {kind}")


def _first(mark: re.Pattern[bytes], head: bytes, files: Sequence[range]) -> int:
    """Where a mark is in the first KiB, outside the files of an archive; -1 when it is not."""
    places = (found.start() for found in mark.finditer(head[:NEAR_BYTES]))
    return next((place for place in places if not any(place in file for file in files)), -1)


def _archived(tail: bytes, *, exact: bool) -> bool:
    """Whether a ZIP archive ends here. `exact`: at the very end, as a PDF may hold an archive as
    an attachment.
    """
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + 22:
        return False
    directory = int.from_bytes(tail[place + 12 : place + 16], "little")
    end = place + 22 + int.from_bytes(tail[place + 20 : place + 22], "little")
    beginning = tail[place - directory :] if directory <= place else b""
    real = directory > place or beginning.startswith(b"PK\x01\x02") or directory == 0
    return real and (not exact or end >= len(tail))


class Marks:
    """Looks at a document as it passes: `seen` holds the remarks so far, `scripted` whether it is
    an image with a script.
    """

    def __init__(self, kind: str | None) -> None:
        self._kind = kind
        self.seen: set[Remark] = set()
        self.scripted = False

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks."""
        rest = b""
        for chunk in chunks:
            window = rest + chunk
            self._look(window)
            rest = window[-OVERLAP:]
            yield chunk

    def _look(self, window: bytes) -> None:
        if self._kind == kinds.PDF:
            plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), window)
            if _PDF_ACTIVE.search(plain):
                self.seen.add(Remark.ACTIVE_CONTENT)
            if _PDF_ENCRYPTED.search(plain):
                self.seen.add(Remark.ENCRYPTED)
        elif self._kind == kinds.OLE:
            if _WORD in window:
                self.seen.add(Remark.MACROS)
            if _PACKAGE in window:
                self.seen.add(Remark.ENCRYPTED)
        elif self._kind == kinds.SVG:
            # UTF-16 is the same letters with zeros between.
            self.scripted |= _SCRIPT.search(window.replace(b"\0", b"")) is not None
        elif self._kind in (kinds.HTML, kinds.XML) and _SCRIPT.search(window.replace(b"\0", b"")):
            self.seen.add(Remark.ACTIVE_CONTENT)
