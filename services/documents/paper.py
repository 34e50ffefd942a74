"""Receipts for people: one A4 page in French, which carries the whole receipt in it.

The PDF has the receipt as an attachment, `recu.json`, so that `backbone verify` takes the PDF in
its place. The square on the page has it too, but for the time stamp, which is too long for one: a
receipt that was printed is typed in by a camera. The same receipt makes the same bytes.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import reportlab
import segno
from administration.documents.v1.documents_pb2 import Receipt
from google.protobuf.json_format import MessageToJson
from pypdf import PdfReader, PdfWriter
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from backbone.receipts import notes, stamps
from backbone.receipts.paper import ATTACHMENT

MEDIA_TYPE = "application/pdf"
_FONTS = {"recu": "Vera.ttf", "recu-gras": "VeraBd.ttf"}
for _font, _file in _FONTS.items():
    pdfmetrics.registerFont(TTFont(_font, str(Path(reportlab.__file__).parent / "fonts" / _file)))
_WIDTH, _HEIGHT = A4
_LEFT, _TOP, _LINE = 20 * mm, _HEIGHT - 22 * mm, 4.4 * mm
_VALUES = _LEFT + 42 * mm
_SQUARE = 100 * mm
_HOW = (
    "Ce reçu prouve que ce fichier précis a été déposé, à cette date, et qu’il a sa place dans le",
    "journal des dépôts. Il se vérifie sans nous, sur n’importe quel ordinateur :",
    "",
    "1. Gardez ce PDF tel quel : il contient le reçu complet, en pièce jointe (recu.json).",
    "2. Lancez la commande suivante, avec votre fichier et la clé que l’administration publie :",
    "        backbone verify recu.pdf votre-fichier --key <clé>",
    "3. Si vous n’avez que ce papier : le carré ci-dessous contient le reçu, sans l’horodatage.",
    "    Lisez-le avec un téléphone, enregistrez le texte, et vérifiez-le de la même façon.",
)


def render(receipt: Receipt, name: str) -> bytes:
    """The PDF of a receipt; `name` is the document's."""
    drawn = io.BytesIO()
    # Its dates and identifiers are always the same.
    canvas = Canvas(drawn, pagesize=A4, invariant=1, lang="fr")
    canvas.setTitle("Reçu de dépôt")
    _page(canvas, receipt, name)
    canvas.save()
    writer = PdfWriter(clone_from=PdfReader(drawn))
    writer.add_attachment(ATTACHMENT, MessageToJson(receipt, indent=2).encode())
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def _page(canvas: Canvas, receipt: Receipt, name: str) -> None:
    canvas.setFont("recu-gras", 18)
    canvas.drawString(_LEFT, _TOP, "Reçu de dépôt")
    y = _TOP - 10 * mm
    for label, lines in _rows(receipt, name):
        canvas.setFont("recu-gras", 8.5)
        canvas.drawString(_LEFT, y, label)
        canvas.setFont("Courier" if label in _FIXED else "recu", 8)
        for line in lines:
            canvas.drawString(_VALUES, y, line)
            y -= _LINE
        y -= 1.2 * mm
    y -= 2 * mm
    canvas.setFont("recu-gras", 10)
    canvas.drawString(_LEFT, y, "Comment le vérifier")
    canvas.setFont("recu", 8)
    for line in _HOW:
        y -= _LINE
        canvas.drawString(_LEFT, y, line)
    _square(canvas, receipt, y - 4 * mm)


_FIXED = {"Empreinte SHA-256", "Point de contrôle", "Clé du journal"}


def _rows(receipt: Receipt, name: str) -> Iterator[tuple[str, list[str]]]:
    checkpoint = notes.read(receipt.checkpoint)
    time = receipt.deposit_time.ToDatetime(UTC)
    yield "Document", _wrapped(name, 75)[:3]
    yield "Référence", [f"{receipt.document_id}, version {receipt.version}"]
    yield "Déposé le", [f"{_moment(time)}, à la microseconde {time.microsecond:06}"]
    yield "Taille", [f"{receipt.size_bytes:,} octets".replace(",", " ")]
    yield "Empreinte SHA-256", [receipt.sha256[:32], receipt.sha256[32:]]
    yield "Journal des dépôts", _wrapped(checkpoint.origin, 75)
    place = f"entrée {receipt.leaf_index} d’un journal qui en comptait {receipt.tree_size}"
    yield "Place", [place]
    yield "Point de contrôle", _wrapped(checkpoint.root.hex(), 64)
    yield "Clé du journal", _wrapped(receipt.key, 64)
    if receipt.time_stamp:
        seen = _moment(stamps.told(receipt.time_stamp))
        yield "Horodatage", [f"vu le {seen} par une autorité tierce (RFC 3161)"]
    else:
        yield "Horodatage", ["aucun"]


def short(receipt: Receipt) -> str:
    """What the square holds (a QR code, ISO/IEC 18004): the receipt without its time stamp, as JSON
    on one line.
    """
    held = Receipt()
    held.CopyFrom(receipt)
    held.time_stamp = b""
    return MessageToJson(held, indent=None)


def _square(canvas: Canvas, receipt: Receipt, top: float) -> None:
    code = segno.make_qr(short(receipt), error="l", boost_error=False)
    rows = list(code.matrix_iter(border=4))
    side = _SQUARE / len(rows)
    left = (_WIDTH - _SQUARE) / 2
    canvas.setFillGray(0)
    for number, row in enumerate(rows):
        start = None
        for place, dark in enumerate([*row, 0]):
            if dark and start is None:
                start = place
            elif not dark and start is not None:
                # A run at once: modules side by side show no seam.
                y = top - (number + 1) * side
                canvas.rect(left + start * side, y, (place - start) * side, side, stroke=0, fill=1)
                start = None


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%d/%m/%Y à %H:%M:%S (temps universel)")


def _wrapped(text: str, width: int) -> list[str]:
    return [text[start : start + width] for start in range(0, len(text), width)]
