"""HTML pages: what a reader sees of them."""

from html.parser import HTMLParser

from services.documents.finding.reader.limits import TEXT_BYTES
from services.documents.finding.reader.plain import decoded

_UNSEEN = ("script", "style", "template", "noscript")
# More is markup than text.
_BYTES = 16 * TEXT_BYTES


def read(data: bytes) -> tuple[str, bytes]:
    """The text, and no picture."""
    page = _Page()
    page.feed(decoded(data[:_BYTES]))
    return " ".join(page.parts), b""


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._left, self._unseen = TEXT_BYTES, 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._unseen += tag in _UNSEEN

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in _UNSEEN))

    def handle_data(self, data: str) -> None:
        if not self._unseen and self._left > 0:
            self.parts.append(data)
            self._left -= len(data)
