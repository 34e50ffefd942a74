"""Office documents: OOXML (ISO/IEC 29500) and OpenDocument (ISO/IEC 26300), both XML in ZIP.

Parsed as a stream that ends when there is text enough, and at the first entity that a document
declares: office documents declare none, and bombs do.
"""

import io
import re
import zipfile
import zlib
from xml.parsers import expat

from services.documents.finding.reader.limits import PAGES, TEXT_BYTES, CannotRead

CHUNK_BYTES = 64 * 1024
# Of all parts together, unpacked.
MAX_BYTES = 64 * 1024 * 1024
_OPENDOCUMENT = "content.xml"
_PARTS = re.compile(
    r"word/(document|footnotes|endnotes|header\d*|footer\d*)\.xml"
    r"|xl/(sharedStrings|worksheets/sheet\d+)\.xml|ppt/(slides|notesSlides)/\w+\.xml"
    rf"|{_OPENDOCUMENT}"
)
# The element of OOXML that holds text; all of OpenDocument's body does.
_TEXT = "t"
# What ends a word: paragraphs, cells, shared strings, tabs, breaks, spaces. Runs of one paragraph
# may be parts of one.
_ENDS = frozenset({"p", "h", "si", "c", "tab", "br", "line-break", "s"})
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError,
            ValueError, expat.ExpatError)  # fmt: skip


def read(data: bytes) -> tuple[str, bytes]:
    """The text, and no picture. Of a document that is damaged, what comes before that."""
    text, left = _Text(), MAX_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = sorted(filter(_PARTS.fullmatch, archive.namelist()), key=_order)
            for name in names[:PAGES]:
                parser = text.parser(every=name == _OPENDOCUMENT)
                with archive.open(name) as part:
                    while not text.full and left > 0 and (chunk := part.read(CHUNK_BYTES)):
                        parser.Parse(chunk, False)
                        left -= len(chunk)
    except _DAMAGED as error:
        if not text.parts:
            raise CannotRead from error
    return "".join(text.parts), b""


def _order(name: str) -> tuple[str, int]:
    """Slide 10 after slide 9."""
    number = re.search(r"(\d+)\.xml", name)
    return re.sub(r"\d+\.xml", "", name), int(number[1]) if number else 0


class _Text:
    """The text of parts, up to its limit."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._left, self._within = TEXT_BYTES, 0

    @property
    def full(self) -> bool:
        return self._left <= 0

    def parser(self, *, every: bool) -> expat.XMLParserType:
        """What takes the text of one part: of `every` element, or of `t` alone."""
        parser = expat.ParserCreate()
        self._within = int(every)

        def start(name: str, _: object) -> None:
            self._within += _local(name) == _TEXT

        def end(name: str) -> None:
            local = _local(name)
            self._within -= local == _TEXT
            if local in _ENDS:
                self._add(" ")

        def text(data: str) -> None:
            if self._within:
                self._add(data)

        def refuse(*_: object) -> None:
            raise CannotRead

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler, parser.EntityDeclHandler = text, refuse
        return parser

    def _add(self, data: str) -> None:
        if not self.full:
            self.parts.append(data)
            self._left -= len(data)


def _local(name: str) -> str:
    return name.rpartition(":")[2]
