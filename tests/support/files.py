"""Files as people send them, and as they should not."""

import bz2
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping

from deploy.local.clamav import EICAR

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\0IEND\xaeB`\x82"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>'
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def zipped(
    entries: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, between: bytes = b""
) -> bytes:
    """`between`: what is after the last file, and before the directory."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
        file.write(between)
        archive.start_dir = file.tell()
    return file.getvalue()


def tarred(entries: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def linked(target: str) -> bytes:
    """A tar archive with a symbolic link."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("lien")
        member.type, member.linkname = tarfile.SYMTYPE, target
        archive.addfile(member)
    return file.getvalue()


def word(**more: bytes) -> bytes:
    """A .docx document, with more entries; their `__` stand for `/`, and their `_` for a dot."""
    named = {name.replace("__", "/").replace("_", "."): data for name, data in more.items()}
    return zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>", **named})


def nested(layers: int, data: bytes = b"au fond") -> bytes:
    """An archive within archives."""
    for number in range(layers):
        data = zipped({f"{number}.zip" if number else "fond.txt": data})
    return data


def bomb() -> bytes:
    """In the manner of 42.zip: each layer holds sixteen of the next, the last one zeros."""
    layer = zipped({"0.bin": bytes(32 * 1024 * 1024)})
    for _ in range(2):
        layer = zipped({f"{number}.zip": layer for number in range(16)})
    return layer


def many(count: int) -> bytes:
    return zipped({f"{number}": b"" for number in range(count)}, zipfile.ZIP_STORED)


def overlapping() -> bytes:
    """Many entries of one stretch of bytes: unpacked, each is all of it."""
    one = zipped({"a": bytes(4 * 1024 * 1024)})
    place = one.rfind(b"PK\x01\x02")
    end = one.rfind(b"PK\x05\x06")
    entry = one[place:end]
    entries = b"".join(entry.replace(b"a", bytes([letter]), 1) for letter in range(98, 118))
    directory = entry + entries
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 21, 21, len(directory), place, 0)
    return one[:place] + directory + tail


def lying() -> bytes:
    """An entry that says that it holds less than it does."""
    data = bytearray(zipped({"a": bytes(100_000)}))
    for place, mark in ((22, b"PK\x03\x04"), (24, b"PK\x01\x02")):
        start = data.find(mark) + place
        data[start : start + 4] = struct.pack("<L", 10)
    return bytes(data)


def encrypted_zip() -> bytes:
    """An archive whose one entry says that it has a password."""
    data = bytearray(zipped({"a": b"secret"}))
    for place, mark in ((6, b"PK\x03\x04"), (8, b"PK\x01\x02")):
        data[data.find(mark) + place] |= 1
    return bytes(data)


def eicar_nested() -> bytes:
    return zipped({"courrier.zip": zipped({"facture.txt": EICAR})})


def squeezed(data: bytes) -> dict[str, bytes]:
    """The same bytes by each compression that is opened."""
    return {"application/gzip": gzip.compress(data), "application/x-bzip2": bz2.compress(data)}


def pdf_with(words: bytes) -> bytes:
    return PDF.replace(b"/Catalog", b"/Catalog " + words)


def deflated(data: bytes) -> bytes:
    return zlib.compress(data)
