"""Notifications: what people are told, in their inbox and by e-mail."""

import logging
from collections.abc import Iterator
from datetime import UTC

import grpc as grpclib
from administration.documents.v1.deposits_pb2 import RefusalReason
from administration.documents.v1.events_pb2 import (
    BoxOpened,
    DepositorReminded,
    DocumentDamaged,
    DocumentDeposited,
    DocumentDestroyed,
    DocumentRefused,
    DocumentShared,
    DocumentSharedWithPerson,
    DocumentUnpacked,
    ExportReady,
    HandInRefused,
    RetentionEnded,
)
from administration.documents.v1.retention_pb2 import (
    DESTRUCTION_CAUSE_RETENTION_ENDED,
    Disposition,
)
from administration.identity.v1 import identity_pb2, organisations_pb2
from administration.identity.v1.events_pb2 import (
    ErasureCancelled,
    ErasureRequested,
    ErasureStarted,
    MemberInvited,
)
from administration.notifications.v1 import notifications_pb2
from administration.notifications.v1.events_pb2 import EmailAccepted
from opentelemetry import trace
from prometheus_client import Gauge

from backbone import personal_data, telemetry
from backbone.database import Database, Transactions, after_commit
from backbone.dependencies import Settings
from backbone.events import Events, Publisher, Received, subscribe
from backbone.live import Live, Watchers
from backbone.loops import loop
from backbone.rpc import Call, CurrentCall, Grpc, GrpcClient, Stub
from backbone.settings import EventSettings
from services.notifications.deliveries import Deliveries, DeliveryRow, State
from services.notifications.domain import rules, texts
from services.notifications.domain.rules import INVITATION, Notice
from services.notifications.domain.text import Text
from services.notifications.inbox import Inboxes
from services.notifications.mailer import Mail, Mailer, MailError

log = logging.getLogger(__name__)
grpc = Grpc.implementing("administration.notifications.v1.NotificationsService")

PAGE = 200
WATCHERS = Gauge("inbox_watchers", "Open streams of inboxes.")


