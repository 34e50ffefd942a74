"""The rpcs by which a person orders their documents and finds them, and what runs behind them."""

import uuid
from collections.abc import Callable

from administration.documents.v1 import documents_pb2, finding_pb2

from backbone.database import Transactions
from backbone.errors import NotFound
from backbone.loops import loop
from backbone.rpc import Call, Grpc
from services.documents import accesses
from services.documents.contents import Contents
from services.documents.finding import changing, filters
from services.documents.finding.index import Index
from services.documents.finding.indexing import Indexing
from services.documents.finding.previews import Previews
from services.documents.keys import OwnerKeys
from services.documents.sharing.reading_methods import Opened

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")


class FindingMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    call: Call
    keys: OwnerKeys
    _opened: Callable[[str, str, int], Opened]
    _owner: Callable[[], uuid.UUID]
    _contents: Callable[[], Contents]

    @grpc
    def update_document(
        self, request: finding_pb2.UpdateDocumentRequest
    ) -> documents_pb2.UpdateDocumentResponse:
        with self.db.transaction() as session:
            row = changing.update(session, self.keys, self.call.authenticated, request)
        return documents_pb2.UpdateDocumentResponse(document=row.to_owner())

    @grpc
    def list_folders(
        self, request: finding_pb2.ListFoldersRequest
    ) -> finding_pb2.ListFoldersResponse:
        page = (request.page_size, request.page_token)
        with self.db.transaction() as session:
            folders, token = filters.folders(session, self._owner(), *page)
        return finding_pb2.ListFoldersResponse(folders=folders, next_page_token=token)

    @grpc
    def search_documents(
        self, request: finding_pb2.SearchDocumentsRequest
    ) -> documents_pb2.SearchDocumentsResponse:
        page = (request.page_size, request.page_token)
        with self.db.transaction() as session:
            rows, token = Index(session, self.keys).search(
                self._owner(), request.q, filters.conditions(request), *page
            )
        return documents_pb2.SearchDocumentsResponse(
            documents=[row.to_owner() for row in rows], next_page_token=token
        )

    @grpc
    def get_preview(self, request: finding_pb2.GetPreviewRequest) -> finding_pb2.GetPreviewResponse:
        opened = self._opened(request.document_id, accesses.PREVIEW, 0)
        opened.document.require_available()
        share = opened.share
        if share is not None and (share.watermark or share.read_once):
            # It would show what may be read with a mark, or once, without either.
            raise NotFound("This document has no preview for you.", reason="PREVIEW_NONE")
        with self.db.transaction() as session:
            image = Previews(session, self._contents()).get(opened.document)
        return finding_pb2.GetPreviewResponse(image=image)

    @loop(every=1.0)
    def index_documents(self) -> bool:
        """Looks at one document that is due; true when there was one."""
        return Indexing(self.db, self._contents(), self.keys).step()
