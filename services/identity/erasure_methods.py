"""The rpcs about the end of an account and the gathering of what is held, and what runs behind."""

from collections.abc import Callable
from datetime import timedelta

from administration.identity.v1 import erasures_pb2, personal_data_pb2
from administration.identity.v1.events_pb2 import PersonalDataErased
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import personal_data
from backbone.database import Transactions
from backbone.events import Publisher, Received, subscribe
from backbone.loops import loop
from backbone.rpc import Call, Grpc
from backbone.settings import PREFIX, EventSettings
from services.identity.ending import Ending
from services.identity.erasing import Erasing
from services.identity.erasures import Erasures
from services.identity.keeping import Keeping
from services.identity.masters import Masters
from services.identity.personal_data import held
from services.identity.realm import RealmDirectory
from services.identity.signing import Signer

grpc = Grpc.implementing("administration.identity.v1.IdentityService")


class ErasureSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}IDENTITY_")

    erasure_grace_days: int = Field(
        default=30, ge=0, le=365, description="for how long the end of an account can be cancelled"
    )


class ErasureMethods:
    """A part of `IdentityService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    realm: RealmDirectory
    signer: Signer
    masters: Masters
    settings: EventSettings
    erasure_settings: ErasureSettings
    _ending: Callable[[], Ending]

    @grpc
    def export_personal_data(
        self, request: personal_data_pb2.ExportPersonalDataRequest
    ) -> personal_data_pb2.ExportPersonalDataResponse:
        with self.db.transaction() as session:
            page = personal_data.page(held(session, request.account_id), request.page_token)
        return personal_data_pb2.ExportPersonalDataResponse(**page._asdict())

    @grpc
    def request_erasure(
        self, request: erasures_pb2.RequestErasureRequest
    ) -> erasures_pb2.RequestErasureResponse:
        grace = timedelta(days=self.erasure_settings.erasure_grace_days)
        row, code = self._erasing().ask(self.call.authenticated.subject, grace)
        return erasures_pb2.RequestErasureResponse(erasure=row.to_proto(), cancel_code=code)

    @grpc
    def get_erasure(
        self, request: erasures_pb2.GetErasureRequest
    ) -> erasures_pb2.GetErasureResponse:
        with self.db.transaction() as session:
            row = Erasures(session).get(request.erasure_id)
        return erasures_pb2.GetErasureResponse(erasure=row.to_proto())

    @grpc
    def cancel_erasure(
        self, request: erasures_pb2.CancelErasureRequest
    ) -> erasures_pb2.CancelErasureResponse:
        row = self._erasing().cancel(request.erasure_id, request.cancel_code)
        return erasures_pb2.CancelErasureResponse(erasure=row.to_proto())

    @subscribe(PersonalDataErased)
    def on_personal_data_erased(self, event: Received[PersonalDataErased]) -> None:
        self._erasing().answered(event.data)

    @loop(every=1.0)
    def advance_erasures(self) -> bool:
        """Begins or ends one erasure; true when there was one."""
        erasing = self._erasing()
        return erasing.begin() or erasing.finish()

    def _erasing(self) -> Erasing:
        return Erasing(
            self.db,
            self.events,
            self._ending(),
            keeping=Keeping(self.db, self.events, self.masters),
            realm=self.realm,
            signer=self.signer,
            issuer=self.settings.public_url,
        )
