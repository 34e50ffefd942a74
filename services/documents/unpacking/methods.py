"""The rpcs about unpacking archives, and the unpacking."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from administration.documents.v1 import unpacking_pb2
from sqlalchemy.orm import Session

from backbone import telemetry
from backbone.database import Transactions
from backbone.errors import InvalidInput
from backbone.events import Publisher
from backbone.loops import loop
from backbone.rpc import Call, Grpc
from services.documents.checking import Checks
from services.documents.checks import kinds
from services.documents.content_row import ContentRow
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, Documents
from services.documents.domain.order import clean_folder
from services.documents.unpacking.unpacker import Unpacker
from services.documents.unpacking.unpackings import Unpackings

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")


class UnpackingMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    checks: Checks
    _contents: Callable[[], Contents]
    _payer: Callable[[], str]
    _depositing: Callable[[ContentRow], AbstractContextManager[Session]]
    _max_bytes: Callable[[], int]

    @grpc
    def unpack_document(
        self, request: unpacking_pb2.UnpackDocumentRequest
    ) -> unpacking_pb2.UnpackDocumentResponse:
        folder = clean_folder(request.folder)
        # Before the lock, which a check holds to its end.
        with self.db.transaction() as session:
            self._own(session, request.document_id).require_available()
        with self.db.transaction() as session:
            document = self._own(session, request.document_id, lock=True)
            document.require_not_trashed()
            if kinds.kind_of_type(document.media_type) != kinds.ZIP:
                raise InvalidInput.field("document_id", "TYPE", "must be of a ZIP archive")
            unpackings = Unpackings(session)
            row = unpackings.ask(document, folder, self._payer(), telemetry.traceparent())
            unpacking = unpackings.to_proto(row)
        return unpacking_pb2.UnpackDocumentResponse(unpacking=unpacking)

    @grpc
    def get_unpacking(
        self, request: unpacking_pb2.GetUnpackingRequest
    ) -> unpacking_pb2.GetUnpackingResponse:
        with self.db.transaction() as session:
            unpackings = Unpackings(session)
            unpacking = unpackings.to_proto(unpackings.of(self._own(session, request.document_id)))
        return unpacking_pb2.GetUnpackingResponse(unpacking=unpacking)

    @grpc
    def list_unpacked_entries(
        self, request: unpacking_pb2.ListUnpackedEntriesRequest
    ) -> unpacking_pb2.ListUnpackedEntriesResponse:
        with self.db.transaction() as session:
            unpackings = Unpackings(session)
            row = unpackings.of(self._own(session, request.document_id))
            rows, token = unpackings.page(row, request.page_size, request.page_token)
        return unpacking_pb2.ListUnpackedEntriesResponse(
            entries=[row.to_proto() for row in rows], next_page_token=token
        )

    @loop(every=1.0)
    def unpack_archives(self) -> bool:
        """Goes on with one archive; true when there was one."""
        return Unpacker(
            self.db,
            self.events,
            self._contents(),
            self.checks,
            self._depositing,
            self._max_bytes(),
        ).step()

    def _own(self, session: Session, document_id: str, *, lock: bool = False) -> DocumentRow:
        return Documents(session).owned(document_id, self.call.authenticated.subject, lock=lock)
