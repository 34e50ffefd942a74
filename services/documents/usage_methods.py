"""The rpc about usage, and how deposits are held to it."""

from contextlib import AbstractContextManager

from administration.documents.v1 import usage_pb2
from sqlalchemy.orm import Session

from backbone.database import Transactions
from backbone.rpc import Call, Grpc
from services.documents.content_row import ContentRow
from services.documents.quotas import QuotaSettings, Usages, depositing, payer_of
from services.documents.store import ObjectStore

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")

SMALL_BYTES = 1024 * 1024


class UsageMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    call: Call
    store: ObjectStore
    quotas: QuotaSettings

    @grpc
    def get_usage(self, request: usage_pb2.GetUsageRequest) -> usage_pb2.GetUsageResponse:
        with self.db.transaction() as session:
            usage = Usages(session, self.quotas).of(self._payer())
        return usage_pb2.GetUsageResponse(usage=usage)

    def _payer(self) -> str:
        return payer_of(self.call.acting)

    def _require_room(self, size_bytes: int) -> None:
        """Raises:
        OverQuota: there is no room for a deposit of this size (0: not known), so it need not be
        sent. A small one is sent sooner than it is asked about: it is refused when it is stored.
        """
        if 0 < size_bytes <= SMALL_BYTES:
            return
        with self.db.transaction() as session:
            Usages(session, self.quotas).require(self._payer(), max(size_bytes, 1), 1)

    def _depositing(self, row: ContentRow) -> AbstractContextManager[Session]:
        return depositing(self.db, self.store, self.quotas, row)
