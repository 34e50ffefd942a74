"""The inbox forgets the events that Kafka has forgotten: they cannot come again."""

import logging
from collections.abc import Iterable

from sqlalchemy import text

from backbone.database import Transactions
from backbone.events import topics

log = logging.getLogger(__name__)

# Kafka deletes a segment of its log whole, once its newest record is too old: what is older than a
# topic keeps can be there for days still, and an event may be applied long after it was published.
MARGIN_DAYS = 30
EVERY_SECONDS = 6 * 3600.0
BATCH = 10_000

# The oldest are first in the table: where there is something to forget it is found at once, and
# where there is nothing, one look at all of it, four times a day, costs less than an index that
# every event writes to.
_FORGET = text("""
    DELETE FROM inbox WHERE event_id IN (
        SELECT event_id FROM inbox
        WHERE create_time < now() - make_interval(days => :days)
        LIMIT :batch FOR UPDATE SKIP LOCKED
    )
""")


class Forgetting:
    """What a process does about the inbox of its consumer."""

    def __init__(self, transactions: Transactions, read: Iterable[str]) -> None:
        """`read`: the topics that the consumer reads."""
        self._transactions = transactions
        kept = topics.retention_days()
        longest = max((kept.get(topic, topics.RETENTION_DAYS) for topic in read), default=0)
        self._days = longest + MARGIN_DAYS

    def step(self) -> bool:
        """Forgets some; true when there may be more.

        Raises:
            OperationalError, InterfaceError: an outage; nothing is forgotten.
        """
        with self._transactions.transaction() as session:
            values = {"days": self._days, "batch": BATCH}
            count = session.connection().execute(_FORGET, values).rowcount
        if count:
            log.info("forgot %d events that were applied more than %d days ago", count, self._days)
        return count == BATCH
