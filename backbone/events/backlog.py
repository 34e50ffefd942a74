"""How much waits in a service's outbox: measured in each process, leading or not, whether Kafka
answers or not. While too much waits nothing more is taken: the outbox's disk is the database's.
"""

import logging
import threading

from prometheus_client import Gauge
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from backbone.errors import Unavailable
from backbone.events.tables import outbox

log = logging.getLogger(__name__)

MEASURE_SECONDS = 2.0
# Events are counted as far as the limit, and no further: counting more would change nothing.
DEPTH = Gauge("outbox_depth", "Events that Kafka has not acknowledged, as far as they are counted.")
OLDEST = Gauge("outbox_oldest_seconds", "Age of the oldest event that Kafka has not acknowledged.")


class Backlog:
    """Measures on a thread of its own until `stop`."""

    def __init__(self, engine: Engine, limit: int) -> None:
        """At `limit` events that wait, no more are taken."""
        self._engine = engine
        self._limit = limit
        self._stopping = threading.Event()
        self._full = False

    def require_room(self) -> None:
        """Raises:
        Unavailable: so much waits for Kafka that nothing more is taken, as of the last measure.
        """
        if self._full:
            raise Unavailable(
                "Too many events wait to be published: try again later.", reason="OUTBOX_FULL"
            )

    def measure(self) -> None:
        """Raises `SQLAlchemyError`."""
        waiting = select(outbox.c.position).limit(self._limit).subquery()
        age = func.extract("epoch", func.clock_timestamp() - outbox.c.create_time)
        with self._engine.connect() as connection:
            depth = connection.execute(select(func.count()).select_from(waiting)).scalar_one()
            oldest = connection.execute(select(age).order_by(outbox.c.position).limit(1)).scalar()
        DEPTH.set(depth)
        OLDEST.set(max(0.0, float(oldest or 0)))
        if self._full != (depth >= self._limit):
            self._full = depth >= self._limit
            log.warning("the outbox %s", "is full: nothing is taken" if self._full else "has room")

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.measure()
            except SQLAlchemyError as error:
                # What it said last holds; publishing needs the same database.
                log.warning("the outbox cannot be measured (%s)", type(error).__name__)
            self._stopping.wait(MEASURE_SECONDS)

    def stop(self) -> None:
        self._stopping.set()
