"""What a document really is, by its first bytes, against what its depositor and its name say.

`puremagic` gives every type that the first bytes could be of; several media types that mean one
container (a .docx is a ZIP archive) are one kind here.
"""

import mimetypes

import puremagic

from services.documents.checks.verdict import Reason, Refused

HEAD_BYTES = 4096

PDF, SVG, ZIP, OLE, GZIP, BZIP2, TAR = "pdf", "svg", "zip", "ole", "gzip", "bzip2", "tar"
HTML, XML, PROGRAM = "html", "xml", "program"
IMAGES = frozenset({"png", "jpeg", "gif", "webp", "tiff", "heif", "bmp"})
# Archives that are not opened here: the antivirus does.
CLOSED = frozenset({"7z", "rar", "xz"})

_KINDS = {
    PDF: ("application/pdf", "application/x-pdf"),
    "png": ("image/png", "image/x-png"),
    "jpeg": ("image/jpeg", "image/jpg", "image/pjpeg"),
    "gif": ("image/gif",),
    "webp": ("image/webp",),
    "tiff": ("image/tiff",),
    "heif": ("image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence"),
    "bmp": ("image/bmp", "image/x-ms-bmp"),
    SVG: ("image/svg+xml",),
    ZIP: ("application/zip", "application/x-zip-compressed", "application/epub+zip"),
    OLE: ("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"),
    GZIP: ("application/gzip", "application/x-gzip"),
    BZIP2: ("application/x-bzip2", "application/x-bzip"),
    TAR: ("application/x-tar",),
    "7z": ("application/x-7z-compressed",),
    "rar": ("application/vnd.rar", "application/x-rar-compressed", "application/x-rar"),
    "xz": ("application/x-xz",),
    "rtf": ("application/rtf", "text/rtf"),
    "postscript": ("application/postscript",),
}
_KIND_OF = {media_type: kind for kind, names in _KINDS.items() for media_type in names}
_ZIPPED = ("application/vnd.openxmlformats-", "application/vnd.oasis.opendocument.")
# ELF, PE and DOS, Mach-O (all four orders, and universal), WebAssembly, a script's first line.
_PROGRAMS = (b"\x7fELF", b"MZ", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe",
             b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\0asm", b"#!")  # fmt: skip
# Marks that are certain, and that puremagic either lacks or drowns in guesses.
_CERTAIN = (
    (b"%PDF-", PDF),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\0", "xz"),
)
_UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def kind_of_type(media_type: str) -> str | None:
    """The kind that a media type is of; None for one whose content is not told by its bytes."""
    lowered = media_type.lower()
    if lowered.startswith(_ZIPPED) or "macroenabled" in lowered:
        return ZIP
    return _KIND_OF.get(lowered)


def kind_of_content(head: bytes) -> str | None:
    """The kind that the first bytes show; None when they show none."""
    if head.startswith(_PROGRAMS):
        return PROGRAM
    for mark, kind in _CERTAIN:
        if head.startswith(mark):
            return kind
    if head[257:262] == b"ustar":
        return TAR
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if b"<svg" in text and text.startswith(b"<"):
        return SVG
    if text.startswith((b"<!doctype html", b"<html", b"<script", b"<body", b"<head")):
        return HTML
    if text.startswith(b"<?xml"):
        return XML
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return None
    kinds = (kind_of_type(item.mime_type) for item in found)
    # A guess is no ground to call something a container or an office document.
    return next((kind for kind in kinds if kind not in (None, ZIP, OLE, PDF, SVG)), None)


def compare(kind: str | None, head: bytes, media_type: str, name: str) -> None:
    """Raises:
    Refused: the content is a program, or another kind than the media type or the name tells.
    """
    if kind == PROGRAM:
        raise Refused(Reason.EXECUTABLE, "a program")
    declared = kind_of_type(media_type)
    if declared is not None and declared != kind:
        raise Refused(Reason.TYPE_MISMATCH, f"{media_type} announced, the content is {kind}")
    if media_type.startswith("text/") and declared is None:
        binary = b"\0" in head and not head.startswith(_UNICODE_MARKS)
        if binary or kind not in (None, HTML, XML, SVG):
            raise Refused(Reason.TYPE_MISMATCH, "text announced, the content is not")
    named = kind_of_type(mimetypes.guess_type(name)[0] or "")
    if named is not None and named != kind and mimetypes.guess_type(name)[1] is None:
        raise Refused(Reason.TYPE_MISMATCH, f"the name is of a {named}, the content is {kind}")
