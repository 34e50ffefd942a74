"""What is in an archive, without unpacking it to a disk: bounded in bytes, entries and layers.

ZIP (and the office formats that are ZIP), tar, gzip and bzip2 are walked to their end, one inside
another; for the rest the antivirus alone looks. Memory is bounded by NESTED_BYTES a layer and by
DIRECTORY_BYTES of a ZIP's directory.
"""

import bz2
import gzip
import io
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from services.documents.checks import kinds
from services.documents.checks.marks import NEAR_BYTES
from services.documents.checks.verdict import Reason, Refused, Remark

CHUNK_BYTES = 256 * 1024
# An archive inside another that is larger is left to the antivirus.
NESTED_BYTES = 8 * 1024 * 1024
# 46 bytes and a name for each entry.
DIRECTORY_BYTES = 2 * 1024 * 1024

# Of a ZIP, before each file, without its name.
LOCAL_HEADER_BYTES = 30
# Ways of compression that are known here.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
# In the flags of a ZIP's file: by a password, or strongly.
_ENCRYPTED = 0x01 | 0x40
_DRIVE = re.compile(r"[A-Za-z]:")
_MACROS = re.compile(
    r"(?:.*/)?vbaProject(?:Signature)?\.bin|Basic/.*\.xml|Scripts/.+", re.IGNORECASE
)
# Beside its own errors, what zipfile raises about a file that is none: with no sign of it before.
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile,
            OSError, NotImplementedError, RuntimeError, ValueError, IndexError,
            struct.error)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold, all its layers together."""

    entries: int = 10_000
    unpacked_bytes: int = 1024**3
    # Unpacked to packed, once more than `ratio_from` bytes are unpacked.
    ratio: int = 200
    ratio_from: int = 16 * 1024 * 1024
    layers: int = 3


class Walk:
    """Goes through an archive of `size` bytes; `seen` holds the remarks, `files` where it has the
    contents of files that begin near its beginning.
    """

    def __init__(self, size: int, limits: Limits) -> None:
        self._size, self._limits = size, limits
        self._entries = self._unpacked = 0
        self.seen: set[Remark] = set()
        self.files: list[range] = []

    def run(self, kind: str, file: IO[bytes]) -> None:
        """`file` can be sought in. Whatever reading it raises passes through, but for OSError.

        Raises:
            Refused: it is a bomb, damaged, or its names lead elsewhere.
        """
        try:
            self._open(kind, file, 1)
        except DAMAGED as error:
            raise Refused(Reason.ARCHIVE_DAMAGED, type(error).__name__) from error

    def _open(self, kind: str, file: IO[bytes], layer: int) -> None:
        if layer > self._limits.layers:
            raise Refused(Reason.ARCHIVE_BOMB, f"more than {self._limits.layers} layers")
        if kind == kinds.ZIP:
            self._zip(file, layer)
        elif kind == kinds.TAR:
            self._tar(file, layer)
        elif kind == kinds.GZIP:
            with gzip.GzipFile(fileobj=file) as inner:
                self._within(inner, layer)
        elif kind == kinds.BZIP2:
            with bz2.BZ2File(file) as inner:
                self._within(inner, layer)

    def _zip(self, file: IO[bytes], layer: int) -> None:
        _bound_directory(file)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            self._count(len(entries))
            if sum(entry.compress_size for entry in entries) > _length(file):
                raise Refused(Reason.ARCHIVE_BOMB, "entries that share their bytes")
            # What is announced is known at once, before anything is unpacked.
            self._spend(sum(entry.file_size for entry in entries), announced=True)
            if layer == 1:
                self.files = list(_near(file, entries))
            for entry in entries:
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise Refused(Reason.ARCHIVE_NAMES, "a symbolic link")
                self._name(entry.orig_filename)
                if (remark := closed(entry)) is not None:
                    self.seen.add(remark)
                else:
                    with archive.open(entry) as inner:
                        self._within(inner, layer)

    def _tar(self, file: IO[bytes], layer: int) -> None:
        with tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK_BYTES) as archive:
            while (entry := archive.next()) is not None:
                # It would keep each of them.
                archive.members = []  # type: ignore[attr-defined]
                self._count(1)
                self._name(entry.name)
                if entry.issym() or entry.islnk():
                    self._name(entry.linkname)
                elif entry.isreg() and (inner := archive.extractfile(entry)) is not None:
                    if layer == 1 and entry.offset_data < NEAR_BYTES:
                        self.files.append(range(entry.offset_data, entry.offset_data + entry.size))
                    self._within(inner, layer)
                elif not entry.isdir():
                    raise Refused(Reason.ARCHIVE_NAMES, "a device")

    def _within(self, inner: Any, layer: int) -> None:
        """One entry: read to its end, so that what it really holds is counted."""
        head = inner.read(kinds.HEAD_BYTES)
        self._spend(len(head))
        kind = kinds.kind_of_content(head)
        opened = kind in (kinds.ZIP, kinds.TAR, kinds.GZIP, kinds.BZIP2)
        buffer = io.BytesIO(head) if opened else None
        if buffer is not None:
            buffer.seek(0, io.SEEK_END)
        while chunk := inner.read(CHUNK_BYTES):
            self._spend(len(chunk))
            if buffer is not None and buffer.tell() + len(chunk) > NESTED_BYTES:
                self.seen.add(Remark.NOT_OPENED)
                buffer = None
            if buffer is not None:
                buffer.write(chunk)
        if buffer is not None and kind is not None:
            buffer.seek(0)
            self._open(kind, buffer, layer + 1)
        elif kind in kinds.CLOSED:
            self.seen.add(Remark.NOT_OPENED)

    def _count(self, entries: int) -> None:
        self._entries += entries
        if self._entries > self._limits.entries:
            raise Refused(Reason.ARCHIVE_BOMB, f"more than {self._limits.entries} entries")

    def _spend(self, count: int, *, announced: bool = False) -> None:
        unpacked = self._unpacked + count
        if not announced:
            self._unpacked = unpacked
        limits = self._limits
        if unpacked > limits.unpacked_bytes:
            raise Refused(Reason.ARCHIVE_BOMB, f"more than {limits.unpacked_bytes} bytes unpacked")
        if unpacked > limits.ratio_from and unpacked > limits.ratio * self._size:
            raise Refused(Reason.ARCHIVE_BOMB, f"more than {limits.ratio} times its size unpacked")

    def _name(self, name: str) -> None:
        parts = name.replace("\\", "/").split("/")
        if parts[0] == "" or _DRIVE.match(name) or ".." in parts or "\0" in name:
            raise Refused(Reason.ARCHIVE_NAMES, "a name that leads elsewhere")
        if _MACROS.fullmatch(name):
            self.seen.add(Remark.MACROS)


def closed(entry: zipfile.ZipInfo) -> Remark | None:
    """Why a file of a ZIP cannot be opened here; None when it can be."""
    if entry.flag_bits & _ENCRYPTED:
        return Remark.ENCRYPTED
    return Remark.NOT_OPENED if entry.compress_type not in _METHODS else None


def _near(file: IO[bytes], entries: Iterable[zipfile.ZipInfo]) -> Iterator[range]:
    for entry in entries:
        if entry.header_offset < NEAR_BYTES:
            file.seek(entry.header_offset)
            header = file.read(LOCAL_HEADER_BYTES)
            # Of its own name and extra field: the directory may have others.
            lengths = struct.unpack_from("<2H", header, 26)
            start = entry.header_offset + len(header) + sum(lengths)
            yield range(start, start + entry.compress_size)


def _length(file: IO[bytes]) -> int:
    return file.seek(0, io.SEEK_END)


def _bound_directory(file: IO[bytes]) -> None:
    """zipfile reads the whole directory into memory: one that is too large is not given to it."""
    length = _length(file)
    file.seek(max(0, length - 65_535 - 22))
    tail = file.read()
    # Each end that a reader could take for the real one; that of ZIP64 says its size elsewhere.
    sizes = [tail[end.start() + 12 : end.start() + 16] for end in re.finditer(rb"PK\x05\x06", tail)]
    large = [tail[end.start() + 40 : end.start() + 48] for end in re.finditer(rb"PK\x06\x06", tail)]
    known = [int.from_bytes(size, "little") for size in sizes if size != b"\xff" * 4]
    known += [int.from_bytes(size, "little") for size in large]
    if any(DIRECTORY_BYTES < size <= length for size in known):
        raise Refused(Reason.ARCHIVE_BOMB, "a directory of too many entries")
    file.seek(0)
