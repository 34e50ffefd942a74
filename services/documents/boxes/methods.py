"""The rpcs about drop boxes, and the loop that reminds and forgets."""

import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from administration.documents.v1 import boxes_pb2, events_pb2

from backbone.database import Transactions
from backbone.errors import InvalidInput
from backbone.events import Publisher
from backbone.loops import loop
from backbone.rpc import Call, Grpc
from services.documents.boxes.boxes import Boxes
from services.documents.boxes.hand_ins import HandIns
from services.documents.boxes.rows import BoxRow
from services.documents.documents import Documents, subject_id
from services.documents.domain import box as rules

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")


class BoxMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call

    def _administration(self) -> str:
        return rules.require_administration(self.call.authenticated.administration)

    @grpc
    def open_box(self, request: boxes_pb2.OpenBoxRequest) -> boxes_pb2.OpenBoxResponse:
        code = "" if request.account_id else rules.new_code()
        row = _asked(request, self._administration(), code)
        with self.db.transaction() as session:
            Boxes(session).add(row)
            event = events_pb2.BoxOpened(
                box_id=str(row.box_id),
                administration=row.administration,
                account_id=request.account_id,
                deadline=request.deadline,
            )
            self.events.publish(event)
        return boxes_pb2.OpenBoxResponse(box=row.to_proto(), code=code)

    @grpc
    def list_boxes(self, request: boxes_pb2.ListBoxesRequest) -> boxes_pb2.ListBoxesResponse:
        administration = self._administration()
        with self.db.transaction() as session:
            rows, token = Boxes(session).page(administration, request.page_size, request.page_token)
        return boxes_pb2.ListBoxesResponse(
            boxes=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def list_my_boxes(self, request: boxes_pb2.ListMyBoxesRequest) -> boxes_pb2.ListMyBoxesResponse:
        account_id = self.call.authenticated.subject
        with self.db.transaction() as session:
            rows, token = Boxes(session).depositors_page(
                account_id, request.page_size, request.page_token
            )
        return boxes_pb2.ListMyBoxesResponse(
            boxes=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def join_box(self, request: boxes_pb2.JoinBoxRequest) -> boxes_pb2.JoinBoxResponse:
        with self.db.transaction() as session:
            boxes = Boxes(session)
            row = boxes.with_code(request.code)
            boxes.join(row, subject_id(self.call.authenticated.subject))
        return boxes_pb2.JoinBoxResponse(box=row.to_proto())

    @grpc
    def get_box(self, request: boxes_pb2.GetBoxRequest) -> boxes_pb2.GetBoxResponse:
        caller = self.call.authenticated
        with self.db.transaction() as session:
            boxes = Boxes(session)
            row = boxes.visible(request.box_id, caller)
            own = boxes.own(row, subject_id(caller.subject))
        return boxes_pb2.GetBoxResponse(box=row.to_proto(), own=own)

    @grpc
    def hand_in_document(
        self, request: boxes_pb2.HandInDocumentRequest
    ) -> boxes_pb2.HandInDocumentResponse:
        with self.db.transaction() as session:
            document = Documents(session).owned(
                request.document_id, self.call.authenticated.subject
            )
            document.require_not_trashed()
            document.require_not_refused()
            handed_in = HandIns(session).add(
                request.box_id, request.piece_id, document, self.events
            )
            return boxes_pb2.HandInDocumentResponse(hand_in=handed_in.to_proto())

    @grpc
    def list_box_depositors(
        self, request: boxes_pb2.ListBoxDepositorsRequest
    ) -> boxes_pb2.ListBoxDepositorsResponse:
        administration = self._administration()
        with self.db.transaction() as session:
            boxes = Boxes(session)
            row = boxes.of_administration(request.box_id, administration)
            depositors, token = boxes.depositors(row, request.page_size, request.page_token)
        return boxes_pb2.ListBoxDepositorsResponse(depositors=depositors, next_page_token=token)

    @grpc
    def refuse_hand_in(
        self, request: boxes_pb2.RefuseHandInRequest
    ) -> boxes_pb2.RefuseHandInResponse:
        administration = self._administration()
        with self.db.transaction() as session:
            row = Boxes(session).of_administration(request.box_id, administration)
            handed_in = HandIns(session).refuse(
                row, request.hand_in_id, request.explanation, self.events
            )
            return boxes_pb2.RefuseHandInResponse(hand_in=handed_in.to_proto())

    @grpc
    def close_box(self, request: boxes_pb2.CloseBoxRequest) -> boxes_pb2.CloseBoxResponse:
        administration = self._administration()
        with self.db.transaction() as session:
            row = Boxes(session).of_administration(request.box_id, administration, lock=True)
            if row.open:
                row.close_time = datetime.now(UTC)
                closed = events_pb2.BoxClosed(box_id=str(row.box_id), administration=administration)
                self.events.publish(closed)
        return boxes_pb2.CloseBoxResponse(box=row.to_proto())

    @loop(every=1.0)
    def tend_boxes(self) -> bool:
        """Reminds depositors, and forgets boxes that are over; true when more may wait."""
        with self.db.transaction() as session:
            return any((HandIns(session).remind(self.events), Boxes(session).forget_over()))


def _asked(request: boxes_pb2.OpenBoxRequest, administration: str, code: str) -> BoxRow:
    """A box as it is asked for.

    Raises:
        InvalidInput: the deadline is past or too far, or two pieces have one identifier.
    """
    deadline, now = request.deadline.ToDatetime(UTC), datetime.now(UTC)
    if not now < deadline < now + rules.LONGEST:
        raise InvalidInput.field(
            "deadline", "DEADLINE", f"must lie in the future, within {rules.LONGEST.days} days"
        )
    pieces = rules.pieces(
        rules.Piece(
            piece.piece_id,
            piece.label,
            piece.required,
            tuple(media_type.lower() for media_type in piece.media_types),
            piece.max_bytes,
        )
        for piece in request.pieces
    )
    return BoxRow(
        box_id=uuid.uuid4(),
        administration=administration,
        account_id=uuid.UUID(request.account_id) if request.account_id else None,
        code_hash=rules.code_hash(code) if code else None,
        title=request.title,
        message=request.message,
        stored_pieces=[asdict(piece) for piece in pieces],
        deadline=deadline,
        access_end_time=deadline + timedelta(days=request.keep_days or rules.DEFAULT_KEEP_DAYS),
        create_time=now,
    )
