"""The rpcs of mandates, and what lets identity's own methods be called for another."""

from collections.abc import Callable
from datetime import UTC, datetime

from administration.identity.v1 import mandates_pb2
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from sqlalchemy.exc import SQLAlchemyError

from backbone import mandates
from backbone.database import DatabasePool, Transactions
from backbone.errors import Forbidden, InvalidInput, NotFound
from backbone.events import Publisher
from backbone.mandates import Held
from backbone.rpc import Call, Grpc
from backbone.rpc.server import GrpcServer
from services.identity.domain.account import Account
from services.identity.domain.mandate import Offer, Principal
from services.identity.domain.organisation import Kind, Role
from services.identity.mandates import Mandates
from services.identity.mandating import Mandating
from services.identity.organisations import Organisations

grpc = Grpc.implementing("administration.identity.v1.IdentityService")


class OwnMandates(DependencyProvider):  # type: ignore[misc]
    """What other services ask identity for (`IdentityMandates`), from its own tables."""

    pool = DatabasePool()
    server = GrpcServer()

    def setup(self) -> None:
        assert self.pool.transactions is not None
        self._db = self.pool.transactions
        self.server.mandates = self._mandates = mandates.Mandates(self._held)

    def get_dependency(self, worker_ctx: WorkerContext) -> mandates.Mandates:
        return self._mandates

    def _held(self, representative_id: str, principal_id: str, scope: str) -> Held | None:
        try:
            with self._db.transaction() as session:
                row = Mandates(session).granting(representative_id, principal_id, scope)
        except SQLAlchemyError as error:
            raise mandates.unknown() from error
        return Held(str(row.mandate_id), row.expire_time.timestamp()) if row else None


class MandateMethods:
    """A part of `IdentityService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    _known: Callable[[str], Account]

    @grpc
    def offer_mandate(
        self, request: mandates_pb2.OfferMandateRequest
    ) -> mandates_pb2.OfferMandateResponse:
        principal_id, kind = self._principal(request.organisation_id)
        offer = Offer.asked(
            principal_id,
            request.representative_id,
            request.scopes,
            request.start_time.ToDatetime(UTC) if request.HasField("start_time") else None,
            request.expire_time.ToDatetime(UTC),
            datetime.now(UTC),
            kind,
        )
        try:
            self._known(offer.representative_id)
        except NotFound:
            raise InvalidInput.field(
                "representative_id", "UNKNOWN", "is the identifier of no account"
            ) from None
        return mandates_pb2.OfferMandateResponse(mandate=self._mandating().offer(offer).to_proto())

    @grpc
    def list_mandates(
        self, request: mandates_pb2.ListMandatesRequest
    ) -> mandates_pb2.ListMandatesResponse:
        account_id = self.call.authenticated.subject
        with self.db.transaction() as session:
            rows, token = Mandates(session).page(account_id, request.page_size, request.page_token)
        return mandates_pb2.ListMandatesResponse(
            mandates=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def get_mandate(
        self, request: mandates_pb2.GetMandateRequest
    ) -> mandates_pb2.GetMandateResponse:
        with self.db.transaction() as session:
            row = Mandates(session).get(request.mandate_id, self.call.authenticated.subject)
        return mandates_pb2.GetMandateResponse(mandate=row.to_proto())

    @grpc
    def accept_mandate(
        self, request: mandates_pb2.AcceptMandateRequest
    ) -> mandates_pb2.AcceptMandateResponse:
        row = self._mandating().accept(request.mandate_id)
        return mandates_pb2.AcceptMandateResponse(mandate=row.to_proto())

    @grpc
    def end_mandate(
        self, request: mandates_pb2.EndMandateRequest
    ) -> mandates_pb2.EndMandateResponse:
        row = self._mandating().end(request.mandate_id)
        return mandates_pb2.EndMandateResponse(mandate=row.to_proto())

    @grpc
    def check_mandate(
        self, request: mandates_pb2.CheckMandateRequest
    ) -> mandates_pb2.CheckMandateResponse:
        with self.db.transaction() as session:
            row = Mandates(session).granting(
                request.representative_id, request.principal_id, request.scope
            )
        if row is None:
            return mandates_pb2.CheckMandateResponse()
        answer = mandates_pb2.CheckMandateResponse(granted=True, mandate_id=str(row.mandate_id))
        answer.expire_time.FromDatetime(row.expire_time)
        return answer

    def _principal(self, organisation_id: str) -> tuple[str, Principal]:
        """Whom the caller gives a mandate for: themselves, or a company that they manage."""
        caller = self.call.authenticated
        if not organisation_id:
            return caller.subject, Principal.PERSON
        with self.db.transaction() as session:
            organisations = Organisations(session, caller)
            row = organisations.managed(organisation_id)
            member = organisations.membership(row, caller.subject)
        if row.kind != Kind.COMPANY:
            raise InvalidInput.field("organisation_id", "NOT_A_COMPANY", "must be a company")
        if member is None or member.role != Role.MANAGER:
            raise Forbidden("A manager mandates for a company.", reason="NOT_A_MANAGER")
        return str(row.organisation_id), Principal.COMPANY

    def _mandating(self) -> Mandating:
        return Mandating(self.db, self.events, self.call.authenticated.subject)
