"""Documents: the vault."""

import uuid
from collections.abc import Iterator

from administration.documents.v1 import documents_pb2, uploads_pb2
from prometheus_client import Gauge
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import telemetry
from backbone.database import Database, Transactions, after_commit
from backbone.dependencies import Settings
from backbone.events import Events, Publisher
from backbone.live import Live, Watchers
from backbone.loops import loop
from backbone.mandates import IdentityMandates
from backbone.rpc import Call, CurrentCall, Grpc, GrpcClient, Stub
from backbone.settings import PREFIX
from services.documents import accesses
from services.documents.accesses import Accesses
from services.documents.archive_methods import ArchiveMethods
from services.documents.boxes.methods import BoxMethods
from services.documents.checking import LOOK_SECONDS, Checker, Checking, Checks
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, Documents
from services.documents.domain.deposit import Announcement, Intake, chunks, clean_name, first_header
from services.documents.finding import filters
from services.documents.finding_methods import FindingMethods
from services.documents.hold_methods import HoldMethods
from services.documents.key_methods import KeyMethods
from services.documents.keys import Keyring, OwnerKeys
from services.documents.quarantine import Isolation, Quarantine
from services.documents.quotas import QuotaSettings
from services.documents.receipt_methods import ReceiptMethods
from services.documents.reconciling import Reconciler, Reconciling, Rounds
from services.documents.rereading import Rereading, Rereads
from services.documents.retention.classes import Retention, Rules
from services.documents.retention_methods import RetentionMethods
from services.documents.rights_methods import RightsMethods
from services.documents.sharing.methods import SharingMethods
from services.documents.sharing.reading_methods import ReadingMethods
from services.documents.sharing.readings import Readings, Reads
from services.documents.signing import Sealing, Seals
from services.documents.store import ObjectStore, Store
from services.documents.unpacking.methods import UnpackingMethods
from services.documents.uploading import Uploading, UploadSettings
from services.documents.usage_methods import UsageMethods
from services.documents.version_methods import VersionMethods

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")

# Checks at the same time, of one process: a large document does not hold up the small ones.
CHECKERS = 2
WATCHERS = Gauge("receipt_watchers", "Callers who wait for a receipt.")


class VaultSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}DOCUMENTS_")

    max_bytes: int = 100 * 1024 * 1024


class DocumentsService(
    ArchiveMethods,
    BoxMethods,
    FindingMethods,
    HoldMethods,
    KeyMethods,
    ReadingMethods,
    ReceiptMethods,
    RetentionMethods,
    RightsMethods,
    SharingMethods,
    UnpackingMethods,
    UsageMethods,
    VersionMethods,
):
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
    readings: Readings = Reads()
    rounds: Rounds = Reconciling()
    rereading: Rereading = Rereads()
    quarantine: Quarantine = Isolation()
    rules: Rules = Retention()
    upload_settings: UploadSettings = Settings(UploadSettings)
    settings: VaultSettings = Settings(VaultSettings)
    quotas: QuotaSettings = Settings(QuotaSettings)

    @grpc
    def deposit_document(
        self, requests: Iterator[documents_pb2.DepositDocumentRequest]
    ) -> documents_pb2.DepositDocumentResponse:
        header = first_header(requests)
        announced = Announcement(
            clean_name(header.name), header.media_type, header.size_bytes, header.sha256
        )
        self._require_room(announced.size_bytes)
        intake = Intake(announced, chunks(requests), self.settings.max_bytes)
        row = DocumentRow(
            document_id=uuid.uuid4(),
            owner_id=self._owner(),
            name=announced.name,
            media_type=announced.media_type,
            payer=self._payer(),
        )
        self._contents().take(row, intake, announced.size_bytes)
        row.traceparent = telemetry.traceparent()
        # Should this fail, the bytes stay behind unreferenced. Deleting them here could destroy a
        # document: a commit whose answer is lost may have happened.
        with self._depositing(row) as session:
            Documents(session).add(row)
            self._accesses().by_mandate(row, accesses.DEPOSIT)
            self.events.publish(row.received())
            after_commit(self.checks.ring)
        return documents_pb2.DepositDocumentResponse(document=row.to_proto())

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
        upload = self._uploading().open(self.call.acting, announced, request.version_of)
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
            request.sha256,
            lambda row: self._accesses().by_mandate(row, accesses.DEPOSIT),
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

    @loop(every=3600.0)
    def sweep_quarantine(self) -> bool:
        """Forgets what a crash left there, on a store without lifecycle rules too."""
        self.quarantine.sweep()
        return False

    def _uploading(self) -> Uploading:
        return Uploading(
            self.db, self.events, self.quarantine, self.checks, self.upload_settings, self.quotas
        )

    def _owner(self) -> uuid.UUID:
        return uuid.UUID(self.call.acting.principal_id)

    @grpc
    def list_documents(
        self, request: documents_pb2.ListDocumentsRequest
    ) -> documents_pb2.ListDocumentsResponse:
        acting, page = self.call.acting, (request.page_size, request.page_token)
        if acting.mandate_id:
            filters.require_none(request)
        with self.db.transaction() as session:
            self._accesses().of_list()
            rows, token = Documents(session).page(
                acting.principal_id, *page, filters.conditions(request)
            )
        return documents_pb2.ListDocumentsResponse(
            documents=[row.shown_to(acting) for row in rows], next_page_token=token
        )

    def _max_bytes(self) -> int:
        return self.settings.max_bytes

    def _contents(self) -> Contents:
        return Contents(self.store, self.keys)

    def _accesses(self) -> Accesses:
        return Accesses(self.events, self.call.acting)
