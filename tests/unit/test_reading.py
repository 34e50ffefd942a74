"""The reader: what it says of documents, and what it cannot do, whatever they hold."""

import io
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from services.documents.finding import reading
from services.documents.finding.reader import limits
from services.documents.finding.reading import Found, Unreadable
from tests.support import files, readable

HTML = (
    b"<html><head><style>p{}</style></head><body><p>Avis d&eacute;finitif</p>"
    b"<script>invisible()</script></body></html>"
)


def read(media_type: str, data: bytes) -> Found:
    return reading.read(media_type, [data[:100], data[100:]])


def unreadable(media_type: str, data: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as refused:
        read(media_type, data)
    return refused.value


def program(code: str) -> tuple[str, ...]:
    """A reader of the test's own, which is confined as the real one."""
    confine = (
        "import os, socket, subprocess, sys\n"
        "from services.documents.finding.reader import limits, sandbox\n"
    )
    return (sys.executable, "-I", "-c", confine + code)


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("application/pdf", readable.pdf("Avis définitif", "page")),
        ("application/octet-stream", readable.pdf("Avis définitif")),
        (readable.WORD, readable.docx("Avis", "définitif & clair")),
        (readable.SHEET, readable.xlsx("Avis", "définitif")),
        (readable.SLIDES, readable.pptx("Avis", "définitif")),
        (readable.OPEN_TEXT, readable.odt("Avis", "définitif")),
        ("text/html", HTML),
        ("text/plain", "Avis définitif".encode()),
        ("text/plain", "Avis définitif".encode("cp1252")),
        ("text/csv", "Avis;définitif".encode("utf-16")),
    ],
)
def test_the_words_of_a_document_are_read(media_type: str, data: bytes) -> None:
    text = read(media_type, data).text
    assert "Avis" in text
    assert "définitif" in text
    assert "invisible" not in text


def test_runs_of_a_paragraph_are_one_word_and_slides_keep_their_order() -> None:
    runs = readable.ooxml(
        {"word/document.xml": "<w:p><w:r><w:t>im</w:t></w:r><w:r><w:t>pot</w:t></w:r></w:p>"}
    )
    assert read(readable.WORD, runs).text.split() == ["impot"]
    slides = [f"page{number}" for number in range(1, 12)]
    assert read(readable.SLIDES, readable.pptx(*slides)).text.split() == slides


def shown(found: Found) -> Image.Image:
    return Image.open(io.BytesIO(found.image), formats=("WEBP",))


@pytest.mark.parametrize(
    "data",
    [
        readable.pdf("Avis"),
        readable.pdf("Avis", size=(2000, 100)),
        *(readable.image(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")),
        readable.image("PNG", mode="RGBA"),
        readable.image("PNG", mode="P"),
        readable.image("PNG", mode="L"),
        readable.image("JPEG", mode="CMYK"),
    ],
)
def test_a_first_page_is_an_image_of_bounded_size(data: bytes) -> None:
    kinds = {"GIF8": "gif", "RIFF": "webp", "II*\0": "tiff"}
    kind = kinds.get(data[:4].decode("latin-1"), "bmp")
    found = read(f"image/{kind}", data)
    preview = shown(found)
    assert 0 < preview.width <= 480
    assert 0 < preview.height <= 680
    assert len(found.image) <= reading.MAX_IMAGE_BYTES


def test_a_preview_shows_the_page_and_not_where_a_picture_was_taken() -> None:
    page = shown(read("application/pdf", readable.pdf("Avis " * 10))).convert("L")
    darkest, lightest = page.getextrema()
    assert darkest < 128 < lightest  # type: ignore[operator]
    made, exif = io.BytesIO(), Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "marque-de-l-appareil"
    Image.new("RGB", (400, 200), "teal").save(made, "JPEG", exif=exif)
    assert b"marque-de-l-appareil" in made.getvalue()
    found = read("image/jpeg", made.getvalue())
    assert b"marque-de-l-appareil" not in found.image
    # Turned as the camera was held.
    assert shown(found).size == (200, 400)


@pytest.mark.parametrize("media_type", ["application/zip", "image/svg+xml", "application/x-other"])
def test_what_is_not_read_says_nothing(media_type: str) -> None:
    assert read(media_type, files.SVG) == reading.NOTHING


# ---- documents that mean harm -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("application/pdf", b"%PDF-1.7\n" + b"\xff" * 5000),
        (readable.WORD, b"PK\x03\x04" + b"\xff" * 5000),
        (readable.WORD, readable.ooxml({"word/document.xml": "<w:p>"})),
        (readable.WORD, files.encrypted_zip()),
        ("image/png", files.PNG),
        ("image/jpeg", b"\xff\xd8\xff" + b"\xff" * 5000),
        ("image/webp", b"RIFF" + b"\0" * 100),
    ],
)
def test_a_damaged_document_is_not_tried_again(media_type: str, data: bytes) -> None:
    try:
        assert read(media_type, data).text == ""
    except Unreadable as refused:
        assert not refused.worth_another  # noqa: PT017


