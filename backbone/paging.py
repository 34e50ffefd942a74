"""Opaque page tokens (AIP-158): where the next page starts, in the order of the list."""

import base64
import binascii
import uuid
from datetime import datetime

import orjson

from backbone.errors import InvalidInput

DEFAULT_SIZE = 50


def size(requested: int) -> int:
    """The size of a page: what was asked (the contract bounds it), or 50."""
    return requested or DEFAULT_SIZE


def token(*position: str | int) -> str:
    """The token of the page that starts after `position`."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def position(page_token: str, *kinds: type) -> list[str | int] | None:
    """What `token` was given; None for the first page.

    Raises:
        InvalidInput: the token is none of ours.
    """
    if not page_token:
        return None
    try:
        decoded = orjson.loads(base64.urlsafe_b64decode(page_token + "=" * (-len(page_token) % 4)))
    except (binascii.Error, ValueError):
        decoded = None
    if (
        not isinstance(decoded, list)
        or len(decoded) != len(kinds)
        or not all(type(item) is kind for item, kind in zip(decoded, kinds, strict=True))
    ):
        raise _foreign()
    return decoded


def moment(text: str) -> datetime:
    """A time within a page token. Raises `InvalidInput` like `position`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _foreign() from None


def identifier(text: str) -> uuid.UUID:
    """An identifier within a page token. Raises `InvalidInput` like `position`."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise _foreign() from None


def _foreign() -> InvalidInput:
    return InvalidInput.field(
        "page_token", "PAGE_TOKEN", "use the `next_page_token` of a response, or leave it out"
    )
