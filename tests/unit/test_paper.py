"""Receipts as PDF: the same receipt is in the file, in the square, and in what a reader finds."""

import hashlib
from pathlib import Path

import pytest
from administration.documents.v1.documents_pb2 import Receipt
from click.testing import CliRunner
from google.protobuf.json_format import Parse
from pypdf import PdfReader, PdfWriter

from backbone.receipts.cli import FAILED, verify
from backbone.receipts.paper import PaperError, embedded
from services.documents.paper import render, short
from tests.support.receipts import CONTENT, MemoryLog

LOG = MemoryLog(1000, place=333)
NAME = "Acte de vente – Joséphine Œuvrard & fils.pdf"


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "recu.pdf"
    path.write_bytes(render(LOG.receipt(), NAME))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "acte.pdf"
    path.write_bytes(CONTENT)
    return path


def test_a_receipt_is_one_page_that_says_what_it_proves(pdf: Path) -> None:
    reader = PdfReader(pdf)
    (page,) = reader.pages
    text = page.extract_text()
    receipt = LOG.receipt()
    for told in (
        NAME,
        f"{receipt.document_id}, version 1",
        hashlib.sha256(CONTENT).hexdigest()[:32],
        "entrée 333 d’un journal qui en comptait 1000",
        "backbone verify",
        LOG.signer.verifier.name,
    ):
        assert told in text, text
    assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx(
        (595.28, 841.89), abs=0.01
    )


def test_a_pdf_carries_its_receipt_whole(pdf: Path) -> None:
    assert Parse(embedded(pdf), Receipt()) == LOG.receipt()


def test_the_same_receipt_makes_the_same_bytes() -> None:
    assert render(LOG.receipt(), NAME) == render(LOG.receipt(), NAME)


def test_the_square_carries_what_proves_it() -> None:
    receipt = LOG.receipt()
    receipt.time_stamp = b"a time stamp"
    read = Parse(short(receipt), Receipt())
    assert read == LOG.receipt()
    # Of a log of 2^32 entries it still fits one square (ISO/IEC 18004: 2,953 bytes).
    receipt.inclusion_proof.extend([bytes(32)] * (32 - len(receipt.inclusion_proof)))
    assert len(short(receipt)) < 2953


@pytest.mark.parametrize("name", ["x" * 255, "文書 🙂.pdf", "a"])
def test_any_name_makes_a_page(name: str) -> None:
    assert render(LOG.receipt(), name).startswith(b"%PDF-")


def test_backbone_verify_takes_the_pdf_in_the_place_of_the_receipt(pdf: Path, file: Path) -> None:
    done = CliRunner().invoke(verify, [str(pdf), str(file), "--key", LOG.key])
    assert done.exit_code == 0, done.output
    file.write_bytes(CONTENT + b"x")
    done = CliRunner().invoke(verify, [str(pdf), str(file), "--key", LOG.key])
    assert done.exit_code == FAILED


def test_a_pdf_without_a_receipt_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "autre.pdf"
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(path)
    with pytest.raises(PaperError, match=r"carries no recu\.json"):
        embedded(path)
    path.write_bytes(b"%PDF-1.7 and nothing else")
    with pytest.raises(PaperError, match="cannot be read"):
        embedded(path)
