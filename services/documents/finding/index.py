"""The search index: what documents say, in blinded lexemes, within one transaction.

PostgreSQL parses texts and queries (`french`), within statements that store nothing; what is stored
and matched is blinded (`domain/words.py`).
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    DateTime,
    ForeignKey,
    Integer,
    cast,
    func,
    literal,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR, UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import InvalidInput
from services.documents.documents import DocumentRow, listed
from services.documents.domain.words import TEXT_POSITION, Vector, moved, terms, words
from services.documents.finding.search_keys import SearchKeys
from services.documents.keys import OwnerKeys

# Matches that are ranked, the newest: a word that is everywhere costs no more than that.
RANKED = 1000
# Ranks are compared and told in page tokens as whole numbers.
_SCALE = 1_000_000
# A word is worth less in a long document: by 1 + log of its length.
_BY_LENGTH = 1

_LEXEMES = text(
    "SELECT part.number, word.lexeme, word.positions"
    " FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS part (text, number),"
    " unnest(to_tsvector('pg_catalog.french', part.text)) AS word"
    " ORDER BY part.number, word.positions[1]"
)
_QUERY = text("SELECT CAST(websearch_to_tsquery('pg_catalog.french', :query) AS text)")
_KEPT = text(
    "SELECT word.lexeme, word.positions FROM search_entries,"
    " unnest(ts_filter(lexemes, '{d}')) AS word WHERE document_id = :document_id"
)


class EntryRow(Base):
    """What a document says. It goes with its document (ON DELETE CASCADE)."""

    __tablename__ = "search_entries"

    document_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(DocumentRow.document_id), primary_key=True
    )
    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    lexemes: Mapped[str] = mapped_column(TSVECTOR)


class Index:
    """The entries within one transaction.

    Raises, in each method:
        Gone: the owner's keys were destroyed. Unavailable: the keyring does not answer.
        Damaged: the search key was altered.
    """

    def __init__(self, session: Session, keys: OwnerKeys) -> None:
        self._session, self._keys = session, SearchKeys(session, keys)

    def put(self, row: DocumentRow, content: str) -> None:
        """Makes a document's entry, or makes it again, of what it says and what is said of it."""
        blinder = self._keys.blinder(row.owner_id)
        (vector,) = self._described([row])
        for _, lexeme, positions in parsed(self._session, [content]):
            vector.add(blinder.blind(lexeme), moved(positions, TEXT_POSITION, _END), "D")
        self._store([row], [vector])

    def put_named(self, rows: Sequence[DocumentRow]) -> None:
        """The same of documents that say nothing."""
        if rows:
            self._store(rows, self._described(rows))

    def describe(self, row: DocumentRow) -> None:
        """What is said of a document is other than it was; what it says stays."""
        (vector,) = self._described([row])
        for lexeme, positions in self._session.execute(_KEPT, {"document_id": row.document_id}):
            vector.add(lexeme, positions, "D")
        self._store([row], [vector])

    def search(
        self,
        owner_id: uuid.UUID,
        query: str,
        conditions: Sequence[ColumnElement[bool]],
        page_size: int,
        page_token: str,
    ) -> tuple[Sequence[DocumentRow], str]:
        """A page of an owner's documents that match, best first, and the token of the next one.

        Raises:
            InvalidInput: the query has no word; the page token is none of ours.
        """
        understood = self._session.scalar(_QUERY, {"query": terms(query)})
        if not understood:
            raise InvalidInput.field("q", "WORDS", "needs a word that can be looked for")
        blinder = self._keys.known(owner_id)
        if blinder is None:
            return [], ""
        blind = cast(literal(blinder.query(understood)), TSQUERY)
        matching = select(EntryRow).where(
            EntryRow.owner_id == owner_id, EntryRow.lexemes.bool_op("@@")(blind)
        )
        if conditions:
            matching = matching.join(
                DocumentRow, DocumentRow.document_id == EntryRow.document_id
            ).where(*conditions)
        newest = matching.order_by(EntryRow.create_time.desc(), EntryRow.document_id.desc())
        matches = newest.limit(RANKED).cte()
        score = cast(func.ts_rank(matches.c.lexemes, blind, _BY_LENGTH) * _SCALE, Integer)
        ranked = select(score.label("score"), matches.c.create_time, matches.c.document_id).cte()
        limit = paging.size(page_size)
        place = (ranked.c.score, ranked.c.create_time, ranked.c.document_id)
        page = (
            select(DocumentRow, ranked.c.score)
            .join(ranked, ranked.c.document_id == DocumentRow.document_id)
            .where(listed())
            .order_by(*(column.desc() for column in place))
            .limit(limit + 1)
        )
        if after := paging.position(page_token, int, str, str):
            lowest, moment, last = after
            before = (lowest, paging.moment(str(moment)), paging.identifier(str(last)))
            page = page.where(tuple_(*place) < tuple_(*before))
        found = self._session.execute(page).all()
        rows = [row for row, _ in found[:limit]]
        if len(found) <= limit:
            return rows, ""
        row, least = found[limit - 1]
        return rows, paging.token(least, row.create_time.isoformat(), str(row.document_id))

    def _described(self, rows: Sequence[DocumentRow]) -> list[Vector]:
        """What is said of each of them."""
        texts: list[str] = []
        for row in rows:
            order, noted = [row.folder, *row.labels], [*row.properties, *row.properties.values()]
            texts += (row.name, " ".join(order), " ".join(noted))
        vectors = [Vector() for _ in rows]
        for number, lexeme, positions in parsed(self._session, texts):
            place, part = divmod(number - 1, len(_SAID))
            start, weight = _SAID[part]
            blind = self._keys.blinder(rows[place].owner_id).blind(lexeme)
            vectors[place].add(blind, moved(positions, start, TEXT_POSITION - 1), weight)
        return vectors

    def _store(self, rows: Sequence[DocumentRow], vectors: Sequence[Vector]) -> None:
        statement = insert(EntryRow).values(
            [
                {
                    "document_id": row.document_id,
                    "owner_id": row.owner_id,
                    "create_time": row.create_time,
                    "lexemes": cast(literal(str(vector)), TSVECTOR),
                }
                for row, vector in zip(rows, vectors, strict=True)
            ]
        )
        self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["document_id"], set_={"lexemes": statement.excluded.lexemes}
            )
        )


def parsed(session: Session, texts: Iterable[str]) -> Iterator[tuple[int, str, Sequence[int]]]:
    """The lexemes of texts, by the text's number (from 1), with their positions (from 1)."""
    for row in session.execute(_LEXEMES, {"texts": [words(each) for each in texts]}):
        yield row.number, row.lexeme, row.positions


# Where name, order and metadata begin, and what a word in them weighs.
_SAID = ((1, "A"), (200, "B"), (900, "C"))
_END = 1 << 14
