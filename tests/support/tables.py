"""The services' tables, read past the services: what is stored, and what is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row


class Tables:
    """The database of a running stack, as its superuser sees it."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def rows(self, query: LiteralString, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query; tables are named with their schema."""
        cursor = self._connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []

    def count(self, query: LiteralString, *values: Any) -> int:
        """How many rows a query has."""
        return len(self.rows(query, *values))

    def close(self) -> None:
        self._connection.close()


@contextmanager
def tables(url: str) -> Iterator[Tables]:
    opened = Tables(url)
    try:
        yield opened
    finally:
        opened.close()
