"""Fields that tell of content: file name, digest, range, validators.

RFC 6266 and RFC 8187 (Content-Disposition), RFC 9530 (Content-Digest, Repr-Digest), RFC 9110
(Range, ETag, If-Match, If-None-Match, If-Range, Content-Type).
"""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from backbone.errors import InvalidInput
from services.gateway.problems import UnsatisfiableRange

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_TYPE = re.compile(rf"\s*({_WORD}/{_WORD})\s*(;.*)?", re.DOTALL)
_DISPOSITION = re.compile(rf"\s*{_WORD}\s*")
_PARAMETER = re.compile(rf'\s*;\s*({_WORD})\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]+)\s*', re.DOTALL)
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[A-Za-z0-9-]*'(.*)", re.IGNORECASE)
_DIGEST = re.compile(r"\s*([a-z0-9-]+)\s*=\s*:([A-Za-z0-9+/=]*):\s*")
_RANGE = re.compile(r"\s*bytes\s*=\s*(?:([0-9]+)\s*-\s*([0-9]*)|-\s*([0-9]+))\s*", re.IGNORECASE)
_ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def _text(value: bytes) -> str:
    """A field's text: UTF-8 as programs send it, or else ISO-8859-1 as RFC 9110 had it."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def media_type(value: bytes | None) -> str:
    """The type and subtype of a ``Content-Type``, in lower case, without parameters.

    Raises:
        InvalidInput: it is malformed.
    """
    if value is None:
        return "application/octet-stream"
    found = _TYPE.fullmatch(_text(value))
    if found is None:
        raise InvalidInput.field("Content-Type", "MALFORMED", "has to be a media type")
    return found[1].lower()


def file_name(value: bytes | None) -> str:
    """The file name of a ``Content-Disposition``; ``filename*`` goes before ``filename``.

    Raises:
        InvalidInput: there is none, or it is malformed.
    """
    expected = "has to name the file, as in attachment; filename*=UTF-8''acte.pdf"
    malformed = InvalidInput.field("Content-Disposition", "MALFORMED", expected)
    missing = InvalidInput.field("Content-Disposition", "REQUIRED", expected)
    if value is None:
        raise missing
    text = _text(value)
    start = _DISPOSITION.match(text)
    if start is None:
        raise malformed
    position, names = start.end(), {}
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            if not text[position:].strip(" \t;"):
                break
            raise malformed
        name = found[1].lower()
        if name in names:
            raise malformed
        names[name] = found[2]
        position = found.end()
    if "filename*" in names:
        extended = _EXTENDED.fullmatch(names["filename*"])
        if extended is None:
            raise malformed
        try:
            return unquote_to_bytes(extended[2]).decode(extended[1])
        except UnicodeDecodeError:
            raise malformed from None
    name = names.get("filename", "")
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    if not name:
        raise missing
    return name


def attachment(name: str) -> bytes:
    """A ``Content-Disposition`` that saves the content under `name`, whatever it holds."""
    plain = re.sub(r"[^A-Za-z0-9 ._()-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}".encode()


def sha256_of_digest(value: bytes | None) -> str:
    """The SHA-256 of a ``Content-Digest``, in hexadecimal; empty when it tells none.

    Raises:
        InvalidInput: it is malformed.
    """
    if value is None:
        return ""
    digests = {}
    for member in value.decode("latin-1").split(","):
        found = _DIGEST.fullmatch(member)
        if found is None:
            raise _malformed_digest()
        digests[found[1]] = found[2]
    if "sha-256" not in digests:
        return ""
    try:
        digest = base64.b64decode(digests["sha-256"], validate=True)
    except binascii.Error:
        raise _malformed_digest() from None
    if len(digest) != 32:
        raise _malformed_digest()
    return digest.hex()


def _malformed_digest() -> InvalidInput:
    return InvalidInput.field(
        "Content-Digest", "MALFORMED", "has to be as sha-256=:<44 characters of base64>: (RFC 9530)"
    )


def digest_of(sha256: str) -> bytes:
    """The ``Repr-Digest`` of a SHA-256 in hexadecimal."""
    return b"sha-256=:" + base64.b64encode(bytes.fromhex(sha256)) + b":"


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The part ``[offset, offset + length)`` of a representation."""

    offset: int
    length: int


def byte_range(value: bytes, size: int) -> ByteRange | None:
    """What a ``Range`` asks of a representation of `size` bytes (RFC 9110, section 14).

    None: nothing that is understood, so all of it; several ranges are answered with all of it
    too, as section 14.2 allows.

    Raises:
        UnsatisfiableRange: it lies past the end.
    """
    found = _RANGE.fullmatch(value.decode("latin-1"))
    if found is None or max(len(group or "") for group in found.groups()) > 30:
        return None
    if found[3]:
        wanted = min(int(found[3]), size)
        if not wanted:
            raise UnsatisfiableRange(size)
        return ByteRange(size - wanted, wanted)
    first = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    if first >= size:
        raise UnsatisfiableRange(size)
    return ByteRange(first, min(last, size - 1) - first + 1)


def entity_tag(sha256: str) -> bytes:
    """The strong validator of content."""
    return b'"' + sha256.encode("ascii") + b'"'


def named_contents(value: bytes | None) -> list[str]:
    """The SHA-256 of the contents of which one satisfies ``If-Match`` (strong comparison), none for
    whichever. What has no strong tag is satisfied by nothing.
    """
    if value is None or value.strip() == b"*":
        return []
    found = _ENTITY_TAG.finditer(value.decode("latin-1"))
    return [tag[2][1:-1] for tag in found if not tag[1]] or [""]


def none_match(value: bytes, etag: bytes) -> bool:
    """Whether ``If-None-Match`` lets the request go on (weak comparison)."""
    if value.strip() == b"*":
        return False
    tags = {found[2] for found in _ENTITY_TAG.finditer(value.decode("latin-1"))}
    return etag.decode("ascii") not in tags


def if_range(value: bytes, etag: bytes) -> bool:
    """Whether ``If-Range`` keeps the range (strong comparison; a date never does)."""
    return value.strip() == etag
