"""Publishes at a steady rate, or tells when its handler was entered, or both.

``python -m bench.latency.service {publish,handle,both} DIRECTORY``: moments are left there.
"""

import sys
import time
import uuid
from pathlib import Path

from administration.notifications.v1.events_pb2 import EmailAccepted

from backbone.database import Database, Transactions
from backbone.events import Events, Publisher, Received, subscribe
from backbone.loops import loop
from backbone.runner import run
from bench.latency import pace

handled: pace.Times = {}
directory = Path(sys.argv[-1])


class Publishing:
    """The relay runs in this process too, and leads when it was the first."""

    name = "bench"

    db: Transactions = Database()
    events: Publisher = Events()

    @loop(every=3600)
    def publish(self) -> bool:
        times = pace.paced(self._publish, lambda: str(uuid.uuid4()))
        pace.save(times, directory / "committed.json")
        return False

    def _publish(self, delivery_id: str) -> None:
        with self.db.transaction():
            self.events.publish(
                EmailAccepted(delivery_id=delivery_id, account_id=delivery_id, kind="Bench")
            )


class Handling:
    name = "bench"

    db: Transactions = Database()
    events: Publisher = Events()

    @subscribe(EmailAccepted)
    def on_email_accepted(self, event: Received[EmailAccepted]) -> None:
        handled.setdefault(event.data.delivery_id, time.monotonic_ns())


class Both(Publishing, Handling):
    name = "bench"


if __name__ == "__main__":
    run({"publish": Publishing, "handle": Handling, "both": Both}[sys.argv[1]])
    pace.save(handled, directory / "handled.json")
