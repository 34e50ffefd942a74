"""Opaque page tokens (AIP-158): where the next page starts, in the order of the list."""

import base64
import binascii
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from backbone.errors import InvalidInput

DEFAULT_SIZE = 50

Row = TypeVar("Row")


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
        raise foreign()
    return decoded


def moment(text: str) -> datetime:
    """A time within a page token. Raises `InvalidInput` like `position`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise foreign() from None


def identifier(text: str) -> uuid.UUID:
    """An identifier within a page token. Raises `InvalidInput` like `position`."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise foreign() from None


def newest_first(
    session: Session,
    query: Select[Row],
    columns: Sequence[InstrumentedAttribute[Any]],
    page_size: int,
    page_token: str,
) -> tuple[Sequence[Row], str]:
    """A page of a query's rows in the falling order of `columns`, and the token of the next one.

    Together the columns are unique; each is a time, an identifier or a whole number.

    Raises:
        InvalidInput: the token is none of ours.
    """
    limit = size(page_size)
    forms = [_FORMS[column.type.python_type] for column in columns]
    if after := position(page_token, *(form.kind for form in forms)):
        read = [form.read(item) for form, item in zip(forms, after, strict=True)]
        query = query.where(tuple_(*columns) < tuple_(*read))
    query = query.order_by(*(column.desc() for column in columns)).limit(limit + 1)
    rows = session.scalars(query).all()
    if len(rows) <= limit:
        return rows, ""
    last = rows[limit - 1]
    written = (
        form.write(getattr(last, column.key)) for form, column in zip(forms, columns, strict=True)
    )
    return rows[:limit], token(*written)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a column's value stands in a token."""

    kind: type
    write: Callable[[Any], str | int]
    read: Callable[[Any], Any]


_FORMS = {
    datetime: _Form(str, datetime.isoformat, moment),
    uuid.UUID: _Form(str, str, identifier),
    int: _Form(int, int, int),
}


def foreign() -> InvalidInput:
    """What a token that none of our methods gave is answered with."""
    return InvalidInput.field(
        "page_token", "PAGE_TOKEN", "use the `next_page_token` of a response, or leave it out"
    )
