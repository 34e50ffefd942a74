"""The rpc that sends many documents as one archive, which is made while it is sent."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from administration.documents.v1 import downloads_pb2
from sqlalchemy import ColumnElement

from backbone.chunks import Chunk
from backbone.database import Transactions
from backbone.errors import InvalidInput
from backbone.rpc import Call, Grpc
from services.documents.archive import File, zipped
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, Documents, State
from services.documents.domain.naming import Names
from services.documents.finding import filters

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")

PAGE = 200


class ArchiveMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    call: Call
    _contents: Callable[[], Contents]

    @grpc
    def archive_documents(
        self, request: downloads_pb2.ArchiveDocumentsRequest
    ) -> Iterator[downloads_pb2.ArchiveDocumentsResponse | Chunk]:
        # Before the header: what cannot be sent is refused, not begun.
        conditions = filters.conditions(request)
        if request.document_ids and conditions:
            raise InvalidInput.field(
                "document_ids", "EXCLUSIVE", "name documents, or a folder or a label, not both"
            )
        rows = (
            self._selected(request.document_ids) if request.document_ids else self._all(conditions)
        )
        header = downloads_pb2.Download(
            file_name=f"documents-{datetime.now(UTC):%Y-%m-%d}.zip", media_type="application/zip"
        )
        yield downloads_pb2.ArchiveDocumentsResponse(header=header)
        for chunk in zipped(self._files(rows)):
            yield Chunk(chunk)

    def _selected(self, document_ids: Sequence[str]) -> Iterator[DocumentRow]:
        """Raises:
        NotFound: one is not the caller's. Conflict: one cannot be read.
        """
        with self.db.transaction() as session:
            documents = Documents(session)
            rows = [
                documents.owned(document_id, self.call.authenticated.subject)
                for document_id in dict.fromkeys(document_ids)
            ]
        for row in rows:
            row.require_available()
        return iter(rows)

    def _all(self, conditions: Sequence[ColumnElement[bool]]) -> Iterator[DocumentRow]:
        token, owner = "", self.call.authenticated.subject
        while True:
            with self.db.transaction() as session:
                rows, token = Documents(session).page(owner, PAGE, token, conditions)
            yield from (row for row in rows if row.state == State.AVAILABLE)
            if not token:
                return

    def _files(self, rows: Iterator[DocumentRow]) -> Iterator[File]:
        names, contents = Names(), self._contents()
        for row in rows:
            content = contents.get(row, 0, row.size_bytes)
            path = f"{row.folder}/{row.name}" if row.folder else row.name
            yield File(names.free(path), content, compress=False)
