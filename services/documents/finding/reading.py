"""Reading a document in a process of its own, which can do nothing else: text and first page.

What parses a stranger's bytes may be broken by them. So it runs as a program of its own
(`services/documents/confined.py`), without a network, a file or a second process (`reader/`), for
so long and with so much memory; what it says is taken for a stranger's word.
"""

import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from services.documents import confined
from services.documents.finding.reader import limits
from services.documents.finding.reader.kinds import module_of

# A larger document is found by its name.
MAX_BYTES = 32 * 1024 * 1024
MAX_IMAGE_BYTES = 128 * 1024
WALL_SECONDS = 20.0
NICENESS = 10
_COMMAND = confined.command("services.documents.finding.reader")


@dataclass(frozen=True, slots=True)
class Found:
    """What a document says, and its first page as a WebP image; empty where there is none."""

    text: str = ""
    image: bytes = b""


NOTHING = Found()


class Unreadable(Exception):
    """The document could not be read; `worth_another` when that may have been the machine."""

    def __init__(self, why: str, *, worth_another: bool) -> None:
        super().__init__(why)
        self.worth_another = worth_another


def read(media_type: str, chunks: Iterable[bytes], command: Iterable[str] = _COMMAND) -> Found:
    """Raises:
    Unreadable: it is damaged, locked by a password, or took more than it may. Whatever `chunks`
    raises passes through.
    """
    rest = iter(chunks)
    first = next(rest, b"")
    module = module_of(media_type, first)
    if module is None:
        return NOTHING
    try:
        code, said = confined.run(
            [*command, module], chain([first], rest), WALL_SECONDS, niceness=NICENESS
        )
    except subprocess.TimeoutExpired:
        raise Unreadable("it took too long", worth_another=True) from None
    if code == limits.NOT_READABLE:
        raise Unreadable("it is damaged, or locked", worth_another=False)
    if code:
        raise Unreadable(f"the reader ended with {code}", worth_another=True)
    return _parsed(said)


def _parsed(said: bytes) -> Found:
    try:
        (length,) = struct.unpack_from(">I", said)
        text, image = said[4 : 4 + length], said[4 + length :]
        found = Found(text.decode()[: limits.TEXT_BYTES], image)
    except (struct.error, UnicodeDecodeError):
        raise Unreadable("the reader said nonsense", worth_another=False) from None
    webp = image[:4] == b"RIFF" and image[8:12] == b"WEBP"
    if len(text) != length or len(text) > limits.TEXT_BYTES or (image and not webp):
        raise Unreadable("the reader said nonsense", worth_another=False)
    return found if len(image) <= MAX_IMAGE_BYTES else Found(found.text)
