"""Documents: the vault."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from administration.documents.v1 import documents_pb2, events_pb2, uploads_pb2
from prometheus_client import Gauge
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.orm import Session

from backbone import telemetry
from backbone.database import Database, Transactions, after_commit
from backbone.dependencies import Settings
from backbone.errors import Conflict, InvalidInput
from backbone.events import Events, Publisher
from backbone.live import Live, Watchers
from backbone.loops import loop
from backbone.mandates import IdentityMandates
from backbone.rpc import Call, CurrentCall, Grpc, GrpcClient, Stub
from backbone.settings import PREFIX
from services.documents import accesses
from services.documents.accesses import Accesses
from services.documents.checking import LOOK_SECONDS, Checker, Checking, Checks
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, Documents
from services.documents.domain import ranges
from services.documents.domain.deposit import Announcement, Intake, clean_name
from services.documents.key_methods import KeyMethods
from services.documents.keys import Keyring, OwnerKeys
from services.documents.quarantine import Isolation, Quarantine
from services.documents.receipt_methods import ReceiptMethods
from services.documents.reconciling import Reconciler, Reconciling, Rounds
from services.documents.rights_methods import RightsMethods
from services.documents.signing import Sealing, Seals
from services.documents.store import ObjectStore, Store
from services.documents.uploading import Uploading, UploadSettings

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")

# Checks at the same time, of one process: a large document does not hold up the small ones.
CHECKERS = 2
WATCHERS = Gauge("receipt_watchers", "Callers who wait for a receipt.")


class VaultSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}DOCUMENTS_")

    max_bytes: int = 100 * 1024 * 1024


class DocumentsService(KeyMethods, ReceiptMethods, RightsMethods):
    name = "documents"

    db: Transactions = Database()
    events: Publisher = Events()
    call: Call = CurrentCall()
    live: Watchers = Live(WATCHERS)
    store: ObjectStore = Store()
    keys: OwnerKeys = Keyring()
    seals: Seals = Sealing()
    identity: Stub = GrpcClient("identity")
    mandates: Stub = IdentityMandates()
    notifications: Stub = GrpcClient("notifications")
    checks: Checks = Checking()
    rounds: Rounds = Reconciling()
    quarantine: Quarantine = Isolation()
    upload_settings: UploadSettings = Settings(UploadSettings)
    settings: VaultSettings = Settings(VaultSettings)

    @grpc
    def deposit_document(
        self, requests: Iterator[documents_pb2.DepositDocumentRequest]
    ) -> documents_pb2.DepositDocumentResponse:
        announced = _announcement(next(requests, None))
        intake = Intake(announced, _chunks(requests), self.settings.max_bytes)
        row = DocumentRow(
            document_id=uuid.uuid4(),
            owner_id=self._owner(),
            name=announced.name,
            media_type=announced.media_type,
        )
        self._contents().put(row, intake, announced.size_bytes)
        row.size_bytes, row.sha256 = intake.size_bytes, intake.sha256
        # Should this fail, the bytes stay behind unreferenced. Deleting them here could destroy a
        # document: a commit whose answer is lost may have happened.
        self._record(row)
        return documents_pb2.DepositDocumentResponse(document=row.to_proto())

    def _record(self, row: DocumentRow) -> None:
        row.traceparent = telemetry.traceparent()
        with self.db.transaction() as session:
            Documents(session).add(row)
            self._accesses(session).record(row, accesses.DEPOSIT)
            self.events.publish(row.received())
            after_commit(self.checks.ring)

    @loop(every=1.0, threads=CHECKERS)
    def check_deposits(self) -> bool:
        """Checks a deposit that waits for it, at once when this process took it."""
        checker = Checker(
            self.db, self.events, self.store, self._contents(), self.quarantine, self.checks
        )
        if not checker.step():
            self.checks.wait(LOOK_SECONDS)
        return True

    @loop(every=1.0)
    def reconcile(self) -> bool:
        """Sets right what a crash left; true while a round goes on."""
        if not self.rounds.due():
            return False
        return Reconciler(self.db, self.events, self.store, self.rounds).step()

    # ---- straight to the object store ----------------------------------------------------------

    @grpc
    def open_upload(self, request: uploads_pb2.OpenUploadRequest) -> uploads_pb2.OpenUploadResponse:
        header = request.header
        announced = Announcement(header.name, header.media_type, header.size_bytes, header.sha256)
        upload = self._uploading().open(self._owner(), announced)
        return uploads_pb2.OpenUploadResponse(upload=upload)

    @grpc
    def get_upload(self, request: uploads_pb2.GetUploadRequest) -> uploads_pb2.GetUploadResponse:
        upload = self._uploading().get(self._owner(), request.document_id)
        return uploads_pb2.GetUploadResponse(upload=upload)

    @grpc
    def complete_upload(
        self, request: uploads_pb2.CompleteUploadRequest
    ) -> documents_pb2.CompleteUploadResponse:
        row = self._uploading().complete(
            self._owner(),
            request.document_id,
            lambda session, row: self._accesses(session).record(row, accesses.DEPOSIT),
        )
        return documents_pb2.CompleteUploadResponse(document=row.to_proto())

    @grpc
    def abandon_upload(
        self, request: uploads_pb2.AbandonUploadRequest
    ) -> uploads_pb2.AbandonUploadResponse:
        self._uploading().abandon(self._owner(), request.document_id)
        return uploads_pb2.AbandonUploadResponse()

    @loop(every=5.0)
    def forget_uploads(self) -> bool:
        """Forgets uploads that nobody completed in time; true when there may be more."""
        return self._uploading().forget_expired()

    def _uploading(self) -> Uploading:
        return Uploading(self.db, self.events, self.quarantine, self.checks, self.upload_settings)

    def _owner(self) -> uuid.UUID:
        return uuid.UUID(self.call.acting.principal_id)

    @grpc
    def list_documents(
        self, request: documents_pb2.ListDocumentsRequest
    ) -> documents_pb2.ListDocumentsResponse:
        owner = self.call.acting.principal_id
        with self.db.transaction() as session:
            self._accesses(session).record_list()
            rows, token = Documents(session).page(owner, request.page_size, request.page_token)
        return documents_pb2.ListDocumentsResponse(
            documents=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def get_document(
        self, request: documents_pb2.GetDocumentRequest
    ) -> documents_pb2.GetDocumentResponse:
        with self.db.transaction() as session:
            row = Documents(session).readable(request.document_id, self.call.acting)
            self._accesses(session).record(row, accesses.DESCRIBE)
        return documents_pb2.GetDocumentResponse(document=row.to_proto())

    @grpc
    def read_content(
        self, request: documents_pb2.ReadContentRequest
    ) -> Iterator[documents_pb2.ReadContentResponse]:
        with self.db.transaction() as session:
            row = Documents(session).readable(request.document_id, self.call.acting)
            row.require_available()
            self._accesses(session).record(row, accesses.READ)
        offset, length = ranges.resolve(request.offset, request.length, row.size_bytes)
        # Before the header: what cannot be opened is refused, not begun.
        chunks = self._contents().get(row, offset, length)
        header = documents_pb2.ReadContentResponse.Header(
            document=row.to_proto(), offset=offset, length=length
        )
        yield documents_pb2.ReadContentResponse(header=header)
        for chunk in chunks:
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
            row = documents.owned(request.document_id, self.call.acting.principal_id)
            row.require_available()
            self._accesses(session).record(row, accesses.SHARE)
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

    def _contents(self) -> Contents:
        return Contents(self.store, self.keys)

    def _accesses(self, session: Session) -> Accesses:
        return Accesses(session, self.events, self.call.acting)


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
