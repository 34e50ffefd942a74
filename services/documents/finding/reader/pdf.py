"""PDF, by PDFium: its text and its first page."""

import pypdfium2

from services.documents.finding.reader.image import HEIGHT, WIDTH, small
from services.documents.finding.reader.limits import PAGES, TEXT_BYTES, CannotRead


def read(data: bytes) -> tuple[str, bytes]:
    """The text of its first pages, and the first of them."""
    try:
        document = pypdfium2.PdfDocument(data)
        if not len(document):
            raise CannotRead
        return _text(document), _first(document)
    except pypdfium2.PdfiumError as error:
        raise CannotRead from error


def _text(document: pypdfium2.PdfDocument) -> str:
    parts: list[str] = []
    left = TEXT_BYTES
    for number in range(min(len(document), PAGES)):
        part = document[number].get_textpage().get_text_bounded()
        parts.append(part)
        left -= len(part)
        if left <= 0:
            break
    return "\n".join(parts)


def _first(document: pypdfium2.PdfDocument) -> bytes:
    page = document[0]
    width, height = page.get_size()
    if not (width > 0 and height > 0):
        return b""
    # A page may say that it is a kilometre long: never more than the preview's pixels.
    scale = min(WIDTH / width, HEIGHT / height)
    if min(width, height) * scale < 1:
        return b""
    return small(page.render(scale=scale).to_pil())
