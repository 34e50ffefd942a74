"""What a person may ask about what is held of them: to have it, and to have it erased."""

from collections.abc import Callable
from datetime import UTC, datetime

from administration.documents.v1 import exports_pb2
from administration.identity.v1 import personal_data_pb2 as identity_data
from administration.identity.v1.events_pb2 import ErasureStarted
from administration.notifications.v1 import notifications_pb2

from backbone.database import Transactions
from backbone.events import Publisher, Received, subscribe
from backbone.loops import loop
from backbone.rpc import Call, Grpc, Stub
from services.documents.contents import Contents
from services.documents.documents import Documents
from services.documents.erasures import Erasures
from services.documents.exports import Exports
from services.documents.gathering import Gathering, PersonalData
from services.documents.store import ObjectStore

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")

EXPIRED_BATCH = 20


class RightsMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    store: ObjectStore
    identity: Stub
    notifications: Stub
    _contents: Callable[[], Contents]

    @grpc
    def request_export(
        self, request: exports_pb2.RequestExportRequest
    ) -> exports_pb2.RequestExportResponse:
        with self.db.transaction() as session:
            row = Exports(session).ask(self.call.authenticated.subject)
        return exports_pb2.RequestExportResponse(export=row.to_proto(datetime.now(UTC)))

    @grpc
    def get_export(self, request: exports_pb2.GetExportRequest) -> exports_pb2.GetExportResponse:
        with self.db.transaction() as session:
            row = Exports(session).latest(self.call.authenticated.subject)
        return exports_pb2.GetExportResponse(export=row.to_proto(datetime.now(UTC)))

    @loop(every=0.5)
    def gather_exports(self) -> bool:
        """One try of one export that is due; true when there was one."""
        providers = {"identity": self._of_identity, "notifications": self._of_notifications}
        return Gathering(self.db, self.events, self._contents(), providers).step()

    def _of_identity(self, account_id: str, page_token: str) -> PersonalData:
        request = identity_data.ExportPersonalDataRequest(
            account_id=account_id, page_token=page_token
        )
        page: PersonalData = self.identity.export_personal_data(request)
        return page

    def _of_notifications(self, account_id: str, page_token: str) -> PersonalData:
        request = notifications_pb2.ExportPersonalDataRequest(
            account_id=account_id, page_token=page_token
        )
        page: PersonalData = self.notifications.export_personal_data(request)
        return page

    @subscribe(ErasureStarted)
    def on_erasure_started(self, event: Received[ErasureStarted]) -> None:
        # Noted, and done by the loop below: many documents take longer than an event may.
        with self.db.transaction() as session:
            Erasures(session).add(event.data)

    @loop(every=0.5)
    def erase_documents(self) -> bool:
        """Destroys some documents of a person who is erased; true when there was one."""
        with self.db.transaction() as session:
            return Erasures(session).step(self.store, self.events)

    @loop(every=10)
    def destroy_expired(self) -> bool:
        """Destroys documents whose time is over; true when there were some."""
        with self.db.transaction() as session:
            documents = Documents(session)
            rows = documents.expired(EXPIRED_BATCH)
            for row in rows:
                documents.destroy(row, self.store)
        return bool(rows)
