"""Receipts in a PDF: the receipt that it carries (ISO 32000-1, section 7.11.4)."""

from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import PyPdfError

ATTACHMENT = "recu.json"
MAGIC = b"%PDF-"


class PaperError(Exception):
    """A PDF carries no receipt; the message says what is wrong."""


def is_pdf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def embedded(path: Path) -> str:
    """The JSON of the receipt that a PDF carries.

    Raises:
        PaperError: it carries none, or is damaged.
    """
    try:
        found = PdfReader(path).attachments.get(ATTACHMENT)
    except (PyPdfError, ValueError, KeyError, TypeError) as error:
        raise PaperError(f"the PDF cannot be read: {error}") from None
    if not found:
        raise PaperError(f"the PDF carries no {ATTACHMENT}")
    try:
        return found[0].decode("utf-8")
    except UnicodeDecodeError:
        raise PaperError(f"{ATTACHMENT} is not text in UTF-8") from None
