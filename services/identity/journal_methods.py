"""The rpcs of the journal, and what fills it."""

from administration.identity.v1 import journal_pb2
from administration.identity.v1.events_pb2 import PersonalDataAccessed

from backbone.database import Transactions
from backbone.errors import NotFound
from backbone.events import Received, subscribe
from backbone.rpc import Call, Grpc
from backbone.settings import EventSettings
from services.identity.journal import Journal
from services.identity.signing import Signer

grpc = Grpc.implementing("administration.identity.v1.IdentityService")


class JournalMethods:
    """A part of `IdentityService`, whose dependencies it uses."""

    db: Transactions
    call: Call
    signer: Signer
    settings: EventSettings

    @subscribe(PersonalDataAccessed)
    def on_personal_data_accessed(self, event: Received[PersonalDataAccessed]) -> None:
        with self.db.transaction() as session:
            Journal(session).append(event.source, event.data, self.signer, self.settings.public_url)

    @grpc
    def list_journal(
        self, request: journal_pb2.ListJournalRequest
    ) -> journal_pb2.ListJournalResponse:
        account_id = self.call.authenticated.subject
        with self.db.transaction() as session:
            journal = Journal(session)
            rows, token = journal.page(account_id, request.page_size, request.page_token)
            entries = journal.entries(rows)
        return journal_pb2.ListJournalResponse(entries=entries, next_page_token=token)

    @grpc
    def get_journal_checkpoint(
        self, request: journal_pb2.GetJournalCheckpointRequest
    ) -> journal_pb2.GetJournalCheckpointResponse:
        with self.db.transaction() as session:
            last = Journal(session).last()
        if last is None:
            raise NotFound("The journal has no line yet.", reason="JOURNAL_EMPTY")
        return journal_pb2.GetJournalCheckpointResponse(
            line=last.number, head=last.head.hex(), seal=last.seal
        )
