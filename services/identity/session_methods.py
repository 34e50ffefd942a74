"""The rpcs about sessions, sign-ins and ended access, and what runs behind them."""

from collections.abc import Callable

from administration.identity.v1 import sessions_pb2

from backbone.database import Transactions
from backbone.events import Publisher
from backbone.loops import loop
from backbone.rpc import Call, Grpc
from backbone.settings import RealmSettings
from services.identity.domain.account import Account
from services.identity.ending import Ending
from services.identity.erasing import Erasing
from services.identity.realm import LiveSession, RealmDirectory
from services.identity.realm_log import sign_ins
from services.identity.watching import Watch, Watching

grpc = Grpc.implementing("administration.identity.v1.IdentityService")


class SessionMethods:
    """A part of `IdentityService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    realm: RealmDirectory
    realm_settings: RealmSettings
    watch: Watch
    _known: Callable[[str], Account]
    _erasing: Callable[[], Erasing]

    @grpc
    def list_sessions(
        self, request: sessions_pb2.ListSessionsRequest
    ) -> sessions_pb2.ListSessionsResponse:
        caller = self.call.authenticated
        live = sorted(self._ending().sessions(caller.subject), key=lambda each: each.last_time)
        found = [_session(each, caller.session_id) for each in reversed(live)]
        return sessions_pb2.ListSessionsResponse(sessions=found)

    @grpc
    def end_session(
        self, request: sessions_pb2.EndSessionRequest
    ) -> sessions_pb2.EndSessionResponse:
        caller = self.call.authenticated
        self._ending().end_session(caller.subject, request.session_id, caller.session_id)
        return sessions_pb2.EndSessionResponse()

    @grpc
    def end_all_sessions(
        self, request: sessions_pb2.EndAllSessionsRequest
    ) -> sessions_pb2.EndAllSessionsResponse:
        account_id = self.call.authenticated.subject
        self._ending().end_sessions(account_id, account_id)
        return sessions_pb2.EndAllSessionsResponse()

    @grpc
    def list_sign_ins(
        self, request: sessions_pb2.ListSignInsRequest
    ) -> sessions_pb2.ListSignInsResponse:
        account_id = self.call.authenticated.subject
        with self.db.transaction() as session:
            rows, token = sign_ins(session, account_id, request.page_size, request.page_token)
        return sessions_pb2.ListSignInsResponse(
            sign_ins=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def disable_account(
        self, request: sessions_pb2.DisableAccountRequest
    ) -> sessions_pb2.DisableAccountResponse:
        account_id = self._known(request.account_id.lower()).account_id
        self._ending().disable(account_id, self.call.authenticated.subject)
        return sessions_pb2.DisableAccountResponse()

    @grpc
    def enable_account(
        self, request: sessions_pb2.EnableAccountRequest
    ) -> sessions_pb2.EnableAccountResponse:
        account_id = self._known(request.account_id.lower()).account_id
        with self.db.transaction():
            self._ending().enable(account_id, self.call.authenticated.subject)
            self._erasing().cancel_of(account_id)
        return sessions_pb2.EnableAccountResponse()

    @grpc
    def revoke_client(
        self, request: sessions_pb2.RevokeClientRequest
    ) -> sessions_pb2.RevokeClientResponse:
        self._ending().revoke_client(request.client_id, self.call.authenticated.subject)
        return sessions_pb2.RevokeClientResponse()

    @loop(every=0.2)
    def carry_out_orders(self) -> bool:
        """Does one order in the realm; true when there was one."""
        return self._ending().carry_out()

    @loop(every=1.0)
    def read_realm(self) -> bool:
        """Takes what is new in the realm's logs."""
        return self.watch.read(Watching(self.db, self.events, self.realm))

    @loop(every=60.0)
    def look_back_at_realm(self) -> bool:
        """Finds what came late into the realm's logs, and what is missing there."""
        return self.watch.read(Watching(self.db, self.events, self.realm), deep=True)

    def _ending(self) -> Ending:
        return Ending(self.db, self.events, self.realm, self.realm_settings.token_leeway)


def _session(live: LiveSession, current: str) -> sessions_pb2.Session:
    message = sessions_pb2.Session(
        session_id=live.session_id,
        client_ids=live.client_ids,
        ip_address=live.address,
        current=live.session_id == current,
    )
    message.start_time.FromDatetime(live.start_time)
    message.last_use_time.FromDatetime(live.last_time)
    return message
