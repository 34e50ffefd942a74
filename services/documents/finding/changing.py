"""What an owner changes of a document: its name, where it is, what is noted about it."""

from administration.documents.v1 import finding_pb2
from sqlalchemy.orm import Session

from backbone import masks
from backbone.tokens import Caller
from services.documents.documents import DocumentRow, Documents
from services.documents.domain.order import clean_folder, clean_labels, clean_metadata, renamed
from services.documents.finding.index import Index
from services.documents.keys import OwnerKeys

FIELDS = ("name", "folder", "labels", "metadata")


def update(
    session: Session, keys: OwnerKeys, caller: Caller, request: finding_pb2.UpdateDocumentRequest
) -> DocumentRow:
    """Does what a request asks for, and has the document found by it.

    Raises:
        NotFound: the document is not the caller's. Conflict: it is being checked, or refused.
        InvalidInput: a field breaks its rule. Gone, Unavailable, Damaged: as `Index`.
    """
    # Before the lock, which a check holds to its end.
    documents = Documents(session)
    documents.owned(request.document_id, caller.subject).require_available()
    row = documents.owned(request.document_id, caller.subject, lock=True)
    _change(row, request)
    # Else it is indexed as it is now when its turn comes.
    if row.index_time is None:
        Index(session, keys).describe(row)
    return row


def _change(row: DocumentRow, request: finding_pb2.UpdateDocumentRequest) -> None:
    wanted = masks.wanted(request, FIELDS)
    if "name" in wanted:
        row.name = renamed(row.name, request.name)
    if "folder" in wanted:
        row.folder = clean_folder(request.folder)
    if "labels" in wanted:
        row.labels = clean_labels(request.labels)
    if "metadata" in wanted:
        row.properties = clean_metadata((item.key, item.value) for item in request.metadata)
