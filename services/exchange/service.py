"""Exchange: events for partners over HTTP, in feeds that they read and webhooks that we call."""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from administration.exchange.v1 import exchange_pb2
from google.protobuf.message import Message
from prometheus_client import Gauge

from backbone import contracts
from backbone.database import Database, Transactions, after_commit
from backbone.dependencies import Settings
from backbone.errors import InvalidInput, Unavailable
from backbone.events import Events, Publisher, Received, subscribe, topics
from backbone.live import Live, Watchers
from backbone.loops import loop
from backbone.rpc import Call, CurrentCall, Grpc
from services.exchange import messages
from services.exchange.caller import Caller, WebhookCaller
from services.exchange.deliverer import Deliverer
from services.exchange.domain.cursor import Cursors
from services.exchange.feeds import FeedEventRow, Feeds
from services.exchange.grants import Grants, TopicGrants
from services.exchange.seal import SealedCursors
from services.exchange.settings import FeedSettings, WebhookSettings
from services.exchange.slots import CallSlots, Slots
from services.exchange.webhooks import Webhooks, purge_attempts

log = logging.getLogger(__name__)

grpc = Grpc.implementing("administration.exchange.v1.ExchangeService")

PAGE = 100
WATCHERS = Gauge("feed_watchers", "Open streams of feeds, and readers that wait for an event.")

Reading = exchange_pb2.ListFeedEventsRequest | exchange_pb2.WatchFeedRequest


