"""Sharing: with whom, until when; readings under way; watermarks that are really on the page."""

import io
import time
import uuid
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from administration.identity.v1 import consents_pb2
from PIL import Image, ImageChops
from pypdf import PdfReader, PdfWriter
from pypdf.generic import EncodedStreamObject, NameObject

from backbone.errors import InvalidInput, Unavailable
from services.documents.documents import DocumentRow
from services.documents.domain.sharing import Recipient, Terms
from services.documents.sharing import consent, stamping, watermarks
from services.documents.sharing.readings import FRESH_SECONDS, Readings
from services.documents.sharing.watermarks import NotStamped

TEXT = "Transmis à Joséphine Marie-Sainte le 28/11/2026"
ROOT = Path(__file__).resolve().parents[2]
PDF = (ROOT / "deploy/demo/attestation.pdf").read_bytes()


def document(media_type: str, size_bytes: int = 10) -> DocumentRow:
    return DocumentRow(document_id=uuid.uuid4(), media_type=media_type, size_bytes=size_bytes)


def picture(kind: str, size: tuple[int, int] = (600, 400), colour: str = "white") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, kind)
    return written.getvalue()


def pages(count: int, *, rotation: int = 0, password: str = "") -> bytes:
    writer = PdfWriter()
    for _ in range(count):
        writer.add_blank_page(300, 500).rotate(rotation)
    if password:
        writer.encrypt(password)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def test_exactly_one_recipient_is_named() -> None:
    account = str(uuid.uuid4())
    assert Recipient.asked("caf", "") == Recipient("caf")
    assert Recipient.asked("", account) == Recipient(account_id=uuid.UUID(account))
    for administration, account_id, field in (
        ("", "", "administration"),
        ("caf", account, "account_id"),
    ):
        with pytest.raises(InvalidInput) as refused:
            Recipient.asked(administration, account_id)
        assert refused.value.fields[0].field == field


class Away:
    """An identity that does not answer."""

    def check_consent(
        self, request: consents_pb2.CheckConsentRequest
    ) -> consents_pb2.CheckConsentResponse:
        raise grpc.RpcError


def test_without_an_answer_about_a_consent_nothing_is_given() -> None:
    with pytest.raises(Unavailable) as refused:
        consent.check(Away(), uuid.uuid4(), "caf-martinique")
    assert refused.value.reason == "CONSENT_UNKNOWN"


def test_a_share_ends_in_the_future() -> None:
    now = datetime.now(UTC)
    Terms("essai", now + timedelta(seconds=1)).require_ahead(now)
    with pytest.raises(InvalidInput):
        Terms("essai", now).require_ahead(now)


def test_a_reading_is_overdue_until_it_was_seen_to_stand_and_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    readings, call, share = Readings(), object(), uuid.uuid4()
    with readings.of(share, call) as reading:  # type: ignore[arg-type]
        assert readings.overdue() == [reading]
        reading.seen()
        assert readings.overdue() == []
        monkeypatch.setattr(time, "monotonic", lambda: now + FRESH_SECONDS)
        assert readings.overdue() == [reading]
    assert readings.overdue() == []


def test_every_page_of_a_pdf_says_who_got_it() -> None:
    content = pages(3)
    stamped = PdfReader(io.BytesIO(watermarks.stamped(document("application/pdf"), content, TEXT)))
    assert len(stamped.pages) == 3
    for page in stamped.pages:
        assert page.extract_text().count(TEXT) == 3
    before = PdfReader(io.BytesIO(PDF)).pages[0].extract_text()
    after = PdfReader(io.BytesIO(stamping.pdf(PDF, TEXT))).pages[0].extract_text()
    assert before in after


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_page_that_lies_on_its_side_says_it_too(rotation: int) -> None:
    stamped = PdfReader(io.BytesIO(stamping.pdf(pages(1, rotation=rotation), TEXT)))
    assert TEXT in stamped.pages[0].extract_text()


def test_letters_that_the_font_has_not_do_not_stop_it() -> None:
    stamped = PdfReader(io.BytesIO(stamping.pdf(pages(1), "Transmis à 漢字")))
    assert "Transmis à ??" in stamped.pages[0].extract_text()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("colour", ["white", "black"])
def test_a_picture_says_it_whatever_its_colour(kind: str, colour: str) -> None:
    stamped = watermarks.stamped(
        document(f"image/{kind.lower()}"), picture(kind, colour=colour), TEXT
    )
    with Image.open(io.BytesIO(stamped)) as opened:
        assert (opened.format, opened.size) == (kind, (600, 400))
        plain = Image.new("RGB", opened.size, colour)
        changed = ImageChops.difference(opened.convert("L"), plain.convert("L")).histogram()
    # By how much, from 0 to 255: most of it not at all, the letters plainly.
    assert changed[0] > 600 * 400 / 2
    assert sum(changed[100:]) > 100


def test_an_accent_is_written_as_a_letter_of_its_own() -> None:
    accented, plain = (stamping.png(picture("PNG"), text) for text in ("éàôç", "eaoc"))
    unknown = stamping.png(picture("PNG"), "\ue000\ue000\ue000\ue000")
    assert len({accented, plain, unknown}) == 3


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("application/pdf", b"%PDF-1.7\n" + b"x" * 1000),
        ("application/pdf", pages(1, password="secret")),
        ("application/pdf", pages(stamping.MAX_PAGES + 1)),
        ("image/jpeg", picture("PNG")),
        ("image/png", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("image/png", picture("PNG", (5000, 4001))),
    ],
    ids=["damaged", "password", "pages", "another kind", "damaged picture", "pixels"],
)
def test_what_cannot_be_written_on_is_told(media_type: str, content: bytes) -> None:
    with pytest.raises(NotStamped):
        watermarks.stamped(document(media_type), content, TEXT)


def test_a_file_that_takes_all_memory_takes_that_of_its_program_alone() -> None:
    packing = zlib.compressobj()
    packed = b"".join(packing.compress(bytes(2**20)) for _ in range(400)) + packing.flush()
    assert len(packed) < 2**20
    stream = EncodedStreamObject()
    stream._data = packed
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    writer, written = PdfWriter(), io.BytesIO()
    page = writer.add_blank_page(300, 500)
    page[NameObject("/Contents")] = writer._add_object(stream)
    writer.write(written)
    with pytest.raises(NotStamped):
        watermarks.stamped(document("application/pdf"), written.getvalue(), TEXT)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (document("text/plain"), "MEDIA_TYPE"),
        (document("application/pdf", watermarks.MAX_BYTES + 1), "TOO_LARGE"),
    ],
    ids=["type", "size"],
)
def test_a_document_of_another_type_or_too_large_has_no_watermark(
    row: DocumentRow, reason: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        watermarks.require_kind(row)
    assert [(item.field, item.reason) for item in refused.value.fields] == [("watermark", reason)]
