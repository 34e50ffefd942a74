"""The rpcs about how long documents are kept, and what runs behind them."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from administration.documents.v1 import documents_pb2, events_pb2, retention_pb2

from backbone.database import Transactions
from backbone.errors import Unavailable
from backbone.events import Publisher
from backbone.loops import loop
from backbone.rpc import Grpc
from services.documents.documents import DocumentRow
from services.documents.retention.classes import Rules, disposition, to_proto
from services.documents.retention.destroying import Destroying
from services.documents.retention.destructions import Destructions
from services.documents.retention.keeping import Keeping, require_deletable, retain
from services.documents.retention.locked import LockedObjects
from services.documents.retention.locks import Locks
from services.documents.signing import Seals
from services.documents.store import ObjectStore

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")
log = logging.getLogger(__name__)


class RetentionMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    store: ObjectStore
    seals: Seals
    rules: Rules
    _owner: Callable[[], UUID]

    # ---- retention ------------------------------------------------------------------------------

    @grpc
    def list_retention_classes(
        self, request: retention_pb2.ListRetentionClassesRequest
    ) -> retention_pb2.ListRetentionClassesResponse:
        classes = [to_proto(item) for item in self.rules.classes]
        return retention_pb2.ListRetentionClassesResponse(classes=classes)

    @grpc
    def set_retention(
        self, request: retention_pb2.SetRetentionRequest
    ) -> documents_pb2.SetRetentionResponse:
        with self.db.transaction() as session:
            row = Keeping(session).owned(request.document_id, self._owner())
            chosen = self.rules.classes.get(request.retention_class)
            self.events.publish(retain(row, chosen, datetime.now(UTC)))
        return documents_pb2.SetRetentionResponse(document=self._settled(row).to_owner())

    # ---- the trash ------------------------------------------------------------------------------

    @grpc
    def delete_document(
        self, request: retention_pb2.DeleteDocumentRequest
    ) -> documents_pb2.DeleteDocumentResponse:
        with self.db.transaction() as session:
            row = Keeping(session).owned(request.document_id, self._owner())
            if row.purge_time is None:
                require_deletable(row, self._basis(row))
                row.purge_time = datetime.now(UTC) + self.rules.trash
                event = events_pb2.DocumentTrashed(
                    document_id=str(row.document_id), owner_id=str(row.owner_id)
                )
                event.purge_time.FromDatetime(row.purge_time)
                self.events.publish(event)
        return documents_pb2.DeleteDocumentResponse(document=row.to_owner())

    @grpc
    def restore_document(
        self, request: retention_pb2.RestoreDocumentRequest
    ) -> documents_pb2.RestoreDocumentResponse:
        with self.db.transaction() as session:
            row = Keeping(session).owned(request.document_id, self._owner())
            if row.purge_time is not None:
                row.purge_time = None
                self.events.publish(
                    events_pb2.DocumentRestored(
                        document_id=str(row.document_id), owner_id=str(row.owner_id)
                    )
                )
        return documents_pb2.RestoreDocumentResponse(document=row.to_owner())

    @grpc
    def list_trash(
        self, request: retention_pb2.ListTrashRequest
    ) -> documents_pb2.ListTrashResponse:
        with self.db.transaction() as session:
            rows, token = Keeping(session).trash(
                str(self._owner()), request.page_size, request.page_token
            )
        return documents_pb2.ListTrashResponse(
            documents=[row.to_owner() for row in rows], next_page_token=token
        )

    # ---- destructions ---------------------------------------------------------------------------

    @grpc
    def list_destructions(
        self, request: retention_pb2.ListDestructionsRequest
    ) -> retention_pb2.ListDestructionsResponse:
        with self.db.transaction() as session:
            rows, token = Destructions(session, self._owner()).page(
                request.page_size, request.page_token
            )
        return retention_pb2.ListDestructionsResponse(
            destructions=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def get_destruction(
        self, request: retention_pb2.GetDestructionRequest
    ) -> retention_pb2.GetDestructionResponse:
        with self.db.transaction() as session:
            row = Destructions(session, self._owner()).get(request.document_id)
        return retention_pb2.GetDestructionResponse(destruction=row.to_proto())

    # ---- what runs behind -----------------------------------------------------------------------

    @loop(every=2)
    def settle_locks(self) -> bool:
        """Locks one object as was decided, where that is still to be done; true when it was."""
        with self.db.transaction() as session:
            return Locks(session, self.store).settle()

    @loop(every=10)
    def destroy_due(self) -> bool:
        """Destroys one document whose time is over; true when there was one."""
        with self.db.transaction() as session:
            return Destroying(session, self.store).step(
                self.events, self.rules.classes, self.seals.signer
            )

    @loop(every=10)
    def end_retentions(self) -> bool:
        """Tells of one retention that ended; true when there was one."""
        classes = self.rules.classes
        with self.db.transaction() as session:
            row = Keeping(session).ended(classes.destroying())
            if row is None:
                return False
            row.retention_ended = True
            self.events.publish(
                events_pb2.RetentionEnded(
                    document_id=str(row.document_id),
                    owner_id=str(row.owner_id),
                    retention_class=row.retention_class,
                    disposition=disposition(classes.disposition(row.retention_class)),
                )
            )
        return True

    @loop(every=30)
    def delete_unlocked(self) -> bool:
        """Deletes one object that a lock kept after its document; true when there was one."""
        with self.db.transaction() as session:
            return LockedObjects(session).step(self.store)

    def _settled(self, row: DocumentRow) -> DocumentRow:
        """The document, its object locked as was decided; or later, where the store is away."""
        try:
            with self.db.transaction() as session:
                Locks(session, self.store).settle(str(row.document_id))
                return session.get(DocumentRow, row.document_id) or row
        except Unavailable:
            log.warning("document %s is locked in the store later", row.document_id)
            return row

    def _basis(self, row: DocumentRow) -> str:
        found = self.rules.classes.find(row.retention_class)
        return found.basis if found else "the object store keeps it"
