"""The rpcs about accounts as agents see them, and about levels."""

from collections.abc import Callable

from administration.identity.v1 import levels_pb2
from administration.options.v1 import options_pb2

from backbone.database import Transactions
from backbone.events import Publisher
from backbone.rpc import Call, Grpc
from services.identity.domain.account import Account
from services.identity.domain.level import administration_of, check
from services.identity.levels import Levels, raise_level
from services.identity.realm import RealmDirectory

grpc = Grpc.implementing("administration.identity.v1.IdentityService")


class LevelMethods:
    """A part of `IdentityService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    realm: RealmDirectory
    _known: Callable[[str], Account]

    @grpc
    def find_accounts(
        self, request: levels_pb2.FindAccountsRequest
    ) -> levels_pb2.FindAccountsResponse:
        self._require_right()
        found = self.realm.account_of(request.email)
        accounts = [self._shown(self._known(found))] if found else []
        return levels_pb2.FindAccountsResponse(accounts=accounts)

    @grpc
    def get_account(self, request: levels_pb2.GetAccountRequest) -> levels_pb2.GetAccountResponse:
        self._require_right()
        account = self._known(request.account_id)
        return levels_pb2.GetAccountResponse(account=self._shown(account))

    @grpc
    def raise_level(self, request: levels_pb2.RaiseLevelRequest) -> levels_pb2.RaiseLevelResponse:
        caller = self.call.authenticated
        by = (caller.subject, administration_of(caller.administration))
        said = check(request.level, request.piece, request.account_id, caller.subject)
        account = self._known(request.account_id)
        row = raise_level(self.db, self.events, account.account_id, said, by)
        return levels_pb2.RaiseLevelResponse(record=row.to_proto())

    @grpc
    def list_level_records(
        self, request: levels_pb2.ListLevelRecordsRequest
    ) -> levels_pb2.ListLevelRecordsResponse:
        with self.db.transaction() as session:
            levels = Levels(session, self.call.authenticated.subject)
            rows, token = levels.page(request.page_size, request.page_token)
        return levels_pb2.ListLevelRecordsResponse(
            records=[row.to_proto() for row in rows], next_page_token=token
        )

    def _require_right(self) -> None:
        """An administrator of the platform, or an agent of one administration."""
        caller = self.call.authenticated
        if "admin" not in caller.roles:
            administration_of(caller.administration)

    def _shown(self, account: Account) -> levels_pb2.KnownAccount:
        with self.db.transaction() as session:
            level = Levels(session, account.account_id).now()
        admin = "admin" in self.call.authenticated.roles
        return levels_pb2.KnownAccount(
            account_id=account.account_id,
            display_name=account.profile.display_name,
            level=options_pb2.AssuranceLevel.ValueType(level),
            email=account.profile.email if admin else "",
        )
