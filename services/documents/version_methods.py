"""The rpcs about versions of documents."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from administration.documents.v1 import versions_pb2
from sqlalchemy.orm import Session

from backbone import telemetry
from backbone.database import Transactions, after_commit
from backbone.events import Publisher
from backbone.loops import loop
from backbone.rpc import Call, Grpc
from services.documents.checking import Checks
from services.documents.content_row import ContentRow
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, Documents
from services.documents.domain.deposit import Announcement, Intake, chunks, clean_name, first_header
from services.documents.quotas import QuotaSettings, Usages
from services.documents.rereading import TURN_SECONDS, Rereader, Rereading
from services.documents.versions import VersionRow, Versions, no_such_version, to_proto

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")


class VersionMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    checks: Checks
    rereading: Rereading
    quotas: QuotaSettings
    _contents: Callable[[], Contents]
    _payer: Callable[[], str]
    _require_room: Callable[[int], None]
    _depositing: Callable[[ContentRow], AbstractContextManager[Session]]
    _max_bytes: Callable[[], int]

    @grpc
    def deposit_version(
        self, requests: Iterator[versions_pb2.DepositVersionRequest]
    ) -> versions_pb2.DepositVersionResponse:
        header, caller = first_header(requests), self.call.authenticated.subject
        with self.db.transaction() as session:
            document = Documents(session).owned(header.document_id, caller)
            document.require_not_trashed()
            Versions(session).require_newest(document, header.replaces)
        self._require_room(header.size_bytes)
        name = clean_name(header.name) if header.name else document.name
        announced = Announcement(name, header.media_type, header.size_bytes, header.sha256)
        intake = Intake(announced, chunks(requests), self._max_bytes())
        row = VersionRow(
            document_id=uuid.uuid4(),
            content_id=uuid.uuid4(),
            owner_id=document.owner_id,
            name=name,
            media_type=announced.media_type,
            payer=self._payer(),
        )
        self._contents().take(row, intake, announced.size_bytes)
        row.traceparent = telemetry.traceparent()
        with self._depositing(row) as session:
            locked = Documents(session).owned(header.document_id, caller, lock=True)
            Versions(session).require_newest(locked, header.replaces)
            Versions(session).add(locked, row)
            self.events.publish(row.received())
            after_commit(self.checks.ring)
        return versions_pb2.DepositVersionResponse(version=to_proto(row))

    @grpc
    def list_versions(
        self, request: versions_pb2.ListVersionsRequest
    ) -> versions_pb2.ListVersionsResponse:
        with self.db.transaction() as session:
            document = Documents(session).owned(
                request.document_id, self.call.authenticated.subject
            )
            rows, token = Versions(session).page(document, request.page_size, request.page_token)
        return versions_pb2.ListVersionsResponse(
            versions=[to_proto(row) for row in rows], next_page_token=token
        )

    @grpc
    def restore_version(
        self, request: versions_pb2.RestoreVersionRequest
    ) -> versions_pb2.RestoreVersionResponse:
        with self.db.transaction() as session:
            caller = self.call.authenticated.subject
            document = Documents(session).owned(request.document_id, caller, lock=True)
            payer = self._payer()
            self.events.publish(Versions(session).restore(document, request.version, payer))
            Usages(session, self.quotas).require(payer)
        return versions_pb2.RestoreVersionResponse(version=to_proto(document))

    @loop(every=TURN_SECONDS)
    def reread_contents(self) -> bool:
        """Reads again some of what the vault holds; a turn's worth of bytes, then a pause."""
        Rereader(self.db, self.events, self._contents(), self.rereading).turn()
        return False

    def _of_version(self, session: Session, document: DocumentRow, version: int) -> ContentRow:
        """A version of a document that the caller may read; 0 is the one that it shows.

        Raises:
            NotFound: there is none, or none for this caller.
        """
        if version in (0, document.version):
            return document
        if str(document.owner_id) != self.call.acting.principal_id:
            raise no_such_version()
        return Versions(session).one(document, version)
