"""What the checks of a deposit refuse, what they remark, and what they leave alone."""

import contextlib
import hashlib
import io
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Iterator

import pytest
from administration.documents.v1 import deposits_pb2
from hypothesis import given
from hypothesis import strategies as st

from backbone.errors import Unavailable
from deploy.demo.story import PDF as ATTESTATION
from services.documents.archive import File, zipped
from services.documents.checks import content, kinds, pipeline
from services.documents.checks.archives import Limits
from services.documents.checks.pipeline import Choice, Finding, Policy, Subject
from services.documents.checks.verdict import Reason, Refused, Remark
from tests.support import files

PDF, ZIP, OCTETS = "application/pdf", "application/zip", "application/octet-stream"
SMALL = Policy(limits=Limits(entries=100, unpacked_bytes=4_000_000, ratio=50, ratio_from=1_000_000))


def clean(chunks: Iterable[bytes]) -> Finding:
    for _ in chunks:
        pass
    return Finding.CLEAN


def check(
    data: bytes,
    media_type: str = PDF,
    name: str = "acte",
    scan: pipeline.Scan = clean,
    policy: Policy = SMALL,
    sha256: str = "",
) -> set[str]:
    """The remarks about a document."""
    digest = sha256 or hashlib.sha256(data).hexdigest()

    def read(offset: int, length: int) -> Iterator[bytes]:
        yield data[offset : offset + length]

    subject = Subject(name, media_type, len(data), digest)
    return set(pipeline.check(subject, read, scan, policy).remarks)


def refused(data: bytes, media_type: str = PDF, **more: str) -> Reason:
    with pytest.raises(Refused) as error:
        check(data, media_type, **more)  # type: ignore[arg-type]
    return error.value.reason


def test_the_contract_has_the_words_of_the_checks() -> None:
    reasons = {f"REFUSAL_REASON_{reason}" for reason in (*Reason, "UNSPECIFIED")}
    assert set(deposits_pb2.RefusalReason.keys()) == reasons
    remarks = {f"REMARK_{remark}" for remark in (*Remark, "UNSPECIFIED")}
    assert set(deposits_pb2.Remark.keys()) == remarks


