"""Documents: the vault."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from administration.documents.v1 import documents_pb2, events_pb2
from prometheus_client import Gauge
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.orm import Session

from backbone.database import Database, Transactions, after_commit
from backbone.dependencies import Settings
from backbone.errors import Conflict, InvalidInput, Unavailable
from backbone.events import Events, Publisher
from backbone.live import Live, Watchers
from backbone.loops import loop
from backbone.rpc import Call, CurrentCall, Grpc
from backbone.settings import PREFIX
from services.documents import accesses
from services.documents.accesses import Accesses
from services.documents.documents import DocumentRow, Documents
from services.documents.domain import ranges
from services.documents.domain.deposit import Announcement, Intake, clean_name
from services.documents.log import Log
from services.documents.signing import Sealing, Seals
from services.documents.store import ObjectStore, Store

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")

# How long a receipt is waited for, and how often it is asked for what no bell rings.
RECEIPT_SECONDS, RECEIPT_PAUSE = 3.0, 0.1
WATCHERS = Gauge("receipt_watchers", "Callers who wait for a receipt.")
OLDEST = Gauge("log_oldest_seconds", "Age of the oldest deposit that has no place in the log.")


class VaultSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}DOCUMENTS_")

    max_bytes: int = 100 * 1024 * 1024


class DocumentsService:
    name = "documents"

    db: Transactions = Database()
    events: Publisher = Events()
    call: Call = CurrentCall()
    live: Watchers = Live(WATCHERS)
    store: ObjectStore = Store()
    seals: Seals = Sealing()
    settings: VaultSettings = Settings(VaultSettings)

    @grpc
    def deposit_document(
        self, requests: Iterator[documents_pb2.DepositDocumentRequest]
    ) -> documents_pb2.DepositDocumentResponse:
        announced = _announcement(next(requests, None))
        intake = Intake(announced, _chunks(requests), self.settings.max_bytes)
        row = DocumentRow(
            document_id=uuid.uuid4(),
            owner_id=uuid.UUID(self.call.authenticated.subject),
            name=announced.name,
            media_type=announced.media_type,
        )
        self.store.put(row.key, intake, announced.media_type)
        row.size_bytes, row.sha256 = intake.size_bytes, intake.sha256
        # Should this fail, the bytes stay behind unreferenced. Deleting them here could destroy a
        # document: a commit whose answer is lost may have happened.
        self._record(row)
        return documents_pb2.DepositDocumentResponse(document=row.to_proto())

    def _record(self, row: DocumentRow) -> None:
        with self.db.transaction() as session:
            Documents(session).add(row)
            event = events_pb2.DocumentDeposited(
                document_id=str(row.document_id),
                owner_id=str(row.owner_id),
                media_type=row.media_type,
                size_bytes=row.size_bytes,
            )
            event.create_time.FromDatetime(row.create_time)
            self.events.publish(event)

    @grpc
    def list_documents(
        self, request: documents_pb2.ListDocumentsRequest
    ) -> documents_pb2.ListDocumentsResponse:
        owner = self.call.authenticated.subject
        with self.db.transaction() as session:
            rows, token = Documents(session).page(owner, request.page_size, request.page_token)
        return documents_pb2.ListDocumentsResponse(
            documents=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def get_document(
        self, request: documents_pb2.GetDocumentRequest
    ) -> documents_pb2.GetDocumentResponse:
        with self.db.transaction() as session:
            row = Documents(session).readable(request.document_id, self.call.authenticated)
            self._accesses(session).record(row, accesses.DESCRIBE)
        return documents_pb2.GetDocumentResponse(document=row.to_proto())

    @grpc
    def read_content(
        self, request: documents_pb2.ReadContentRequest
    ) -> Iterator[documents_pb2.ReadContentResponse]:
        with self.db.transaction() as session:
            row = Documents(session).readable(request.document_id, self.call.authenticated)
            self._accesses(session).record(row, accesses.READ)
        offset, length = ranges.resolve(request.offset, request.length, row.size_bytes)
        header = documents_pb2.ReadContentResponse.Header(
            document=row.to_proto(), offset=offset, length=length
        )
        yield documents_pb2.ReadContentResponse(header=header)
        for chunk in self.store.get(row.key, offset, length):
            yield documents_pb2.ReadContentResponse(chunk=chunk)

    @grpc
    def share_document(
        self, request: documents_pb2.ShareDocumentRequest
    ) -> documents_pb2.ShareDocumentResponse:
        expire_time = request.expire_time.ToDatetime(UTC)
        if expire_time <= datetime.now(UTC):
            raise InvalidInput.field("expire_time", "PAST", "must lie in the future")
        with self.db.transaction() as session:
            documents = Documents(session)
            row = documents.owned(request.document_id, self.call.authenticated)
            share = documents.share(row, request.administration, request.purpose, expire_time)
            event = events_pb2.DocumentShared(
                document_id=str(row.document_id),
                owner_id=str(row.owner_id),
                share_id=str(share.share_id),
                administration=share.administration,
                expire_time=request.expire_time,
            )
            self.events.publish(event)
        return documents_pb2.ShareDocumentResponse(share=share.to_proto())

    def _accesses(self, session: Session) -> Accesses:
        return Accesses(session, self.events, self.call.authenticated)

    # ---- receipts -------------------------------------------------------------------------------

    @loop(every=0.1)
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
        return bool(count)

    @loop(every=0.5)
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
        end = time.monotonic() + RECEIPT_SECONDS
        with self.db.transaction() as session:
            row = Documents(session).readable(request.document_id, self.call.authenticated)
            self._accesses(session).record(row, accesses.RECEIPT)
        size, receipt = self._receipt(request.document_id)
        with self.live.watching(Log.NAME, self.call.authenticated.subject) as bell:
            while not self._complete(receipt) and self.call.active() and time.monotonic() < end:
                bell.wait(size, timeout=RECEIPT_PAUSE)
                size, receipt = self._receipt(request.document_id)
        if receipt is None:
            detail = "The deposit has no place in the log yet; ask again."
            raise Unavailable(detail, reason="RECEIPT_PENDING")
        return documents_pb2.GetReceiptResponse(receipt=receipt)

    def _receipt(self, document_id: str) -> tuple[int, documents_pb2.Receipt | None]:
        """The size of the log, and the receipt that it gives."""
        with self.db.transaction() as session:
            log = Log(session)
            row = Documents(session).readable(document_id, self.call.authenticated)
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


def _announcement(first: documents_pb2.DepositDocumentRequest | None) -> Announcement:
    if first is None or not first.HasField("header"):
        raise InvalidInput.field("header", "REQUIRED", "must be the first message of a deposit")
    header = first.header
    return Announcement(
        clean_name(header.name), header.media_type, header.size_bytes, header.sha256
    )


def _chunks(requests: Iterator[documents_pb2.DepositDocumentRequest]) -> Iterator[bytes]:
    for request in requests:
        if request.HasField("end"):
            return
        if not request.HasField("chunk"):
            raise InvalidInput.field("chunk", "REQUIRED", "must be every message after the first")
        yield request.chunk
    # grpc may end the requests of a call that is cancelled as if the caller had finished.
    raise Conflict("The upload ended without its end.", reason="TRUNCATED")