class NotificationsService:
    name = "notifications"

    db: Transactions = Database()
    events: Publisher = Events()
    call: Call = CurrentCall()
    identity: Stub = GrpcClient("identity")
    live: Watchers = Live(WATCHERS)
    mailer: Mailer = Mail()
    settings: EventSettings = Settings(EventSettings)

    @subscribe(DocumentDeposited)
    def on_document_deposited(self, event: Received[DocumentDeposited]) -> None:
        fact = event.data
        if fact.unpacked_from:
            # One notice tells of all that an archive holds.
            return
        if fact.version > 1:
            self._tell(rules.version_deposited(fact.document_id, fact.owner_id, fact.version))
        else:
            self._tell(rules.document_deposited(fact.document_id, fact.owner_id))

    @subscribe(DocumentUnpacked)
    def on_document_unpacked(self, event: Received[DocumentUnpacked]) -> None:
        fact = event.data
        self._tell(
            rules.document_unpacked(fact.document_id, fact.owner_id, fact.documents, fact.problems)
        )

    @subscribe(RetentionEnded)
    def on_retention_ended(self, event: Received[RetentionEnded]) -> None:
        fact = event.data
        word = Disposition.Name(fact.disposition).removeprefix("DISPOSITION_")
        self._tell(rules.retention_ended(fact.document_id, fact.owner_id, word))

    @subscribe(DocumentDestroyed)
    def on_document_destroyed(self, event: Received[DocumentDestroyed]) -> None:
        fact = event.data
        # What its owner deleted, or had made for a while, goes as they expect.
        if fact.cause == DESTRUCTION_CAUSE_RETENTION_ENDED:
            self._tell(rules.document_destroyed(fact.document_id, fact.owner_id))

    @subscribe(ExportReady)
    def on_export_ready(self, event: Received[ExportReady]) -> None:
        fact, end = event.data, event.data.expire_time.ToDatetime(UTC)
        self._tell(rules.export_ready(fact.document_id, fact.account_id, end))

    @subscribe(ErasureRequested)
    def on_erasure_requested(self, event: Received[ErasureRequested]) -> None:
        fact, due = event.data, event.data.due_time.ToDatetime(UTC)
        self._tell(rules.erasure_requested(fact.erasure_id, fact.account_id, due))

    @subscribe(ErasureCancelled)
    def on_erasure_cancelled(self, event: Received[ErasureCancelled]) -> None:
        self._tell(rules.erasure_cancelled(event.data.erasure_id, event.data.account_id))

    @subscribe(ErasureStarted)
    def on_erasure_started(self, event: Received[ErasureStarted]) -> None:
        fact = event.data
        with self.db.transaction() as session:
            counts = {
                "inbox_entry": Inboxes(session).forget(fact.account_id),
                "delivery": Deliveries(session).forget(fact.account_id),
            }
            self.events.publish(personal_data.erased(self.name, fact, counts))

    @subscribe(DocumentRefused)
    def on_document_refused(self, event: Received[DocumentRefused]) -> None:
        fact = event.data
        reason = RefusalReason.Name(fact.refusal_reason).removeprefix("REFUSAL_REASON_")
        if fact.version > 1:
            self._tell(rules.version_refused(fact.document_id, fact.owner_id, fact.version, reason))
        else:
            self._tell(rules.document_refused(fact.document_id, fact.owner_id, reason))

    @subscribe(DocumentDamaged)
    def on_document_damaged(self, event: Received[DocumentDamaged]) -> None:
        fact = event.data
        self._tell(rules.document_damaged(fact.document_id, fact.owner_id, fact.version))

    @subscribe(DocumentShared)
    def on_document_shared(self, event: Received[DocumentShared]) -> None:
        fact, end = event.data, event.data.expire_time.ToDatetime(UTC)
        self._tell(rules.document_shared(fact.document_id, fact.owner_id, fact.administration, end))

    @subscribe(DocumentSharedWithPerson)
    def on_document_shared_with_person(self, event: Received[DocumentSharedWithPerson]) -> None:
        fact, end = event.data, event.data.expire_time.ToDatetime(UTC)
        for notice in rules.shared_with_person(
            fact.document_id, fact.owner_id, fact.account_id, end
        ):
            self._tell(notice)

    @subscribe(BoxOpened)
    def on_box_opened(self, event: Received[BoxOpened]) -> None:
        fact, end = event.data, event.data.deadline.ToDatetime(UTC)
        # One that is open to whoever has its code is nobody's yet.
        if fact.account_id:
            self._tell(rules.box_opened(fact.box_id, fact.account_id, fact.administration, end))

    @subscribe(DepositorReminded)
    def on_depositor_reminded(self, event: Received[DepositorReminded]) -> None:
        fact, end = event.data, event.data.deadline.ToDatetime(UTC)
        self._tell(
            rules.depositor_reminded(
                fact.box_id, fact.account_id, fact.administration, end, fact.missing
            )
        )

    @subscribe(HandInRefused)
    def on_hand_in_refused(self, event: Received[HandInRefused]) -> None:
        fact = event.data
        self._tell(
            rules.hand_in_refused(
                fact.box_id, fact.account_id, fact.administration, fact.document_id
            )
        )

    @subscribe(MemberInvited)
    def on_member_invited(self, event: Received[MemberInvited]) -> None:
        with self.db.transaction() as session:
            Deliveries(session).add_invitation(event.data.invitation_id, telemetry.traceparent())

    def _tell(self, notice: Notice) -> None:
        with self.db.transaction() as session:
            sequence = Inboxes(session).add(notice)
            Deliveries(session).add(notice, telemetry.traceparent())
            after_commit(lambda: self.live.ring({notice.account_id: sequence}))

    @loop(every=0.25)
    def deliver(self) -> bool:
        """Sends one e-mail that is due; true when there was one."""
        with self.db.transaction() as session:
            delivery = Deliveries(session).claim()
            if delivery is None:
                return False
            parent = telemetry.parent(delivery.traceparent)
            span = telemetry.entry_span("send e-mail", parent, trace.SpanKind.INTERNAL)
            with telemetry.entered(span):
                self._send(delivery)
        return True

    def _send(self, delivery: DeliveryRow) -> None:
        delivery_id = str(delivery.delivery_id)
        try:
            name, email, letter = self._letter(delivery)
            if not email:
                delivery.state = State.UNREACHABLE
                return
            self.mailer.send(delivery_id, name, email, letter)
        except (grpclib.RpcError, MailError) as error:
            log.warning("delivery %s failed: %s", delivery_id, type(error).__name__)
            delivery.failed(permanent=_permanent(error))
        except Exception:
            # Whatever it is, the mails behind it are not to wait for this one.
            log.exception("delivery %s failed", delivery_id)
            delivery.failed(permanent=False)
        else:
            delivery.state = State.SENT
            accepted = EmailAccepted(delivery_id=delivery_id, kind=delivery.kind)
            if delivery.kind != INVITATION:
                accepted.account_id = str(delivery.account_id)
            self.events.publish(accepted)

    def _letter(self, delivery: DeliveryRow) -> tuple[str, str, Text]:
        """Whom to write to by name, where (empty: nowhere), and what."""
        whom = str(delivery.account_id)
        if delivery.kind == INVITATION:
            asked = organisations_pb2.GetInvitationLetterRequest(invitation_id=whom)
            invitation = self.identity.get_invitation_letter(asked)
            parameters = {
                "invitation_id": whom,
                "organisation_name": invitation.organisation_name,
                "until": rules.day(invitation.expire_time.ToDatetime(UTC)),
                "url": self.settings.public_url,
            }
            return "", invitation.email, texts.render(INVITATION, parameters, texts.FRENCH)
        contact = self.identity.get_contact(identity_pb2.GetContactRequest(account_id=whom))
        name = contact.display_name
        letter = texts.letter(delivery.kind, delivery.parameters, contact.locale, name)
        return name, contact.email, letter

    @loop(every=0.25)
    def look_for_entries(self) -> bool:
        """Wakes the watchers of inboxes that another process wrote to."""
        if watched := self.live.watched():
            with self.db.transaction() as session:
                sequences = Inboxes(session).last_sequences(watched)
            self.live.ring(sequences)
        return False

    @grpc
    def list_inbox(
        self, request: notifications_pb2.ListInboxRequest
    ) -> notifications_pb2.ListInboxResponse:
        caller = self.call.authenticated
        with self.db.transaction() as session:
            rows, token = Inboxes(session).page(
                caller.subject, request.page_size, request.page_token
            )
        return notifications_pb2.ListInboxResponse(
            entries=[row.to_proto(caller.locale) for row in rows], next_page_token=token
        )

    @grpc
    def export_personal_data(
        self, request: notifications_pb2.ExportPersonalDataRequest
    ) -> notifications_pb2.ExportPersonalDataResponse:
        with self.db.transaction() as session:

            def inbox(page_token: str) -> tuple[list[notifications_pb2.InboxEntry], str]:
                rows, following = Inboxes(session).page(request.account_id, PAGE, page_token)
                return [row.to_proto(texts.FRENCH) for row in rows], following

            page = personal_data.page({"inbox": inbox}, request.page_token)
        return notifications_pb2.ExportPersonalDataResponse(**page._asdict())

    @grpc
    def watch_inbox(
        self, request: notifications_pb2.WatchInboxRequest
    ) -> Iterator[notifications_pb2.WatchInboxResponse]:
        caller, seen = self.call.authenticated, request.after_sequence
        with self.live.watching(caller.subject) as bell:
            while self.call.active():
                with self.db.transaction() as session:
                    rows = Inboxes(session).after(caller.subject, seen, PAGE)
                for row in rows:
                    seen = row.sequence
                    yield notifications_pb2.WatchInboxResponse(
                        sequence=seen, entry=row.to_proto(caller.locale)
                    )
                if not rows:
                    bell.wait(seen, timeout=1.0)


def _permanent(error: Exception) -> bool:
    if isinstance(error, MailError):
        return error.permanent
    return isinstance(error, grpclib.Call) and error.code() == grpclib.StatusCode.NOT_FOUND
