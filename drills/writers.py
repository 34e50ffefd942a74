"""Writers: transactions that publish facts of many keys, some of them rolled back."""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

from sqlalchemy import event, insert, text
from sqlalchemy.orm import Session

from backbone.events import Publisher, envelope
from backbone.events.relay import Relay
from backbone.events.tables import outbox
from drills.fact import FOR_EVER
from drills.scratch import Scratch

SCHEMAS = "http://127.0.0.1:8000/schemas"
SOURCE = "/services/drill"
# Fails of an event that no process can read, whatever it tries.
UNREADABLE = -2
# In each process that tries. More than the three times that a batch is tried before the event is
# parked, and in all the processes fewer than the attempts that it has then.
FAILS_THEN_SUCCEEDS = 4

_TAKE = text("SELECT key, last FROM keys WHERE key = ANY(:keys) ORDER BY key FOR UPDATE")
_LAST = text("UPDATE keys SET last = :last WHERE key = :key")
_FACT = text("INSERT INTO facts VALUES (:mark, :key, :number, :fails)")


class RolledBack(Exception):
    """Ends a transaction on purpose."""


@dataclass(frozen=True)
class Load:
    """What writers do; the same seed makes the same choices, in each writer's order."""

    writers: int = 8
    keys: int = 500
    # Facts of a transaction, at most.
    most: int = 10
    # Seconds, at most, between taking the places in the outbox and the commit.
    hold: float = 0.0
    # Seconds, at most, between two transactions of a writer.
    pause: float = 0.0
    rolled_back: float = 0.05
    # Share of the facts that fail: a third each for ever, at first only, unreadable.
    poison: float = 0.0


class Writers:
    """Threads that write while the block does that they are the context of, or until so many facts
    are committed.
    """

    def __init__(self, scratch: Scratch, seed: int, load: Load, facts: int | None = None) -> None:
        self._scratch, self._seed, self._load = scratch, seed, load
        # The relays are processes of their own: none to wake in this one.
        idle = Relay(scratch.engine, scratch.kafka)
        self._publisher = Publisher(SOURCE, SCHEMAS, idle)
        self._left = facts
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        # Facts that a transaction tried to state, those of transactions that were rolled back, and
        # those whose commit returned.
        self.attempted = self.rolled_back = self.acknowledged = 0
        # Transactions that committed after another one which had later places in the outbox.
        self.overtaken = 0
        self._tickets, self._newest = count(), -1
        self._keys = [f"key-{number:05}" for number in range(load.keys)]
        with scratch.engine.begin() as connection:
            connection.execute(
                text("INSERT INTO keys (key) VALUES (:key) ON CONFLICT DO NOTHING"),
                [{"key": key} for key in self._keys],
            )
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"writer-{number}", daemon=True)
            for number in range(load.writers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends after the transactions at hand.

        Raises:
            Exception: what ended a writer early.
        """
        self._stopping.set()
        self.wait()

    def wait(self) -> None:
        """Until every fact is committed.

        Raises:
            Exception: what ended a writer early.
        """
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self, writer: int) -> None:
        chance = random.Random(f"{self._seed}/{writer}")
        try:
            number = 0
            while not self._stopping.is_set() and (size := self._claim(chance)):
                number += 1
                self._transaction(chance, f"{writer}-{number}", size)
                self._stopping.wait(chance.uniform(0, self._load.pause))
        except Exception as error:  # noqa: BLE001 - told by `wait`
            self._failure = error
            self._stopping.set()

    def _claim(self, chance: random.Random) -> int:
        wanted = chance.randint(1, self._load.most)
        with self._lock:
            if self._left is None:
                return wanted
            size = min(wanted, self._left)
            self._left -= size
            return size

    def _transaction(self, chance: random.Random, name: str, size: int) -> None:
        facts = [(chance.choice(self._keys), self._fails(chance)) for _ in range(size)]
        # What is no event takes its place in the outbox at once: alone, or two that wait for each
        # other's keys would have no order.
        alone = [fact for fact in facts if fact[1] == UNREADABLE]
        together = [fact for fact in facts if fact not in alone]
        tries = 0
        while chance.random() < self._load.rolled_back:
            tries += 1
            try:
                self._write(f"{name}-rolled-back-{tries}", together, None)
            except RolledBack:
                with self._lock:
                    self.attempted += len(together)
                    self.rolled_back += len(together)
        self._write(name, together, self._hold(chance))
        for number, fact in enumerate(alone):
            self._write(f"{name}-alone-{number}", [fact], self._hold(chance))
        with self._lock:
            self.attempted += size
            self.acknowledged += size

    def _hold(self, chance: random.Random) -> float:
        return chance.uniform(0, self._load.hold)

    def _fails(self, chance: random.Random) -> int:
        if chance.random() >= self._load.poison:
            return 0
        return chance.choice((FOR_EVER, FAILS_THEN_SUCCEEDS, UNREADABLE))

    def _write(self, name: str, facts: Sequence[tuple[str, int]], hold: float | None) -> None:
        """One transaction; rolled back, with its facts in the outbox, when `hold` is None."""
        with self._scratch.transactions.transaction() as session:
            keys = list({key for key, _ in facts})
            taken = {row.key: row.last for row in session.execute(_TAKE, {"keys": keys})}
            for place, (key, fails) in enumerate(facts):
                taken[key] += 1
                mark = f"{name}.{place}"
                self._state(session, key=key, number=taken[key], fails=fails, mark=mark)
            if taken:
                session.execute(_LAST, [{"key": key, "last": last} for key, last in taken.items()])
            tickets: list[int] = []

            def end(_: Session) -> None:
                # After the publisher's own listener: the places in the outbox are taken by now.
                if hold is None:
                    raise RolledBack
                tickets.append(next(self._tickets))
                time.sleep(hold)

            event.listen(session, "before_commit", end)
        with self._lock:
            self.overtaken += tickets[0] < self._newest
            self._newest = max(self._newest, tickets[0])

    def _state(self, session: Session, **fact: Any) -> None:
        session.execute(_FACT, fact)
        message = self._scratch.fact(**fact)
        if fact["fails"] != UNREADABLE:
            self._publisher.publish(message)
            return
        # What no publisher of ours writes, and another's might: an event whose data is none.
        attributes = envelope.attributes(message, SOURCE, SCHEMAS) | {"mark": fact["mark"]}
        row = {"topic": self._scratch.topic, "key": fact["key"], "attributes": attributes}
        session.execute(insert(outbox), [{**row, "data": b"{"}])