def test_entities_that_grow_are_refused() -> None:
    lines = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 10))
    head = f'<!DOCTYPE d [<!ENTITY e0 "boum">{lines}]>'
    data = readable.ooxml({"word/document.xml": "<w:p><w:t>&e9;</w:t></w:p>"}, head)
    assert not unreadable(readable.WORD, data).worth_another


def test_an_archive_bomb_gives_a_bounded_text() -> None:
    huge = readable.docx("mot " * 30_000_000)
    assert len(huge) < 1_000_000
    assert len(read(readable.WORD, huge).text.encode()) <= limits.TEXT_BYTES
    hidden = readable.ooxml({"word/document.xml": "<w:x>" + " " * 200_000_000})
    assert read(readable.WORD, hidden).text.strip() == ""


def test_a_picture_that_would_be_huge_has_no_preview() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        checked = zlib.crc32(name + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + name + data + checked

    side = (60_000).to_bytes(4, "big")
    head = chunk(b"IHDR", side + side + b"\x08\x02\0\0\0")
    body = chunk(b"IDAT", zlib.compress(bytes(10_000_000))) + chunk(b"IEND", b"")
    assert read("image/png", b"\x89PNG\r\n\x1a\n" + head + body) == reading.NOTHING


def test_a_page_that_says_it_is_huge_costs_no_more_than_a_preview() -> None:
    found = read("application/pdf", readable.pdf("Avis", size=(14_400, 14_400)))
    assert shown(found).size == (480, 480)


# ---- the process --------------------------------------------------------------------------------


def test_a_reader_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WALL_SECONDS", 0.5)
    with pytest.raises(Unreadable, match="too long") as refused:
        reading.read("text/plain", [b"a"], program("import time\ntime.sleep(60)"))
    assert refused.value.worth_another


@pytest.mark.parametrize(
    "code",
    [
        "limits.CPU_SECONDS = 1\nlimits._LIMITS[limits.resource.RLIMIT_CPU] = 1\n"
        "limits.impose(); sandbox.enter()\nwhile True: pass",
        "limits.impose(); sandbox.enter()\nbytearray(600 * 1024 * 1024)",
        "limits.impose(); sandbox.enter()\n"
        "os.write(1, bytes(limits.OUTPUT_BYTES)); os.write(1, b'a')",
        "os.abort()",
    ],
    ids=["time", "memory", "output", "crash"],
)
def test_a_reader_that_takes_more_than_it_may_is_ended(code: str) -> None:
    with pytest.raises(Unreadable, match="ended with") as refused:
        reading.read("text/plain", [b"a"], program(code))
    assert refused.value.worth_another


@pytest.mark.parametrize(
    "said",
    [
        "b''",
        "b'abc'",
        "b'\\xff\\xff\\xff\\xffabc'",
        "b'\\0\\0\\0\\2\\xff\\xff'",
        "b'\\0\\0\\0\\1a<script>'",
        "(limits.TEXT_BYTES + 1).to_bytes(4, 'big') + b'a' * (limits.TEXT_BYTES + 1)",
    ],
    ids=["nothing", "short", "length", "text", "image", "long"],
)
def test_what_a_reader_says_is_a_strangers_word(said: str) -> None:
    with pytest.raises(Unreadable, match="nonsense"):
        reading.read("text/plain", [b"a"], program(f"os.write(1, {said})"))


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/hostname')",
        "open(f'/proc/{os.getppid()}/environ')",
        "open('/tmp/a', 'w')",
        "os.listdir('/')",
        "socket.socket()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.kill(1, 0)",
        "limits.resource.setrlimit(limits.resource.RLIMIT_CPU, (99, 99))",
    ],
)
def test_a_reader_can_reach_nothing(attempt: str) -> None:
    code = (
        f"limits.impose(); sandbox.enter()\ntry:\n    {attempt}\n"
        "except (PermissionError, ValueError):\n    os._exit(0)\nos._exit(9)"
    )
    assert subprocess.run(program(code), check=False, capture_output=True).returncode == 0


def test_a_reader_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBONE_CLIENT_SECRET", "tres-secret")
    code = "os._exit(limits.NOT_READABLE if 'tres-secret' in str(os.environ) else 9)"
    with pytest.raises(Unreadable, match="ended with 9"):
        reading.read("text/plain", [b"a"], program(code))
