"""The rpcs about shares, and what ends them."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from administration.documents.v1 import documents_pb2, sharing_pb2
from administration.identity.v1.events_pb2 import ConsentRevoked

from backbone.database import Transactions
from backbone.errors import Forbidden, InvalidInput
from backbone.events import Publisher, Received, subscribe
from backbone.loops import loop
from backbone.rpc import Call, Grpc, Stub
from services.documents import accesses
from services.documents.accesses import Accesses
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, Documents
from services.documents.domain.sharing import CONSENT_SCOPE, OWN, Origin, Recipient, Terms
from services.documents.sharing import consent, watermarks
from services.documents.sharing.shares import ShareRow
from services.documents.sharing.sharing import Shares

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")


class SharingMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    identity: Stub
    _accesses: Callable[[], Accesses]
    _contents: Callable[[], Contents]
    _consented: Callable[[DocumentRow, Sequence[ShareRow]], ShareRow]

    @grpc
    def share_document(
        self, request: documents_pb2.ShareDocumentRequest
    ) -> documents_pb2.ShareDocumentResponse:
        recipient = Recipient.asked(request.administration, request.account_id)
        if self.call.acting.mandate_id and recipient.account_id is not None:
            # It could be the representative, whose mandate may not let them read it.
            raise _not_with_a_person()
        end = request.expire_time.ToDatetime(UTC)
        terms = Terms(request.purpose, end, request.read_once, request.watermark)
        terms.require_ahead(datetime.now(UTC))
        with self.db.transaction() as session:
            row, shares = Shares(session).readable(request.document_id, self.call.acting)
        row.require_available()
        row.require_not_trashed()
        origin = OWN
        if shares:
            origin, terms = self._passed_on(row, shares, recipient, terms)
        if recipient.account_id == row.owner_id:
            raise InvalidInput.field("account_id", "OWNER", "it is theirs already")
        if terms.watermark:
            self._require_markable(row)
        with self.db.transaction() as session:
            share = Shares(session).give(row, recipient, terms, origin)
            by = self._accesses()
            if origin.consent_id is not None:
                by.by_consent(row, accesses.SHARE, origin.consent_id)
            else:
                by.by_mandate(row, accesses.SHARE)
            self.events.publish(share.given(row.owner_id))
        return documents_pb2.ShareDocumentResponse(share=share.to_proto())

    def _passed_on(
        self, row: DocumentRow, shares: Sequence[ShareRow], recipient: Recipient, terms: Terms
    ) -> tuple[Origin, Terms]:
        """Why and how an agent may share further what their administration can read by `shares`.

        Raises:
            Forbidden: the owner does not consent, or it is not to be passed on.
            InvalidInput: not to a person, nor longer than the owner consents.
            Unavailable: identity cannot be asked.
        """
        source = self._consented(row, shares)
        if source.read_once or not source.administration:
            raise Forbidden("Only its owner can share it further.", reason="SHARE_NOT_PASSED_ON")
        if recipient.account_id is not None:
            raise _not_with_a_person()
        answer = consent.check(self.identity, row.owner_id, recipient.administration)
        if not answer.granted:
            raise Forbidden(
                f"The owner does not consent that {recipient.administration} receives it"
                f" (scope {CONSENT_SCOPE}).",
                reason="CONSENT_MISSING",
            )
        if terms.expire_time > (end := answer.expire_time.ToDatetime(UTC)):
            raise InvalidInput.field(
                "expire_time",
                "AFTER_CONSENT",
                f"must not lie after {end.isoformat()}, when the consent ends",
            )
        origin = Origin(source.administration, consent_id=uuid.UUID(answer.consent_id))
        return origin, replace(terms, watermark=terms.watermark or source.watermark)

    def _require_markable(self, row: DocumentRow) -> None:
        """Raises:
        InvalidInput: the document can have no watermark: it was tried.
        """
        watermarks.require_kind(row)
        content = b"".join(self._contents().get(row, 0, row.size_bytes))
        try:
            watermarks.stamped(row, content, "…")
        except watermarks.NotStamped:
            raise InvalidInput.field(
                "watermark", "NOT_POSSIBLE", "leave it out: this document cannot have one"
            ) from None

    @grpc
    def list_shares(
        self, request: sharing_pb2.ListSharesRequest
    ) -> documents_pb2.ListSharesResponse:
        with self.db.transaction() as session:
            row = Documents(session).owned(request.document_id, self.call.authenticated.subject)
            rows, token = Shares(session).page(
                row.document_id, request.page_size, request.page_token
            )
        return documents_pb2.ListSharesResponse(
            shares=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def list_shared_with_me(
        self, request: sharing_pb2.ListSharedWithMeRequest
    ) -> sharing_pb2.ListSharedWithMeResponse:
        with self.db.transaction() as session:
            shares, token = Shares(session).received_page(
                self.call.acting, request.page_size, request.page_token
            )
        return sharing_pb2.ListSharedWithMeResponse(shares=shares, next_page_token=token)

    @grpc
    def revoke_share(
        self, request: sharing_pb2.RevokeShareRequest
    ) -> documents_pb2.RevokeShareResponse:
        with self.db.transaction() as session:
            row = Documents(session).owned(request.document_id, self.call.authenticated.subject)
            share = Shares(session).revoke(row, request.share_id, self.events)
        return documents_pb2.RevokeShareResponse(share=share.to_proto())

    @subscribe(ConsentRevoked)
    def on_consent_revoked(self, event: Received[ConsentRevoked]) -> None:
        with self.db.transaction() as session:
            Shares(session).end_of_consent(event.data.consent_id, self.events)

    @loop(every=0.5)
    def tell_of_shares(self) -> bool:
        """Tells of shares that begin or end by themselves; true when more may wait."""
        with self.db.transaction() as session:
            shares = Shares(session)
            return any((shares.announce(self.events), shares.end_those_over(self.events)))


def _not_with_a_person() -> InvalidInput:
    return InvalidInput.field("account_id", "OWNER_ONLY", "only its owner shares it with a person")
