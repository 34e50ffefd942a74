"""Plain text."""

import codecs

from services.documents.finding.reader.limits import TEXT_BYTES

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What a character may take at most is read before it is cut.
_BYTES = 4 * TEXT_BYTES


def read(data: bytes) -> tuple[str, bytes]:
    """The text, and no picture."""
    return decoded(data[:_BYTES]), b""


def decoded(data: bytes) -> str:
    """Text of whatever encoding: what marks itself, else UTF-8, else what Windows writes."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        # A last character may be cut.
        return codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
