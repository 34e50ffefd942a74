"""The log of deposits: an append-only Merkle tree beside the documents, within one transaction.

A deposit writes nothing here: its row, once it is available, is without a place until `integrate`
gives it one. So none can be missing, however late its transaction commits and whatever is killed
meanwhile, and no deposit waits for the log. One process integrates at a time; a batch becomes
visible whole, with its checkpoint.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from administration.documents.v1 import documents_pb2
from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    LargeBinary,
    SmallInteger,
    String,
    and_,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from backbone.errors import InvalidInput, NotFound
from backbone.receipts import merkle
from backbone.receipts.leaf import SALT_BYTES, Entry
from backbone.receipts.notes import Signer
from services.documents.content_row import ContentRow, State

BATCH = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK = text(
    "SELECT pg_try_advisory_xact_lock(hashtext('documents.log'), hashtext(current_schema()))"
)
_ADD_NODES = text(
    "INSERT INTO log_nodes SELECT * FROM"
    " unnest(CAST(:levels AS smallint[]), CAST(:indexes AS bigint[]), CAST(:hashes AS bytea[]))"
)
_PLACE = text(
    "UPDATE documents SET leaf_index = place.leaf_index, leaf_salt = place.leaf_salt"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:indexes AS bigint[]), CAST(:salts AS bytea[]))"
    " AS place (document_id, leaf_index, leaf_salt)"
    " WHERE documents.document_id = place.document_id"
)


# What may yet be refused, or was, is no deposit that a receipt could prove.
_WAITING = and_(ContentRow.leaf_index.is_(None), ContentRow.state == State.AVAILABLE)


class NodeRow(Base):
    """The root of a complete subtree: see `backbone.receipts.merkle`."""

    __tablename__ = "log_nodes"

    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class CheckpointRow(Base):
    """A checkpoint, with the key that signed it: a later one may have another."""

    __tablename__ = "log_checkpoints"

    tree_size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    note: Mapped[str] = mapped_column(String)
    key: Mapped[str] = mapped_column(String)
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )


class TimeStampRow(Base):
    """What an authority replied about a checkpoint."""

    __tablename__ = "log_time_stamps"

    tree_size: Mapped[int] = mapped_column(
        ForeignKey(CheckpointRow.tree_size), primary_key=True, autoincrement=False
    )
    reply: Mapped[bytes] = mapped_column(LargeBinary)
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )


class Log:
    """The log's rows within one transaction."""

    # Of the bell that rings when the log has grown.
    NAME = "log"

    def __init__(self, session: Session) -> None:
        self._session = session

    def size(self) -> int:
        """Entries that the latest checkpoint has."""
        return self._session.scalar(select(func.max(CheckpointRow.tree_size))) or 0

    # ---- writing --------------------------------------------------------------------------------

    def integrate(self, signer: Signer) -> int:
        """Gives a place to the oldest deposits without one; how many, 0 also while another does.

        Those that committed before an earlier batch are in it or before it; within a batch they
        are by the time of their deposit.
        """
        if not self._session.scalar(_LOCK):
            return 0
        query = (
            select(ContentRow)
            .where(_WAITING)
            .order_by(ContentRow.deposit_time, ContentRow.document_id)
            .limit(BATCH)
            # A content stays in its row until it has its place; one that moves now is for later.
            .with_for_update(skip_locked=True, key_share=True)
        )
        rows = self._session.scalars(query).all()
        if not rows:
            return 0
        size = self.size()
        salts = [secrets.token_bytes(SALT_BYTES) for _ in rows]
        leaves = [_entry(row, salt).leaf() for row, salt in zip(rows, salts, strict=True)]
        nodes, peaks = merkle.append(size, self._hashes(merkle.subtrees(0, size)), leaves)
        self._session.execute(
            _ADD_NODES,
            {
                "levels": [level for level, _ in nodes],
                "indexes": [index for _, index in nodes],
                "hashes": list(nodes.values()),
            },
        )
        grown = size + len(rows)
        self._session.add(
            CheckpointRow(
                tree_size=grown,
                note=signer.sign(grown, merkle.joined(peaks)),
                key=str(signer.verifier),
            )
        )
        self._session.execute(
            _PLACE,
            {
                "ids": [row.document_id for row in rows],
                "indexes": list(range(size, grown)),
                "salts": salts,
            },
        )
        return len(rows)

    def unstamped(self) -> CheckpointRow | None:
        """The latest checkpoint, unless an authority has stamped it."""
        checkpoint = self._latest()
        if checkpoint is None:
            return None
        stamped = self._session.get(TimeStampRow, checkpoint.tree_size) is not None
        return None if stamped else checkpoint

    def stamp(self, tree_size: int, reply: bytes) -> None:
        """Keeps a time stamp; one that another process had first stays."""
        statement = insert(TimeStampRow).values(tree_size=tree_size, reply=reply)
        self._session.execute(statement.on_conflict_do_nothing())

    # ---- reading --------------------------------------------------------------------------------

    def oldest_waiting(self) -> datetime | None:
        """When the oldest deposit without a place was made."""
        return self._session.scalar(select(func.min(ContentRow.deposit_time)).where(_WAITING))

    def checkpoint(self) -> documents_pb2.GetCheckpointResponse:
        """Raises:
        NotFound: the log is empty.
        """
        row = self._latest()
        if row is None:
            raise NotFound("Nothing was deposited yet.", reason="LOG_EMPTY")
        return documents_pb2.GetCheckpointResponse(checkpoint=row.note, key=row.key)

    def consistency(self, first: int, second: int) -> documents_pb2.GetConsistencyProofResponse:
        """Raises:
        InvalidInput: the log has no such sizes.
        """
        size = self.size()
        second = second or size
        for name, value, limit in (("second_size", second, size), ("first_size", first, second)):
            if value > limit:
                raise InvalidInput.field(name, "MAXIMUM", f"must be at most {limit}")
        return documents_pb2.GetConsistencyProofResponse(
            first_size=first,
            second_size=second,
            proof=self._proof(merkle.consistency_ranges(first, second)),
        )

    def receipt(self, row: ContentRow) -> documents_pb2.Receipt | None:
        """The receipt of a deposit; None while it has no place.

        It is by the earliest checkpoint that covers it and has a time stamp, and so the same from
        then on; by the earliest of all before that.
        """
        if row.leaf_index is None or row.leaf_salt is None:
            return None
        query = (
            select(CheckpointRow, TimeStampRow.reply)
            .outerjoin(TimeStampRow)
            .where(CheckpointRow.tree_size > row.leaf_index)
            .order_by(CheckpointRow.tree_size)
            .limit(1)
        )
        stamped = self._session.execute(query.where(TimeStampRow.reply.is_not(None))).one_or_none()
        checkpoint, reply = stamped or self._session.execute(query).one()
        size = checkpoint.tree_size
        receipt = documents_pb2.Receipt(
            document_id=str(row.told_id),
            version=row.version,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            salt=row.leaf_salt,
            leaf_index=row.leaf_index,
            tree_size=size,
            inclusion_proof=self._proof(merkle.inclusion_ranges(row.leaf_index, size)),
            checkpoint=checkpoint.note,
            key=checkpoint.key,
            time_stamp=reply or b"",
        )
        receipt.deposit_time.FromDatetime(row.deposit_time)
        return receipt

    def _latest(self) -> CheckpointRow | None:
        query = select(CheckpointRow).order_by(CheckpointRow.tree_size.desc()).limit(1)
        return self._session.scalar(query)

    def _proof(self, ranges: Sequence[merkle.Range]) -> list[bytes]:
        """The hashes of ranges, read at once: about twice log2 of the size in all."""
        parts = [list(merkle.subtrees(start, end)) for start, end in ranges]
        found = iter(self._hashes(position for part in parts for position in part))
        return [merkle.joined([next(found) for _ in part]) for part in parts]

    def _hashes(self, positions: Iterable[merkle.Position]) -> list[bytes]:
        wanted = list(positions)
        if not wanted:
            return []
        query = select(NodeRow.level, NodeRow.index, NodeRow.hash).where(
            tuple_(NodeRow.level, NodeRow.index).in_(wanted)
        )
        found = {(level, index): value for level, index, value in self._session.execute(query)}
        return [found[position] for position in wanted]


def _entry(row: ContentRow, salt: bytes) -> Entry:
    return Entry(
        salt=salt,
        document_id=row.told_id,
        version=row.version,
        time_us=(row.deposit_time - _EPOCH) // timedelta(microseconds=1),
        size_bytes=row.size_bytes,
        sha256=bytes.fromhex(row.sha256),
    )
