"""What is to become of each file of an archive."""

import io
import zipfile

import pytest

from services.documents.domain.deposit import Announcement
from services.documents.domain.unpacking import Problem, Unfit, announced, files, path

LIMIT = 1000


def entry(name: str, size: int = 10, flags: int = 0x800) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.file_size, info.flag_bits = size, flags
    return info


def test_folders_and_what_systems_add_are_no_files() -> None:
    names = ["a.pdf", "b/", "__MACOSX/b/._c.pdf", "b/.DS_Store", "b/c.pdf", "Thumbs.db"]
    found = [(number, info.filename) for number, info in files(map(entry, names))]
    assert found == [(1, "a.pdf"), (5, "b/c.pdf")]


@pytest.mark.parametrize("encoding", ["utf-8", "cp850"])
def test_a_name_without_the_mark_of_utf_8_is_read_as_it_was_meant(encoding: str) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("X", b"x")
    name = "Impôts à payer/été.pdf".encode(encoding)
    raw = _renamed(data.getvalue(), name)
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        (info,) = archive.infolist()
        assert path(info) == "Impôts à payer/été.pdf"


def test_the_separators_of_windows_are_separators() -> None:
    told, folder = announced(entry("2026\\impôts\\avis.pdf"), "Mes pièces", LIMIT)
    assert (told.name, folder) == ("avis.pdf", "Mes pièces/2026/impôts")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("acte.pdf", "application/pdf"),
        ("ACTE.PDF", "application/pdf"),
        ("inconnu", "application/octet-stream"),
        # Compressed: it is not of the type that its name begins with.
        ("notes.txt.gz", "application/octet-stream"),
    ],
)
def test_a_file_is_announced_as_its_name_tells(name: str, media_type: str) -> None:
    assert announced(entry(name), "", LIMIT) == (Announcement(name, media_type, 10), "")


def test_what_cannot_be_a_document_has_its_problem() -> None:
    def problem(info: zipfile.ZipInfo) -> Problem:
        with pytest.raises(Unfit) as unfit:
            announced(info, "", LIMIT)
        return unfit.value.problem

    unknown = entry("a.pdf")
    unknown.compress_type = 97
    assert problem(entry("a.pdf", size=0)) is Problem.EMPTY
    assert problem(entry("a.pdf", size=LIMIT + 1)) is Problem.TOO_LARGE
    assert problem(entry("a.pdf", flags=0x801)) is Problem.ENCRYPTED
    assert problem(unknown) is Problem.NOT_OPENED
    assert problem(entry("a/\u200b")) is Problem.NAME
    assert problem(entry("/".join("abcdefghij"))) is Problem.NAME


def _renamed(archive: bytes, name: bytes) -> bytes:
    """An archive of one entry, called `X` and without an X in its content, called otherwise."""
    length = len(name).to_bytes(2, "little")
    local, central = archive.index(b"PK\x03\x04"), archive.index(b"PK\x01\x02")
    end = archive.index(b"PK\x05\x06")
    first = archive[local : local + 26] + length + archive[local + 28 : local + 30] + name
    body = archive[local + 31 : central]
    entry = archive[central : central + 28] + length + archive[central + 30 : central + 46] + name
    entry += archive[central + 47 : end]
    tail = archive[end : end + 12] + len(entry).to_bytes(4, "little")
    tail += len(first + body).to_bytes(4, "little") + archive[end + 20 :]
    return first + body + entry + tail
