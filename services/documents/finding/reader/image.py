"""Images: made small, without what their files say beside the picture (place, camera)."""

import io
import warnings

from PIL import Image, ImageOps

from services.documents.finding.reader.limits import CannotRead

MAX_PIXELS = 25_000_000
# Of a preview.
WIDTH, HEIGHT = 480, 680
QUALITY = 70
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")
_REHEARSED = (("PNG", "P"), ("PNG", "RGBA"), ("GIF", "P"), *((name, "RGB") for name in _FORMATS))

# Counted below, once a JPEG is as small as it can be decoded.
Image.MAX_IMAGE_PIXELS = None
warnings.simplefilter("ignore")


def read(data: bytes) -> tuple[str, bytes]:
    """No text, and the picture."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            opened.draft("RGB", (WIDTH * 2, HEIGHT * 2))
            if opened.width * opened.height > MAX_PIXELS:
                return "", b""
            return "", small(ImageOps.exif_transpose(opened))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        # All of them are what Pillow raises for a file that is damaged.
        raise CannotRead from error


def _rehearse() -> None:
    """Pillow loads its modules when it needs them, and later nothing can be opened."""
    Image.init()
    for name, mode in _REHEARSED:
        made = io.BytesIO()
        Image.new(mode, (1, 1)).save(made, name)
        read(made.getvalue())


def small(picture: Image.Image) -> bytes:
    """A picture as a preview: WebP, on white where it is transparent."""
    clear = picture.has_transparency_data
    picture = picture.convert("RGBA" if clear else "RGB")
    picture.thumbnail((WIDTH, HEIGHT))
    page = Image.new("RGB", picture.size, "white")
    page.paste(picture, mask=picture if clear else None)
    made = io.BytesIO()
    page.save(made, "WEBP", quality=QUALITY)
    return made.getvalue()


_rehearse()
