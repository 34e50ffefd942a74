"""The rpcs about legal holds, for administrators."""

from collections.abc import Callable

from administration.documents.v1 import events_pb2, retention_pb2

from backbone.database import Transactions
from backbone.events import Publisher
from backbone.rpc import Call, Grpc
from services.documents import accesses
from services.documents.accesses import Accesses
from services.documents.documents import DocumentRow
from services.documents.erasures import Erasures
from services.documents.retention.holds import Holds
from services.documents.retention.keeping import Keeping

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")


class HoldMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    _accesses: Callable[[], Accesses]
    _settled: Callable[[DocumentRow], DocumentRow]

    @grpc
    def place_hold(
        self, request: retention_pb2.PlaceHoldRequest
    ) -> retention_pb2.PlaceHoldResponse:
        caller = self.call.authenticated.subject
        with self.db.transaction() as session:
            row = Keeping(session).any(request.document_id)
            hold = Holds(session).place(row, request.reason, caller)
            self.events.publish(
                events_pb2.HoldPlaced(
                    document_id=str(row.document_id),
                    owner_id=str(row.owner_id),
                    hold_id=str(hold.hold_id),
                    placed_by=caller,
                )
            )
            self._accesses().by_hold(row, accesses.HOLD, hold.hold_id)
        self._settled(row)
        return retention_pb2.PlaceHoldResponse(hold=hold.to_proto())

    @grpc
    def release_hold(
        self, request: retention_pb2.ReleaseHoldRequest
    ) -> retention_pb2.ReleaseHoldResponse:
        caller = self.call.authenticated.subject
        with self.db.transaction() as session:
            row = Keeping(session).any(request.document_id)
            hold, counted = Holds(session).release(row, request.hold_id, caller)
            if counted:
                self.events.publish(
                    events_pb2.HoldReleased(
                        document_id=str(row.document_id),
                        owner_id=str(row.owner_id),
                        hold_id=str(hold.hold_id),
                        released_by=caller,
                        free=row.holds == 0,
                    )
                )
                # Nobody is left to read a journal that an erasure has emptied.
                if not Erasures(session).concerns(row.owner_id):
                    self._accesses().by_hold(row, accesses.RELEASE, hold.hold_id)
        self._settled(row)
        return retention_pb2.ReleaseHoldResponse(hold=hold.to_proto())

    @grpc
    def list_holds(
        self, request: retention_pb2.ListHoldsRequest
    ) -> retention_pb2.ListHoldsResponse:
        with self.db.transaction() as session:
            row = Keeping(session).any(request.document_id)
            rows, token = Holds(session).page(
                row.document_id, request.page_size, request.page_token
            )
        return retention_pb2.ListHoldsResponse(
            holds=[hold.to_proto() for hold in rows], next_page_token=token
        )
