"""Documents: the vault."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from administration.documents.v1 import documents_pb2, events_pb2
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.database import Database, Transactions
from backbone.dependencies import Settings
from backbone.errors import Conflict, InvalidInput
from backbone.events import Events, Publisher
from backbone.rpc import Call, CurrentCall, Grpc
from backbone.settings import PREFIX
from services.documents.documents import DocumentRow, Documents
from services.documents.domain import ranges
from services.documents.domain.deposit import Announcement, Intake, clean_name
from services.documents.store import ObjectStore, Store

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")


class VaultSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}DOCUMENTS_")

    max_bytes: int = 100 * 1024 * 1024


class DocumentsService:
    name = "documents"

    db: Transactions = Database()
    events: Publisher = Events()
    call: Call = CurrentCall()
    store: ObjectStore = Store()
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
        return documents_pb2.GetDocumentResponse(document=row.to_proto())

    @grpc
    def read_content(
        self, request: documents_pb2.ReadContentRequest
    ) -> Iterator[documents_pb2.ReadContentResponse]:
        with self.db.transaction() as session:
            row = Documents(session).readable(request.document_id, self.call.authenticated)
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
