"""The rpcs about receipts of deposits, and what runs behind them."""

import time
from collections.abc import Callable, Iterator

from administration.documents.v1 import documents_pb2, downloads_pb2
from prometheus_client import Gauge
from sqlalchemy.orm import Session

from backbone.chunks import Chunk
from backbone.database import Transactions, after_commit
from backbone.errors import Unavailable
from backbone.live import Watchers
from backbone.loops import loop
from backbone.rpc import Call, Grpc
from services.documents import accesses
from services.documents.content_row import ContentRow
from services.documents.documents import DocumentRow, Documents
from services.documents.log import BATCH, Log
from services.documents.sharing.reading_methods import Opened
from services.documents.signing import Seals

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")

# How long a receipt is waited for, and how often it is asked for what no bell rings.
RECEIPT_SECONDS, RECEIPT_PAUSE = 3.0, 0.1
OLDEST = Gauge("log_oldest_seconds", "Age of the oldest deposit that has no place in the log.")


class ReceiptMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    call: Call
    live: Watchers
    seals: Seals
    _opened: Callable[[str, str, int], Opened]
    _of_version: Callable[[Session, DocumentRow, int], ContentRow]

    @loop(every=0.4)
    def integrate_deposits(self) -> bool:
        """Gives deposits their places in the log; true when more may wait."""
        with self.db.transaction() as session:
            log = Log(session)
            count = log.integrate(self.seals.signer)
            if count:
                size = log.size()
                after_commit(lambda: self.live.ring({Log.NAME: size}))
            oldest = log.oldest_waiting()
        OLDEST.set(max(0.0, time.time() - oldest.timestamp()) if oldest else 0.0)
        # What came meanwhile can wait for the next turn: a batch costs much the same however small.
        return count == BATCH

    @loop(every=1.0)
    def stamp_checkpoint(self) -> bool:
        """Has the latest checkpoint stamped, and so every deposit before it."""
        if self.seals.authority is None:
            return False
        with self.db.transaction() as session:
            checkpoint = Log(session).unstamped()
        if checkpoint is not None:
            reply = self.seals.authority.stamp(checkpoint.note)
            with self.db.transaction() as session:
                Log(session).stamp(checkpoint.tree_size, reply)
        return False

    @grpc
    def get_receipt(
        self, request: documents_pb2.GetReceiptRequest
    ) -> documents_pb2.GetReceiptResponse:
        receipt, _ = self._awaited(request.document_id, request.version)
        return documents_pb2.GetReceiptResponse(receipt=receipt)

    @grpc
    def render_receipt(
        self, request: downloads_pb2.RenderReceiptRequest
    ) -> Iterator[downloads_pb2.RenderReceiptResponse | Chunk]:
        # What writes PDF takes 16 MiB of a process, most of which never do.
        from services.documents import paper

        receipt, name = self._awaited(request.document_id, request.version)
        data = paper.render(receipt, name)
        header = downloads_pb2.Download(
            file_name=f"recu-{receipt.document_id}-{receipt.version}.pdf",
            media_type=paper.MEDIA_TYPE,
            size_bytes=len(data),
        )
        yield downloads_pb2.RenderReceiptResponse(header=header)
        yield Chunk(data)

    def _awaited(self, document_id: str, version: int) -> tuple[documents_pb2.Receipt, str]:
        """The receipt of a version, once it has its place, and the document's name.

        Raises:
            NotFound, Conflict: as the contract says. Unavailable: it has no place yet.
        """
        end = time.monotonic() + RECEIPT_SECONDS
        name = self._opened(document_id, accesses.RECEIPT, version).row.name
        size, receipt = self._receipt(document_id, version)
        with self.live.watching(Log.NAME, self.call.acting.actor.subject) as bell:
            while not self._complete(receipt) and self.call.active() and time.monotonic() < end:
                bell.wait(size, timeout=RECEIPT_PAUSE)
                size, receipt = self._receipt(document_id, version)
        if receipt is None:
            detail = "The deposit has no place in the log yet; ask again."
            raise Unavailable(detail, reason="RECEIPT_PENDING")
        return receipt, name

    def _receipt(self, document_id: str, version: int) -> tuple[int, documents_pb2.Receipt | None]:
        """The size of the log, and the receipt that it gives."""
        with self.db.transaction() as session:
            log = Log(session)
            row = self._of_version(session, Documents(session).known(document_id), version)
            row.require_not_refused()
            return log.size(), log.receipt(row)

    def _complete(self, receipt: documents_pb2.Receipt | None) -> bool:
        return receipt is not None and bool(receipt.time_stamp or not self.seals.authority)

    @grpc
    def get_checkpoint(
        self, request: documents_pb2.GetCheckpointRequest
    ) -> documents_pb2.GetCheckpointResponse:
        with self.db.transaction() as session:
            return Log(session).checkpoint()

    @grpc
    def get_consistency_proof(
        self, request: documents_pb2.GetConsistencyProofRequest
    ) -> documents_pb2.GetConsistencyProofResponse:
        with self.db.transaction() as session:
            return Log(session).consistency(request.first_size, request.second_size)
