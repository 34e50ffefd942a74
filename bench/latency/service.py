"""Publishes at a steady rate, or tells when its handler was entered, or both.

``python -m bench.latency.service {publish,handle,both} DIRECTORY RATE``: moments are left there.
``count DIRECTORY WINDOWS``: leaves the moment at which each window of events was handled.
"""

import json
import sys
import time
import uuid
from pathlib import Path

from administration.notifications.v1.events_pb2 import EmailAccepted

from backbone.database import Database, Transactions
from backbone.events import Events, Publisher, Received, subscribe
from backbone.loops import loop
from backbone.runner import run
from bench.latency import consume, pace
from bench.latency.schema import EffectRow

handled: pace.Times = {}
directory = Path(sys.argv[2])
moments: list[float] = []


class Publishing:
    """The relay runs in this process too, and leads when it was the first."""

    name = "bench"

    db: Transactions = Database()
    events: Publisher = Events()

    @loop(every=3600)
    def publish(self) -> bool:
        times = pace.paced(int(sys.argv[3]), self._publish, lambda: str(uuid.uuid4()))
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


class Counting:
    """Each event leaves a row of its own."""

    name = "bench"

    db: Transactions = Database()
    events: Publisher = Events()
    seen = 0

    @subscribe(EmailAccepted)
    def on_email_accepted(self, event: Received[EmailAccepted]) -> None:
        with self.db.transaction() as session:
            session.add(EffectRow(key=event.subject))
        Counting.seen += 1
        if Counting.seen % consume.WINDOW == 0:
            moments.append(time.monotonic())
            (directory / "warm").touch()
            if len(moments) == int(sys.argv[3]):
                draft = directory / "windows.new"
                draft.write_text(json.dumps(moments))
                draft.replace(directory / "windows.json")


ROLES = {"publish": Publishing, "handle": Handling, "both": Both, "count": Counting}

if __name__ == "__main__":
    run(ROLES[sys.argv[1]])
    if issubclass(ROLES[sys.argv[1]], Handling):
        pace.save(handled, directory / "handled.json")
