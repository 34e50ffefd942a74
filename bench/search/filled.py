"""A vault with very many documents of one person, written past its service."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice

import grpc
import psycopg
from psycopg import sql
from sqlalchemy import create_engine

from backbone import contracts
from backbone.database import Transactions
from backbone.rpc.client import Stub
from bench import stack
from bench.search.texts import documents, vocabulary
from services.documents.domain.words import TEXT_POSITION, Vector, moved
from services.documents.finding.index import parsed
from services.documents.finding.search_keys import SearchKeys
from services.documents.keys import OwnerKeys

BATCH = 500
# The same places and weights as the service gives to names and texts.
_WEIGHTS = ((1, "A"), (TEXT_POSITION, "D"))
_LAST = 1 << 14


class _Token:
    """The documents service's own: owners' keys are given to it alone."""

    def __init__(self, running: stack.Stack) -> None:
        self._token = stack.service_token(running, "documents")

    def get(self) -> str:
        return self._token


def fill(running: stack.Stack, url: str, owner_id: uuid.UUID, count: int) -> list[str]:
    """Puts `count` documents and their entries there, and a table of plain entries beside them.

    The words that they are made of, the most common first.
    """
    words = vocabulary()
    made = documents(words, count)
    database = Transactions(create_engine(url))
    with _owner_keys(running) as keys, database.transaction() as session:
        blind = cache(SearchKeys(session, keys).blinder(owner_id).blind)
    with psycopg.connect(url.replace("postgresql+psycopg:", "postgresql:")) as connection:
        connection.execute("DROP INDEX search_entries_by_lexeme")
        connection.execute("CREATE TABLE plain_entries (LIKE search_entries)")
        for first in range(0, count, BATCH):
            batch = list(islice(made, BATCH))
            with database.transaction() as session:
                found = list(parsed(session, [text for pair in batch for text in pair]))
            for table, word in (("search_entries", blind), ("plain_entries", str)):
                _write(connection, table, owner_id, first, batch, _vectors(found, word, len(batch)))
            if first % 10_000 == 0:
                print(f"  {first:,} of {count:,} documents", flush=True)
        connection.execute("CREATE INDEX ON search_entries USING gin (lexemes)")
        connection.execute("CREATE INDEX ON plain_entries USING gin (lexemes)")
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE documents, search_entries, plain_entries")
    database.engine.dispose()
    return words


@contextmanager
def _owner_keys(running: stack.Stack) -> Iterator[OwnerKeys]:
    with grpc.insecure_channel(running["services"]["identity"]["grpc"]) as channel:
        yield OwnerKeys(Stub(contracts.SERVICES["identity"], channel, _Token(running)))  # type: ignore[arg-type]


def _vectors(
    found: Sequence[tuple[int, str, Sequence[int]]], word: Callable[[str], str], count: int
) -> list[str]:
    vectors = [Vector() for _ in range(count)]
    for number, lexeme, positions in found:
        document, part = divmod(number - 1, 2)
        start, weight = _WEIGHTS[part]
        vectors[document].add(word(lexeme), moved(positions, start, _LAST), weight)
    return [str(vector) for vector in vectors]


def _write(
    connection: psycopg.Connection,
    table: str,
    owner_id: uuid.UUID,
    first: int,
    batch: Sequence[tuple[str, str]],
    vectors: Sequence[str],
) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=365)
    cursor = connection.cursor()
    rows = [
        (uuid.uuid5(owner_id, str(first + n)), owner_id, start + timedelta(seconds=first + n))
        for n in range(len(batch))
    ]
    if table == "search_entries":
        columns = (
            "document_id, owner_id, create_time, kind, content_id,"
            " name, media_type, size_bytes, sha256, state"
        )
        # With a place in the log of receipts already: nothing else is to be done about them.
        with cursor.copy(f"COPY documents ({columns}, index_time, leaf_index) FROM STDIN") as copy:
            for place, (row, (name, _)) in enumerate(zip(rows, batch, strict=True), start=first):
                said = (name, "application/pdf", 1, "0" * 64, "AVAILABLE", None, place)
                copy.write_row((*row, "document", row[0], *said))
    entries = sql.SQL("COPY {} (document_id, owner_id, create_time, lexemes) FROM STDIN")
    with cursor.copy(entries.format(sql.Identifier(table))) as copy:
        for row, vector in zip(rows, vectors, strict=True):
            copy.write_row((*row, vector))
