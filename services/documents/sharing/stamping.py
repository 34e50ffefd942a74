"""Writes a watermark on every page of a document: ``python -m services.documents.sharing.stamping
KIND``, a program of its own, as what it reads is somebody's file and may take any time and memory.

Standard input: one line of text (UTF-8), then the document. Standard output: the document with it.
Exit code 0, or 1 where the document cannot be written on.
"""

import io
import math
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import reportlab
from PIL import Image, ImageDraw, ImageFont, ImageOps
from pypdf import PdfReader, PdfWriter, Transformation
from reportlab.pdfgen.canvas import Canvas

MEMORY_BYTES = 320 * 1024 * 1024
CPU_SECONDS = 15
MAX_PAGES = 500
MAX_PIXELS = 20_000_000
# Of the height of a page: where the text stands.
_HEIGHTS = (0.2, 0.5, 0.8)
_FONT = "Helvetica"


def pdf(data: bytes, text: str) -> bytes:
    """Raises whatever `pypdf` does with what it cannot read; ValueError for too many pages, or
    with a password.
    """
    # The letters that the font has.
    text = text.encode("cp1252", "replace").decode("cp1252")
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted:
        raise ValueError("the document is encrypted")
    if len(reader.pages) > MAX_PAGES:
        raise ValueError("the document has too many pages")
    writer = PdfWriter(clone_from=reader)
    for page in writer.pages:
        page.transfer_rotation_to_content()
        box = page.cropbox
        mark = PdfReader(io.BytesIO(_mark(float(box.width), float(box.height), text)))
        place = Transformation().translate(float(box.left), float(box.bottom))
        page.merge_transformed_page(mark.pages[0], place)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _mark(width: float, height: float, text: str) -> bytes:
    """A page with nothing but the text, slanting, at each height."""
    page = io.BytesIO()
    canvas = Canvas(page, pagesize=(width, height))
    angle = math.degrees(math.atan2(height * 0.25, width))
    size = min(28.0, 0.8 * width / max(1.0, canvas.stringWidth(text, _FONT, 1)))
    canvas.setFont(_FONT, size)
    canvas.setFillGray(0.35, alpha=0.35)
    for part in _HEIGHTS:
        canvas.saveState()
        canvas.translate(width / 2, height * part)
        canvas.rotate(angle)
        canvas.drawCentredString(0, 0, text)
        canvas.restoreState()
    canvas.save()
    return page.getvalue()


def jpeg(data: bytes, text: str) -> bytes:
    """As `image`."""
    return _image(data, text, "JPEG")


def png(data: bytes, text: str) -> bytes:
    """As `image`."""
    return _image(data, text, "PNG")


def _image(data: bytes, text: str, kind: str) -> bytes:
    """The picture alone: what the file tells beside it, such as where it was taken, is left out.

    Raises whatever Pillow does with what it cannot read; ValueError for too many pixels.
    """
    with Image.open(io.BytesIO(data), formats=[kind]) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError("the picture has too many pixels")
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    # Pillow's own has no accents.
    font = ImageFont.truetype(Path(reportlab.__file__).with_name("fonts") / "Vera.ttf", 40)
    left, top, right, bottom = font.getbbox(text)
    line = Image.new("L", (int(right - left) + 20, int(bottom - top) + 20))
    ImageDraw.Draw(line).text((10 - left, 10 - top), text, fill=150, font=font)
    scale = 0.8 * picture.width / line.width
    line = line.resize((max(1, int(line.width * scale)), max(1, int(line.height * scale))))
    line = line.rotate(12, expand=True)
    for part in _HEIGHTS:
        corner = ((picture.width - line.width) // 2, int(picture.height * part) - line.height // 2)
        for shift, grey in ((2, "white"), (0, "black")):
            # Seen on what is dark, and on what is light.
            picture.paste(grey, (corner[0] + shift, corner[1] + shift), line)
    written = io.BytesIO()
    picture.save(written, kind, quality=90)
    return written.getvalue()


STAMPS: dict[str, Callable[[bytes, str], bytes]] = {"pdf": pdf, "jpeg": jpeg, "png": png}


def _limit(kind: int, most: int) -> None:
    """Takes no more than `most` from here on, or than it may already."""
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or hard > most:
        resource.setrlimit(kind, (most, most))


def main() -> int:
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, CPU_SECONDS)
    text = sys.stdin.buffer.readline().decode().rstrip("\n")
    try:
        stamped = STAMPS[sys.argv[1]](sys.stdin.buffer.read(), text)
    except Exception:  # noqa: BLE001 - it is somebody's file: whatever it makes of the libraries
        return 1
    sys.stdout.buffer.write(stamped)
    return 0


if __name__ == "__main__":
    sys.exit(main())