GOOD: dict[str, tuple[bytes, str, str]] = {
    "a PDF": (files.PDF, PDF, "acte.pdf"),
    "the demo's PDF": (ATTESTATION.read_bytes(), PDF, "Attestation de domicile.pdf"),
    "a PDF after a byte order mark": (b"\xef\xbb\xbf" + files.PDF, OCTETS, "acte"),
    "a PNG": (files.PNG, "image/png", "photo.png"),
    "an SVG": (files.SVG, "image/svg+xml", "plan.svg"),
    "a text": (b"Madame, Monsieur,\n", "text/plain", "lettre.txt"),
    "a text in UTF-16": ("Madame".encode("utf-16"), "text/plain", "lettre.txt"),
    "a table": (b"nom;somme\nA;1\n", "text/csv", "table.csv"),
    "an archive": (files.zipped({"a/b.txt": b"b", "c\\d.txt": b"d"}), ZIP, "pieces.zip"),
    "an archive of a PDF that does not become smaller": (
        files.zipped({"a.pdf": files.PDF[:9] + hashlib.sha512(b"x").digest() * 30}), ZIP, "a.zip",
    ),
    "an archive of a PDF as it is": (
        files.zipped({"a.pdf": files.PDF}, zipfile.ZIP_STORED), ZIP, "a.zip",
    ),
    "an archive of a note and a PDF": (
        files.zipped({"a.txt": b"b", "c.pdf": files.PDF}, zipfile.ZIP_STORED), ZIP, "a.zip",
    ),
    "an archive as we make them": (
        b"".join(zipped([File("a.pdf", [files.PDF], compress=False)])), ZIP, "a.zip",
    ),
    "an archive of a page as it is": (
        files.zipped({"a.html": b"<html>"}, zipfile.ZIP_STORED), ZIP, "a.zip",
    ),
    "a tar of a PDF": (files.tarred({"a.pdf": files.PDF}), "application/x-tar", "a.tar"),
    "an archive of archives": (files.nested(3), ZIP, "pieces.zip"),
    "an empty archive": (files.zipped({}), ZIP, "pieces.zip"),
    "a Word document": (files.word(), files.WORD, "lettre.docx"),
    "a tar": (files.tarred({"a/b": b"c"}), "application/x-tar", "a.tar"),
    "a tar in gzip": (
        files.squeezed(files.tarred({"a": b"b"}))["application/gzip"], "application/gzip", "a.tgz",
    ),
    "a PDF with an archive in it": (
        files.PDF.replace(b"endobj", b"stream\n" + files.zipped({"a": b"b"}) + b"\nendstream"),
        PDF, "acte.pdf",
    ),
    "random bytes": (hashlib.sha512(b"x").digest() * 30, OCTETS, "donnees.bin"),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_what_people_send_is_let_through_without_a_remark(case: str) -> None:
    data, media_type, name = GOOD[case]
    assert check(data, media_type, name) == set()


BAD: dict[str, tuple[Callable[[], bytes], str, str, Reason]] = {
    "a page said to be a PDF": (lambda: b"<html>", PDF, "a.pdf", Reason.TYPE_MISMATCH),
    "a PNG said to be a PDF": (lambda: files.PNG, PDF, "a.pdf", Reason.TYPE_MISMATCH),
    "a PNG called a PDF": (lambda: files.PNG, "image/png", "a.pdf", Reason.TYPE_MISMATCH),
    "a PDF called a PNG": (lambda: files.PDF, PDF, "a.png", Reason.TYPE_MISMATCH),
    "a PDF said to be text": (lambda: files.PDF, "text/plain", "a", Reason.TYPE_MISMATCH),
    "bytes said to be text": (lambda: b"a\0\1", "text/plain", "a", Reason.TYPE_MISMATCH),
    "nothing known said to be an image": (lambda: b"abc", "image/jpeg", "", Reason.TYPE_MISMATCH),
    "a program of Windows": (lambda: b"MZ" + bytes(99), OCTETS, "a", Reason.EXECUTABLE),
    "a program of Linux": (lambda: b"\x7fELF" + bytes(99), PDF, "a.pdf", Reason.EXECUTABLE),
    "a script": (lambda: b"#!/bin/sh\nrm", "text/plain", "a.txt", Reason.EXECUTABLE),
    "a PDF that is JavaScript": (
        lambda: b"/*\n" + files.PDF + b"*/ alert(1)", OCTETS, "a", Reason.POLYGLOT,
    ),
    "a JavaScript that is a PDF": (
        lambda: b"var a = `" + files.PDF + b"`", "text/javascript", "a.js", Reason.POLYGLOT,
    ),
    "a PDF that is a page": (
        lambda: b"%PDF-1.4 <html><script>alert(1)</script>" + files.PDF[8:], PDF, "a.pdf",
        Reason.POLYGLOT,
    ),
    "a GIF that is JavaScript": (
        lambda: b"GIF89a=1;alert(1)//" + bytes(99), "image/gif", "a.gif", Reason.POLYGLOT,
    ),
    "a PDF that is an archive": (
        lambda: files.PDF + files.zipped({"a": b"b"}), PDF, "a.pdf", Reason.POLYGLOT,
    ),
    "an archive that is a PDF": (
        lambda: files.zipped({"a": b"b"}, between=files.PDF), ZIP, "a.zip", Reason.POLYGLOT,
    ),
    "a PNG that is an archive": (
        lambda: files.PNG + files.zipped({"a": b"b"}) + b"\0", "image/png", "a.png",
        Reason.POLYGLOT,
    ),
    "an SVG with a script": (
        lambda: files.SVG.replace(b"<rect", b"<script>alert(1)</script><rect"), "image/svg+xml",
        "a.svg", Reason.ACTIVE_CONTENT,
    ),
    "an SVG with a handler": (
        lambda: files.SVG.replace(b"<rect", b"<rect onload='a()'"), "image/svg+xml", "a.svg",
        Reason.ACTIVE_CONTENT,
    ),
    "an SVG with a script in UTF-16": (
        lambda: "<svg><script>a()</script></svg>".encode("utf-16"), "image/svg+xml", "a.svg",
        Reason.ACTIVE_CONTENT,
    ),
    "an SVG that nobody called one": (
        lambda: b"<svg><a href='javascript:a()'/></svg>", OCTETS, "a", Reason.ACTIVE_CONTENT,
    ),
    "a bomb": (files.bomb, ZIP, "42.zip", Reason.ARCHIVE_BOMB),
    "a bomb in gzip": (
        lambda: files.squeezed(bytes(5_000_000))["application/gzip"], "application/gzip", "a.gz",
        Reason.ARCHIVE_BOMB,
    ),
    "a bomb in bzip2": (
        lambda: files.squeezed(bytes(5_000_000))["application/x-bzip2"], "application/x-bzip2",
        "a.bz2", Reason.ARCHIVE_BOMB,
    ),
    "a bomb in a Word document": (
        lambda: files.word(word__a_xml=bytes(3_000_000)), files.WORD, "a.docx",
        Reason.ARCHIVE_BOMB,
    ),
    "too many layers": (lambda: files.nested(4), ZIP, "a.zip", Reason.ARCHIVE_BOMB),
    "too many entries": (lambda: files.many(101), ZIP, "a.zip", Reason.ARCHIVE_BOMB),
    "50,000 entries": (lambda: files.many(50_000), ZIP, "a.zip", Reason.ARCHIVE_BOMB),
    "entries that share their bytes": (files.overlapping, ZIP, "a.zip", Reason.ARCHIVE_BOMB),
    "a name that leads up": (
        lambda: files.zipped({"../../etc/passwd": b""}), ZIP, "a.zip", Reason.ARCHIVE_NAMES,
    ),
    "a name that leads up, as Windows writes it": (
        lambda: files.zipped({"a\\..\\..\\b": b""}), ZIP, "a.zip", Reason.ARCHIVE_NAMES,
    ),
    "a name from the root": (
        lambda: files.zipped({"/etc/passwd": b""}), ZIP, "a.zip", Reason.ARCHIVE_NAMES,
    ),
    "a name on a drive": (
        lambda: files.zipped({"C:\\a": b""}), ZIP, "a.zip", Reason.ARCHIVE_NAMES,
    ),
    "a name that leads up, inside": (
        lambda: files.zipped({"a.zip": files.zipped({"../b": b""})}), ZIP, "a.zip",
        Reason.ARCHIVE_NAMES,
    ),
    "a name that leads up, in a tar": (
        lambda: files.tarred({"../a": b""}), "application/x-tar", "a.tar", Reason.ARCHIVE_NAMES,
    ),
    "a link that leads up": (
        lambda: files.linked("../../a"), "application/x-tar", "a.tar", Reason.ARCHIVE_NAMES,
    ),
    "an entry that lies about its size": (files.lying, ZIP, "a.zip", Reason.ARCHIVE_DAMAGED),
    "half an archive": (
        lambda: files.zipped({"a": b"b" * 99})[:-40], ZIP, "a.zip", Reason.ARCHIVE_DAMAGED,
    ),
    "half a gzip": (
        lambda: files.squeezed(b"abc" * 999)["application/gzip"][:-10], "application/gzip",
        "a.gz", Reason.ARCHIVE_DAMAGED,
    ),
    "half a bzip2": (
        lambda: files.squeezed(b"abc" * 999)["application/x-bzip2"][:-10], "application/x-bzip2",
        "a.bz2", Reason.ARCHIVE_DAMAGED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_nobody_should_open_is_refused_with_its_reason(case: str) -> None:
    make, media_type, name, reason = BAD[case]
    assert refused(make(), media_type, name=name) == reason


REMARKED: dict[str, tuple[bytes, str, Remark]] = {
    "a Word document with macros": (
        files.word(word__vbaProject_bin=b"macro"), files.WORD, Remark.MACROS,
    ),
    "an old Word document with macros": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "_VBA_PROJECT".encode("utf-16-le"),
        "application/msword", Remark.MACROS,
    ),
    "a Writer document with macros": (
        files.zipped({"Basic/Standard/Module1.xml": b"<a/>"}),
        "application/vnd.oasis.opendocument.text", Remark.MACROS,
    ),
    "an encrypted archive": (files.encrypted_zip(), ZIP, Remark.ENCRYPTED),
    "an encrypted PDF": (files.pdf_with(b"/Encrypt 5 0 R"), PDF, Remark.ENCRYPTED),
    "an encrypted Word document": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
        "application/msword", Remark.ENCRYPTED,
    ),
    "a PDF with a script": (
        files.pdf_with(b"/OpenAction << /S /JavaScript /JS (a) >>"), PDF, Remark.ACTIVE_CONTENT,
    ),
    "a PDF with a script whose name is escaped": (
        files.pdf_with(b"/S /J#61vaScript"), PDF, Remark.ACTIVE_CONTENT,
    ),
    "a page with a script": (
        b"<html><script>a()</script></html>", "text/html", Remark.ACTIVE_CONTENT,
    ),
    "an archive of another kind": (
        b"7z\xbc\xaf\x27\x1c" + bytes(99), "application/x-7z-compressed", Remark.NOT_OPENED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REMARKED)
def test_what_one_should_know_is_remarked(case: str) -> None:
    data, media_type, remark = REMARKED[case]
    assert check(data, media_type) == {remark}


def test_a_mark_is_found_across_two_chunks() -> None:
    data = b"%PDF-1.7" + b" " * 500 + b"/S /JavaScript" + b" " * 500

    def read(offset: int, length: int) -> Iterator[bytes]:
        for place in range(offset, offset + length):
            yield data[place : place + 1]

    subject = Subject("a.pdf", PDF, len(data), hashlib.sha256(data).hexdigest())
    assert pipeline.check(subject, read, clean, SMALL).remarks == {Remark.ACTIVE_CONTENT}


def test_what_the_antivirus_finds_is_refused_although_it_read_no_further() -> None:
    def infected(chunks: Iterable[bytes]) -> Finding:
        next(iter(chunks))
        return Finding.INFECTED

    with pytest.raises(Refused) as error:
        check(files.PDF, scan=infected)
    assert error.value.reason == Reason.MALWARE


def test_what_is_refused_anyway_does_not_keep_the_antivirus_busy() -> None:
    def never(chunks: Iterable[bytes]) -> Finding:
        raise AssertionError("it was asked")

    with pytest.raises(Refused) as error:
        check(files.many(1000), ZIP, scan=never)
    assert error.value.reason == Reason.ARCHIVE_BOMB


def beyond(chunks: Iterable[bytes]) -> Finding:
    return Finding.BEYOND


def test_what_the_antivirus_cannot_scan_is_refused_or_remarked_by_the_policy() -> None:
    with pytest.raises(Refused) as error:
        check(files.PDF, scan=beyond)
    assert error.value.reason == Reason.NOT_SCANNED
    lenient = Policy(not_scanned=Choice.REMARK)
    assert check(files.PDF, scan=beyond, policy=lenient) == {Remark.NOT_SCANNED}


def test_macros_are_refused_where_the_policy_says_so() -> None:
    data = files.word(word__vbaProject_bin=b"macro")
    with pytest.raises(Refused) as error:
        check(data, files.WORD, policy=Policy(macros=Choice.REFUSE))
    assert error.value.reason == Reason.MACROS


def test_other_bytes_than_were_deposited_are_told_before_what_they_are() -> None:
    assert refused(b"MZ" + bytes(9), sha256="0" * 64) == Reason.CORRUPTED


def test_an_outage_passes_through_and_decides_nothing() -> None:
    def away(chunks: Iterable[bytes]) -> Finding:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        check(files.PDF, scan=away)

    def broken(offset: int, length: int) -> Iterator[bytes]:
        yield b"%PDF"
        raise Unavailable("less than the document")

    with pytest.raises(Unavailable):
        pipeline.check(Subject("a", PDF, 100, "0" * 64), broken, clean, SMALL)


@given(st.binary(max_size=3000))
def test_whatever_the_bytes_a_check_ends_with_remarks_or_a_reason(data: bytes) -> None:
    for media_type in (OCTETS, PDF, ZIP):
        for start in (b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"%PDF-"):
            with contextlib.suppress(Refused):
                check(start + data, media_type)


@given(st.data())
def test_an_archive_that_was_tampered_with_ends_with_remarks_or_a_reason(
    data: st.DataObject,
) -> None:
    whole = bytearray(files.zipped({"a/b.txt": b"b" * 500, "c.zip": files.zipped({"d": b"e"})}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refused):
        check(bytes(whole), ZIP)


# ---- a document as a file ------------------------------------------------------------------------


class Stored:
    """Bytes made as they are read."""

    def __init__(self, size: int) -> None:
        self.size, self.read_bytes = size, 0

    def __call__(self, offset: int, length: int) -> Iterator[bytes]:
        self.read_bytes += length
        for start in range(offset, offset + length, 65_536):
            yield bytes(min(65_536, offset + length - start))


def test_a_large_document_is_read_in_blocks_and_few_of_them_are_kept() -> None:
    stored = Stored(1024**3)
    file = content.Content(stored, stored.size)
    tracemalloc.start()
    for place in range(0, stored.size, 16 * 1024 * 1024):
        file.seek(place)
        assert len(file.read(10)) == 10
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (content.BLOCKS + 3) * content.BLOCK_BYTES
    assert stored.read_bytes <= 65 * content.BLOCK_BYTES


@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(-1, 2_000_000)), max_size=8))
def test_a_document_reads_as_the_same_file_would(steps: list[tuple[int, int]]) -> None:
    data = (b"0123456789" * 250_001)[:2_500_001]
    file = content.Content(lambda offset, length: [data[offset : offset + length]], len(data))
    other = io.BytesIO(data)
    for place, size in steps:
        assert file.seek(place) == other.seek(place)
        assert file.read(size) == other.read(size)
        assert file.tell() == other.tell() or place > len(data)
    assert file.seek(-7, io.SEEK_END) == other.seek(-7, io.SEEK_END)
    assert file.read() == other.read()


def test_a_large_archive_is_walked_where_it_lies() -> None:
    data = files.zipped({f"{n}": hashlib.sha512(b"%d" % n).digest() * 40_000 for n in range(4)}, 0)
    assert len(data) > content.WHOLE_BYTES
    assert check(data, ZIP, policy=Policy()) == set()
    assert kinds.kind_of_content(data[: kinds.HEAD_BYTES]) == kinds.ZIP
