"""What is to become of each file of an archive."""

import mimetypes
import zipfile
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import PurePosixPath

from backbone.errors import InvalidInput
from services.documents.checks.archives import closed
from services.documents.domain.deposit import Announcement, clean_name
from services.documents.domain.order import clean_folder

# What systems put into archives by themselves.
_CLUTTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_UTF8 = 0x800
_MEDIA_TYPE = "application/octet-stream"


class Problem(StrEnum):
    """Why a file does not become a document; the words of `EntryProblem` in the contract."""

    EMPTY = "EMPTY"
    TOO_LARGE = "TOO_LARGE"
    ENCRYPTED = "ENCRYPTED"
    NOT_OPENED = "NOT_OPENED"
    DAMAGED = "DAMAGED"
    NAME = "NAME"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"


class Unfit(Exception):
    """A file does not become a document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def files(entries: Iterable[zipfile.ZipInfo]) -> Iterator[tuple[int, zipfile.ZipInfo]]:
    """The files that somebody put there, each with its place in the archive, from 1."""
    for number, entry in enumerate(entries, 1):
        parts = PurePosixPath(path(entry)).parts
        if not entry.is_dir() and parts and not set(parts) & set(_CLUTTER):
            yield number, entry


def path(entry: zipfile.ZipInfo) -> str:
    """As its author wrote it. Without the mark of UTF-8 a name has any encoding: mostly UTF-8 all
    the same, else that of Windows in French.
    """
    name = entry.filename
    if not entry.flag_bits & _UTF8:
        # zipfile takes it for code page 437, in which each byte is a character.
        raw = name.encode("cp437", "replace")
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            name = raw.decode("cp850")
    return name.replace("\\", "/")


def announced(entry: zipfile.ZipInfo, folder: str, max_bytes: int) -> tuple[Announcement, str]:
    """What a file is deposited as, and the folder, in `folder`, that the document is put in.

    Raises:
        Unfit: it cannot be.
    """
    if (remark := closed(entry)) is not None:
        raise Unfit(Problem[remark])
    if not entry.file_size:
        raise Unfit(Problem.EMPTY)
    if entry.file_size > max_bytes:
        raise Unfit(Problem.TOO_LARGE)
    within, _, name = path(entry).rpartition("/")
    try:
        name, put = clean_name(name), clean_folder(f"{folder}/{within}")
    except InvalidInput:
        raise Unfit(Problem.NAME) from None
    media_type, encoding = mimetypes.guess_type(name)
    if encoding or not media_type:
        media_type = _MEDIA_TYPE
    return Announcement(name, media_type, entry.file_size), put