class ExchangeService:
    name = "exchange"

    db: Transactions = Database()
    events: Publisher = Events()
    call: Call = CurrentCall()
    live: Watchers = Live(WATCHERS)
    grants: Grants = TopicGrants()
    cursors: Cursors = SealedCursors()
    caller: Caller = WebhookCaller()
    slots: Slots = CallSlots()
    feed_settings: FeedSettings = Settings(FeedSettings)
    webhook_settings: WebhookSettings = Settings(WebhookSettings)

    # ---- from Kafka -----------------------------------------------------------------------------

    @subscribe(*contracts.public_events())
    def on_public_event(self, event: Received[Message]) -> None:
        topic = topics.public(event.data.DESCRIPTOR)
        with self.db.transaction() as session:
            sequence = Feeds(session).append(topic, event)
            after_commit(lambda: self.live.ring({topic: sequence}))

    @loop(every=0.25)
    def look_for_events(self) -> bool:
        """Wakes the readers of feeds that another process wrote to."""
        if watched := self.live.watched():
            with self.db.transaction() as session:
                sequences = Feeds(session).last_sequences(watched)
            self.live.ring(sequences)
        return False

    @loop(every=60)
    def purge(self) -> bool:
        """Forgets what is older than the retention; true when more waits."""
        before = datetime.now(UTC) - timedelta(days=self.feed_settings.retention_days)
        with self.db.transaction() as session:
            purge_attempts(session, before)
            return Feeds(session).purge(before)

    # ---- feeds ----------------------------------------------------------------------------------

    @grpc
    def list_feed_events(
        self, request: exchange_pb2.ListFeedEventsRequest
    ) -> exchange_pb2.ListFeedEventsResponse:
        client_id, limit = self.call.authenticated.client_id, request.limit or PAGE
        sequence = self._start(request)
        rows = self._read(request.topic, sequence, limit)
        end = time.monotonic() + request.wait_seconds
        if not rows and request.wait_seconds:
            with self.live.watching(request.topic, client_id) as bell:
                rows = self._read(request.topic, sequence, limit)
                while not rows and self.call.active() and (left := end - time.monotonic()) > 0:
                    bell.wait(sequence, timeout=min(1.0, left))
                    rows = self._read(request.topic, sequence, limit)
        last = rows[-1].sequence if rows else sequence
        return exchange_pb2.ListFeedEventsResponse(
            events=[
                exchange_pb2.FeedEvent(
                    cursor=self.cursors.write(client_id, request.topic, row.sequence),
                    event=messages.cloud_event(row),
                )
                for row in rows
            ],
            next_cursor=self.cursors.write(client_id, request.topic, last),
        )

    @grpc
    def watch_feed(
        self, request: exchange_pb2.WatchFeedRequest
    ) -> Iterator[exchange_pb2.WatchFeedResponse]:
        client_id, topic = self.call.authenticated.client_id, request.topic
        seen = self._start(request)
        with self.live.watching(topic, client_id) as bell:
            while self.call.active():
                rows = self._read(topic, seen, PAGE)
                for row in rows:
                    seen = row.sequence
                    yield exchange_pb2.WatchFeedResponse(
                        cursor=self.cursors.write(client_id, topic, seen),
                        event=messages.cloud_event(row),
                    )
                # Nobody asks the database for a stream that nothing happens on.
                while not rows and self.call.active() and not bell.wait(seen, timeout=1.0):
                    self.grants.require(client_id, topic)

    def _start(self, request: Reading) -> int:
        """Where a reader begins: at its cursor, at a date, or at the oldest event."""
        client_id = self.call.authenticated.client_id
        self.grants.require(client_id, request.topic)
        if request.after:
            return self.cursors.read(client_id, request.topic, request.after)
        with self.db.transaction() as session:
            return Feeds(session).start(request.topic, _since(request))

    def _read(self, topic: str, sequence: int, limit: int) -> Sequence[FeedEventRow]:
        """The next events, while the topic is granted."""
        self.grants.require(self.call.authenticated.client_id, topic)
        with self.db.transaction() as session:
            return Feeds(session).after(topic, sequence, limit)

    # ---- webhooks -------------------------------------------------------------------------------

    @grpc
    def create_webhook(
        self, request: exchange_pb2.CreateWebhookRequest
    ) -> exchange_pb2.CreateWebhookResponse:
        client_id = self.call.authenticated.client_id
        self.grants.require(client_id, request.topic)
        self.caller.check(request.url)
        since, limit = _since(request), self.webhook_settings.client_webhooks
        with self.db.transaction() as session:
            feeds = Feeds(session)
            last = feeds.last_sequences([request.topic])[request.topic]
            start = feeds.start(request.topic, since) if since else last
            row = Webhooks(session, client_id).add(request.topic, request.url, start, limit)
            webhook = row.to_proto(last)
        return exchange_pb2.CreateWebhookResponse(webhook=webhook, secret=row.secret)

    @grpc
    def list_webhooks(
        self, request: exchange_pb2.ListWebhooksRequest
    ) -> exchange_pb2.ListWebhooksResponse:
        with self.db.transaction() as session:
            rows, token = Webhooks(session, self.call.authenticated.client_id).page(
                request.page_size, request.page_token
            )
            last = Feeds(session).last_sequences({row.topic for row in rows})
        return exchange_pb2.ListWebhooksResponse(
            webhooks=[row.to_proto(last[row.topic]) for row in rows], next_page_token=token
        )

    @grpc
    def get_webhook(
        self, request: exchange_pb2.GetWebhookRequest
    ) -> exchange_pb2.GetWebhookResponse:
        with self.db.transaction() as session:
            row = Webhooks(session, self.call.authenticated.client_id).get(request.webhook_id)
            last = Feeds(session).last_sequences([row.topic])
        return exchange_pb2.GetWebhookResponse(webhook=row.to_proto(last[row.topic]))

    @grpc
    def delete_webhook(
        self, request: exchange_pb2.DeleteWebhookRequest
    ) -> exchange_pb2.DeleteWebhookResponse:
        with self.db.transaction() as session:
            Webhooks(session, self.call.authenticated.client_id).remove(request.webhook_id)
        return exchange_pb2.DeleteWebhookResponse()

    @grpc
    def enable_webhook(
        self, request: exchange_pb2.EnableWebhookRequest
    ) -> exchange_pb2.EnableWebhookResponse:
        client_id = self.call.authenticated.client_id
        with self.db.transaction() as session:
            row = Webhooks(session, client_id).get(request.webhook_id, lock=True)
            self.grants.require(client_id, row.topic)
            row.enable()
            session.flush()
            last = Feeds(session).last_sequences([row.topic])
        return exchange_pb2.EnableWebhookResponse(webhook=row.to_proto(last[row.topic]))

    @grpc
    def rotate_webhook_secret(
        self, request: exchange_pb2.RotateWebhookSecretRequest
    ) -> exchange_pb2.RotateWebhookSecretResponse:
        with self.db.transaction() as session:
            row = Webhooks(session, self.call.authenticated.client_id).get(
                request.webhook_id, lock=True
            )
            until = row.rotate(datetime.now(UTC))
        response = exchange_pb2.RotateWebhookSecretResponse(secret=row.secret)
        response.previous_expire_time.FromDatetime(until)
        return response

    @grpc
    def list_webhook_attempts(
        self, request: exchange_pb2.ListWebhookAttemptsRequest
    ) -> exchange_pb2.ListWebhookAttemptsResponse:
        with self.db.transaction() as session:
            rows, token = Webhooks(session, self.call.authenticated.client_id).attempts(
                request.webhook_id, request.page_size, request.page_token
            )
        return exchange_pb2.ListWebhookAttemptsResponse(
            attempts=[row.to_proto() for row in rows], next_page_token=token
        )

    # ---- calling them ---------------------------------------------------------------------------

    @loop(every=0.25)
    def call_webhooks(self) -> bool:
        """Gives their turn to webhooks that have something due, as far as there are free slots."""
        self._deliverer().give_turns()
        return False

    @loop(every=2)
    def disable_revoked_webhooks(self) -> bool:
        """Stops the webhooks of clients that were revoked, before an event does."""
        try:
            self._deliverer().disable_revoked()
        except Unavailable as error:
            # Kafka is away: nothing is delivered meanwhile either, and it is asked again.
            log.warning("revoked webhooks cannot be looked for: %s", error.detail)
        return False

    def _deliverer(self) -> Deliverer:
        return Deliverer(
            self.db, self.events, self.grants, self.caller, self.slots, self.webhook_settings
        )


def _since(request: Reading | exchange_pb2.CreateWebhookRequest) -> datetime | None:
    if not request.HasField("since"):
        return None
    try:
        return request.since.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput.field("since", "OUT_OF_RANGE", "is not a date") from None
