"""Whose turn it is to be called: webhooks are leased, so that one event is under way for each.

No transaction is open during a call. A lease that is not renewed ends by itself: what a killed
process had begun is called again by another.
"""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, aliased

from services.exchange.domain.tries import Cause, Outcome, verdict
from services.exchange.feeds import FeedEventRow, FeedRow, Feeds
from services.exchange.settings import WebhookSettings
from services.exchange.webhooks import AttemptRow, WebhookRow


@dataclass(frozen=True, slots=True)
class Turn:
    """A lease on a webhook."""

    webhook_id: uuid.UUID
    client_id: str
    topic: str
    lease: uuid.UUID


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a webhook; `number` is the try."""

    url: str
    secrets: list[str]
    event: FeedEventRow
    number: int


class Turns:
    def __init__(self, session: Session, settings: WebhookSettings) -> None:
        self._session = session
        self._settings = settings
        self._lease_time = timedelta(seconds=settings.lease_seconds)

    def take(self, count: int) -> list[Turn]:
        """Leases up to `count` webhooks that have something due, those that waited longest first;
        of one client never more than it may occupy.
        """
        other = aliased(WebhookRow)
        busy = (
            select(func.count())
            .where(other.client_id == WebhookRow.client_id, other.lease_end_time > func.now())
            .scalar_subquery()
        )
        query = (
            select(WebhookRow, busy)
            .join(FeedRow, FeedRow.topic == WebhookRow.topic)
            .where(
                WebhookRow.disabled_cause == Cause.NONE,
                WebhookRow.next_try_time <= func.now(),
                or_(WebhookRow.lease_end_time.is_(None), WebhookRow.lease_end_time < func.now()),
                WebhookRow.cursor < FeedRow.last_sequence,
                busy < self._settings.client_calls,
            )
            .order_by(WebhookRow.turn_time)
            .limit(count)
            .with_for_update(of=WebhookRow, skip_locked=True)
        )
        taken: list[Turn] = []
        mine: Counter[str] = Counter()
        for row, others in self._session.execute(query).all():
            mine[row.client_id] += 1
            if others + mine[row.client_id] <= self._settings.client_calls:
                row.lease = uuid.uuid4()
                row.lease_end_time = func.now() + self._lease_time
                row.turn_time = func.now()
                taken.append(Turn(row.webhook_id, row.client_id, row.topic, row.lease))
        return taken

    def next(self, turn: Turn) -> Delivery | None:
        """The event that is due, the lease renewed; None when there is none or the turn is over."""
        row = self._held(turn)
        if row is None:
            return None
        event = Feeds(self._session).next(row.topic, row.cursor)
        if event is None:
            return None
        row.lease_end_time = func.now() + self._lease_time
        secrets = row.secrets(datetime.now(UTC))
        return Delivery(row.url, secrets, event, row.failed_tries + 1)

    def settle(self, turn: Turn, delivery: Delivery, outcome: Outcome, seconds: float) -> Cause:
        """Writes down what became of a call; the cause when that disabled the webhook.

        When the lease went to somebody else meanwhile, what they find out counts.
        """
        row = self._held(turn)
        if row is None:
            return Cause.NONE
        self._session.add(
            AttemptRow(
                webhook_id=row.webhook_id,
                event_id=delivery.event.event_id,
                number=row.failed_tries + 1,
                http_status=outcome.status,
                outcome=outcome.words,
                duration_ms=int(seconds * 1000),
            )
        )
        if outcome.delivered:
            row.cursor, row.failed_tries = delivery.event.sequence, 0
            return Cause.NONE
        row.failed_tries += 1
        found = verdict(outcome, row.failed_tries, self._settings.pauses)
        self._disable(row, found.disabled)
        row.next_try_time = func.now() + found.pause
        return found.disabled

    def disable(self, turn: Turn, cause: Cause) -> bool:
        """Stops the webhook; false when the turn is over."""
        row = self._held(turn)
        if row is not None:
            self._disable(row, cause)
        return row is not None

    def readers(self) -> list[tuple[str, str]]:
        """The clients that have an active webhook, each with the topic that feeds it."""
        pairs = select(WebhookRow.client_id, WebhookRow.topic).distinct()
        rows = self._session.execute(pairs.where(WebhookRow.disabled_cause == Cause.NONE))
        return [(row.client_id, row.topic) for row in rows]

    def revoke(self, client_id: str, topic: str) -> list[uuid.UUID]:
        """Stops every active webhook of a client on a topic; those."""
        active = (
            select(WebhookRow)
            .where(
                WebhookRow.client_id == client_id,
                WebhookRow.topic == topic,
                WebhookRow.disabled_cause == Cause.NONE,
            )
            .with_for_update()
        )
        rows = self._session.scalars(active).all()
        for row in rows:
            self._disable(row, Cause.REVOKED)
        return [row.webhook_id for row in rows]

    def end(self, turn: Turn, pause: float = 0.0) -> None:
        """Gives the lease back; after one that could not be used, `pause` seconds of rest."""
        row = self._held(turn)
        if row is not None:
            row.lease = row.lease_end_time = None
            if pause:
                row.next_try_time = func.now() + timedelta(seconds=pause)

    def _disable(self, row: WebhookRow, cause: Cause) -> None:
        row.disabled_cause = cause
        if cause:
            # Enabled again at once, it is not to wait for the end of this lease.
            row.lease = row.lease_end_time = None

    def _held(self, turn: Turn) -> WebhookRow | None:
        query = (
            select(WebhookRow)
            .where(
                WebhookRow.webhook_id == turn.webhook_id,
                WebhookRow.lease == turn.lease,
                WebhookRow.disabled_cause == Cause.NONE,
            )
            .with_for_update()
        )
        return self._session.scalar(query)
