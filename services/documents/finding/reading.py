"""Reading a document in a process of its own, which can do nothing else: text and first page.

What parses a stranger's bytes may be broken by them. So it runs in a process without a secret, a
network, a file or a second process (`reader/`), for so long and with so much memory; what it says
is taken for a stranger's word. Nothing is written to a disk: content goes in and out by memory.
"""

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.documents.finding.reader import limits

# A larger document is found by its name.
MAX_BYTES = 32 * 1024 * 1024
MAX_IMAGE_BYTES = 128 * 1024
WALL_SECONDS = 20.0
_COMMAND = (sys.executable, "-I", "-m", "services.documents.finding.reader")


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
    with _memory("given") as given, _memory("said") as said:
        for chunk in chunks:
            _write(given, chunk)
        os.lseek(given, 0, os.SEEK_SET)
        _run([*command, media_type], given, said)
        return _parsed(os.pread(said, limits.OUTPUT_BYTES + 1, 0))


def _run(command: list[str], given: int, said: int) -> None:
    process = subprocess.Popen(
        command,
        stdin=given,
        stdout=said,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    try:
        code = process.wait(WALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise Unreadable("it took too long", worth_another=True) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code == limits.NOT_READABLE:
        raise Unreadable("it is damaged, or locked", worth_another=False)
    if code:
        raise Unreadable(f"the reader ended with {code}", worth_another=True)


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


@contextmanager
def _memory(name: str) -> Iterator[int]:
    """A file that is in memory alone."""
    descriptor = os.memfd_create(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
