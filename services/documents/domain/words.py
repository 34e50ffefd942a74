"""Words that can be found without being written down.

PostgreSQL makes a text into lexemes; each is kept as the first 80 bits of its HMAC-SHA256 (RFC
2104) under the owner's search key. Who has the index and not the key sees which documents of one
owner share a word, not which word it is (docs/adr/0018-blind-search.md).
"""

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Sequence

KEY_BYTES, BLIND_BYTES = 32, 10
# PostgreSQL counts no further than this, and calls what follows the same place.
LAST_POSITION = 16_383
# What is said of a document takes the places before it, its text those from here.
TEXT_POSITION = 2_000
# Distinct words of one document: together they stay below PostgreSQL's limit of 1 MiB.
MAX_LEXEMES = 20_000

_BETWEEN_WORDS = re.compile(r"[\W_]+")
# Of what is no word in a query, quotes and the minus before a word have a meaning.
_BETWEEN_TERMS = re.compile(r'((?<!\S)-(?=[\w"])|")|[\W_]')
_QUOTED = re.compile(r"'((?:[^'\\]|''|\\.)*)'")
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae"})


def words(text: str) -> str:
    """A text as PostgreSQL's parser is given it: words and spaces, in lower case, so that it sees
    neither addresses nor file names, and an elided article (l’impôt) is a word of its own.
    """
    return _BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFC", text).lower())


def terms(query: str) -> str:
    """A query, likewise, for ``websearch_to_tsquery``."""
    lowered = unicodedata.normalize("NFC", query).lower()
    return _BETWEEN_TERMS.sub(lambda found: found[1] or " ", lowered)


def fold(lexeme: str) -> str:
    """Without accents and ligatures: ``impôt`` and ``impot`` are one."""
    spread = unicodedata.normalize("NFKD", lexeme.translate(_LIGATURES))
    return "".join(char for char in spread if not unicodedata.combining(char))


class Blinder:
    """Blinds the lexemes of one owner."""

    def __init__(self, key: bytes) -> None:
        self._hmac = hmac.new(key, digestmod=hashlib.sha256)

    def blind(self, lexeme: str) -> str:
        """16 letters and digits."""
        keyed = self._hmac.copy()
        keyed.update(fold(lexeme).encode())
        return base64.b32encode(keyed.digest()[:BLIND_BYTES]).decode().lower()

    def query(self, parsed: str) -> str:
        """A parsed query (the text of a ``tsquery``) with each lexeme blinded."""
        return _QUOTED.sub(lambda found: f"'{self.blind(_unquoted(found[1]))}'", parsed)


def _unquoted(lexeme: str) -> str:
    return re.sub(r"''|\\(.)", lambda found: found[1] or "'", lexeme)


class Vector:
    """The blinded lexemes of a document: a ``tsvector`` in the making."""

    def __init__(self) -> None:
        self._places: dict[str, dict[int, str]] = {}

    def add(self, lexeme: str, positions: Iterable[int], weight: str) -> None:
        """More of a lexeme; what is beyond MAX_LEXEMES is left out."""
        if lexeme in self._places or len(self._places) < MAX_LEXEMES:
            places = self._places.setdefault(lexeme, {})
            for position in positions:
                places.setdefault(min(position, LAST_POSITION), weight)

    def __str__(self) -> str:
        """The text form of a ``tsvector``."""
        return " ".join(
            f"'{lexeme}':" + ",".join(f"{place}{weight}" for place, weight in places.items())
            for lexeme, places in self._places.items()
        )


def moved(positions: Sequence[int], start: int, last: int) -> list[int]:
    """Positions from 1, as from `start` on; none is past `last`."""
    return [min(position + start - 1, last) for position in positions]
