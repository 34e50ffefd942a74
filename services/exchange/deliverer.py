"""A webhook's turn: its events, one after the other, until one fails or others wait."""

import logging
import time
import uuid
from functools import partial

from administration.exchange.v1 import exchange_pb2
from administration.exchange.v1.events_pb2 import WebhookDisabled
from prometheus_client import Counter

from backbone.database import Transactions, after_commit
from backbone.errors import Unavailable
from backbone.events import Publisher
from services.exchange.caller import Caller
from services.exchange.domain.tries import Cause
from services.exchange.grants import Grants
from services.exchange.settings import WebhookSettings
from services.exchange.slots import Slots
from services.exchange.turns import Delivery, Turn, Turns

log = logging.getLogger(__name__)

# A webhook with a backlog lets the others have their turn.
TURN_SECONDS = 5.0
# Before the next turn of one whose grant Kafka does not tell.
UNAVAILABLE_SECONDS = 5.0
DISABLED = Counter("webhooks_disabled_total", "Webhooks that were disabled.", ["cause"])


class Deliverer:
    """Gives webhooks their turns."""

    def __init__(
        self,
        db: Transactions,
        events: Publisher,
        grants: Grants,
        caller: Caller,
        slots: Slots,
        settings: WebhookSettings,
    ) -> None:
        self._db = db
        self._events = events
        self._grants = grants
        self._caller = caller
        self._slots = slots
        self._settings = settings

    def give_turns(self) -> None:
        """To as many of those that have something due as there are free slots."""
        if count := self._slots.free():
            with self._db.transaction() as session:
                taken = Turns(session, self._settings).take(count)
            for turn in taken:
                self._slots.run(partial(self._take_turn, turn))

    def disable_revoked(self) -> None:
        """Stops the webhooks whose clients may no longer read their topic, events or none."""
        with self._db.transaction() as session:
            readers = Turns(session, self._settings).readers()
        for client_id, topic in readers:
            if not self._grants.may_read(client_id, topic):
                with self._db.transaction() as session:
                    stopped = Turns(session, self._settings).revoke(client_id, topic)
                    for webhook_id in stopped:
                        self._tell_disabled(webhook_id, client_id, topic, Cause.REVOKED)

    def _take_turn(self, turn: Turn) -> None:
        end, pause = time.monotonic() + TURN_SECONDS, 0.0
        try:
            while time.monotonic() < end and not self._slots.stopping.is_set():
                if not self._call_once(turn):
                    break
        except Unavailable:
            pause = UNAVAILABLE_SECONDS
        with self._db.transaction() as session:
            Turns(session, self._settings).end(turn, pause)

    def _call_once(self, turn: Turn) -> bool:
        """Delivers the event at hand; false when there was none, or it was not delivered."""
        if not self._grants.may_read(turn.client_id, turn.topic):
            with self._db.transaction() as session:
                if Turns(session, self._settings).disable(turn, Cause.REVOKED):
                    self._tell_turn(turn, Cause.REVOKED)
            return False
        with self._db.transaction() as session:
            delivery = Turns(session, self._settings).next(turn)
        return delivery is not None and self._deliver(turn, delivery)

    def _deliver(self, turn: Turn, delivery: Delivery) -> bool:
        began = time.monotonic()
        outcome = self._caller.tell(delivery)
        seconds = time.monotonic() - began
        with self._db.transaction() as session:
            cause = Turns(session, self._settings).settle(turn, delivery, outcome, seconds)
            if cause:
                self._tell_turn(turn, cause)
        return outcome.delivered

    def _tell_turn(self, turn: Turn, cause: Cause) -> None:
        self._tell_disabled(turn.webhook_id, turn.client_id, turn.topic, cause)

    def _tell_disabled(
        self, webhook_id: uuid.UUID, client_id: str, topic: str, cause: Cause
    ) -> None:
        """The alert: an event, a count and a line."""
        self._events.publish(
            WebhookDisabled(
                webhook_id=str(webhook_id),
                client_id=client_id,
                topic=topic,
                cause=exchange_pb2.DisabledCause.ValueType(cause),
            )
        )
        name = cause.name.lower()
        after_commit(DISABLED.labels(name).inc)
        log.error("webhook %s of %s is disabled: %s", webhook_id, client_id, name)
