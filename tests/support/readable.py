"""Documents that say something: as small as a file of their kind can be."""

import io
from xml.sax.saxutils import escape

from PIL import Image

from tests.support.files import zipped

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SLIDES = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
OPEN_TEXT = "application/vnd.oasis.opendocument.text"


def pdf(*lines: str, size: tuple[int, int] = (595, 842)) -> bytes:
    """A PDF of one page with these lines."""
    shown = "".join(f"({_escaped(line)}) Tj T* " for line in lines)
    stream = f"BT /F1 12 Tf 14 TL 50 {size[1] - 60} Td {shown}ET".encode("cp1252")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>" % size,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    file, places = io.BytesIO(), []
    file.write(b"%PDF-1.7\n")
    for number, body in enumerate(objects, start=1):
        places.append(file.tell())
        file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = file.tell()
    file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for place in places:
        file.write(b"%010d 00000 n \n" % place)
    file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1))
    file.write(b"startxref\n%d\n%%%%EOF\n" % start)
    return file.getvalue()


def _escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", r"\(").replace(")", r"\)")


def docx(*paragraphs: str) -> bytes:
    body = "".join(f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>" for text in paragraphs)
    return ooxml({"word/document.xml": body})


def xlsx(*cells: str) -> bytes:
    body = "".join(f"<w:si><w:t>{escape(text)}</w:t></w:si>" for text in cells)
    return ooxml({"xl/sharedStrings.xml": body})


def pptx(*slides: str) -> bytes:
    return ooxml(
        {
            f"ppt/slides/slide{number}.xml": f"<w:p><w:t>{escape(text)}</w:t></w:p>"
            for number, text in enumerate(slides, start=1)
        }
    )


def odt(*paragraphs: str) -> bytes:
    body = "".join(f"<w:p>{escape(text)}</w:p>" for text in paragraphs)
    return ooxml({"content.xml": body})


def ooxml(parts: dict[str, str], head: str = "") -> bytes:
    """An office document with these parts, each of them the inside of one element."""
    named = {name: f'{head}<w:d xmlns:w="w">{body}</w:d>'.encode() for name, body in parts.items()}
    return zipped({"[Content_Types].xml": b"<Types/>", **named})


def image(kind: str = "PNG", size: tuple[int, int] = (1200, 900), mode: str = "RGB") -> bytes:
    made = io.BytesIO()
    Image.new(mode, size, 1 if mode == "P" else "teal").save(made, kind)
    return made.getvalue()
