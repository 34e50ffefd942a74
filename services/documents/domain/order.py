"""Where a person puts a document, what they note about it, what they call it: cleaned, bounded."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from backbone.errors import InvalidInput
from services.documents.domain.deposit import clean_name, visible

LEVELS, LEVEL_LENGTH = 8, 64
_EDGES = re.compile(r"^[\s.]+|[\s.]+$")


def clean_folder(path: str) -> str:
    """A path such as ``Impôts/2026``: NFC, no empty level; "" for no folder.

    Raises:
        InvalidInput: a level has no visible character, or is too long, or there are too many.
    """
    levels = [_EDGES.sub("", visible(level)) for level in path.split("/") if level.strip()]
    if not all(levels):
        raise InvalidInput.field("folder", "NAME", "needs a visible character in each level")
    if len(levels) > LEVELS:
        raise InvalidInput.field("folder", "DEPTH", f"has more than {LEVELS} levels")
    if any(len(level) > LEVEL_LENGTH for level in levels):
        raise InvalidInput.field(
            "folder", "MAX_LENGTH", f"has a level of more than {LEVEL_LENGTH} characters"
        )
    return "/".join(levels)


def clean_labels(labels: Iterable[str]) -> list[str]:
    """Labels as they were given, each once.

    Raises:
        InvalidInput: one has no visible character.
    """
    cleaned = [clean_label(label) for label in labels]
    if not all(cleaned):
        raise InvalidInput.field("labels", "NAME", "needs a visible character in each label")
    return list(dict.fromkeys(cleaned))


def clean_label(label: str) -> str:
    return " ".join(visible(label).split())


def clean_metadata(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What is noted about a document, by its keys.

    Raises:
        InvalidInput: a key has no visible character, or is there twice.
    """
    noted: dict[str, str] = {}
    for key, value in pairs:
        cleaned = clean_label(key)
        if not cleaned:
            raise InvalidInput.field("metadata", "NAME", "needs a visible character in each key")
        if cleaned in noted:
            raise InvalidInput.field("metadata", "KEY_TWICE", "has a key twice")
        noted[cleaned] = visible(value).strip()
    return noted


def renamed(old: str, new: str) -> str:
    """A new file name. Its extension was checked against the content: it stays.

    Raises:
        InvalidInput: nothing visible is left of it, or it has another extension.
    """
    cleaned = clean_name(new)
    if PurePosixPath(cleaned).suffix.lower() != PurePosixPath(old).suffix.lower():
        raise InvalidInput.field("name", "EXTENSION", "must keep the extension that it has")
    return cleaned
