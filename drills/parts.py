"""The programs under a drill, each in a process that can be killed: the relay, the consumer.

They are what services run, on the schema and topic of a `Scratch`. A fork server that has imported
everything makes them, so that one that was killed is back within milliseconds; each ends by itself
when the drill's own process does.
"""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from multiprocessing import connection
from typing import Any

from sqlalchemy import create_engine, text

from backbone.database import Database, Transactions
from backbone.events import Received, subscribe
from backbone.events.relay import Relay
from backbone.runner import run as serve
from backbone.settings import DatabaseSettings, KafkaSettings, load
from bench.child import free_address
from deploy.local.paths import LOG
from drills.fact import FOR_EVER, fact_class
from drills.scratch import Scratch

STOP_SECONDS = 30.0

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class Part:
    """A program in a process of its own."""

    def __init__(self, name: str, process: Any) -> None:
        self.name = name
        self._process = process

    @property
    def running(self) -> bool:
        return bool(self._process.is_alive())

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def kill(self) -> None:
        """``kill -9``: it does nothing any more once this returns."""
        self._process.kill()
        self._process.join(STOP_SECONDS)

    def freeze(self) -> None:
        """Holds it still, all its threads, until `thaw`."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def leave(self) -> None:
        """SIGTERM: it finishes what it does; killed when that takes too long."""
        self._process.terminate()
        self._process.join(STOP_SECONDS)
        if self.running:
            self.kill()


class Parts:
    """Starts the programs of one drill."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._numbers = count(1)
        self.all: list[Part] = []

    def relay(self) -> Part:
        """A relay of the schema's outbox; PostgreSQL knows its session by the part's name."""
        return self._start("relay", _relay, {})

    def consumer(self, **settings: str) -> Part:
        """A process of the service that handles the drill's events, with settings of its own
        (``BACKBONE_EVENT_ATTEMPTS="3"``).
        """
        return self._start("consumer", _consumer, settings)

    def _start(self, kind: str, program: Any, settings: Mapping[str, str]) -> Part:
        name = f"{kind}-{next(self._numbers)}"
        environment = self._scratch.environment(name, **settings)
        process = _context.Process(
            target=_begin,
            args=(program, self._scratch.run, name, environment),
            name=name,
            daemon=True,
        )
        process.start()
        part = Part(name, process)
        self.all.append(part)
        return part


@contextmanager
def parts(scratch: Scratch) -> Iterator[Parts]:
    """The programs of a drill: whatever still runs is killed at the end."""
    opened = Parts(scratch)
    try:
        yield opened
    finally:
        for part in opened.all:
            if part.running:
                part.kill()


def _begin(program: Any, run: str, name: str, environment: dict[str, str]) -> None:
    LOG.mkdir(parents=True, exist_ok=True)
    with (LOG / f"drill-{name.partition('-')[0]}.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    program(run, name)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _relay(_run: str, _name: str) -> None:
    Relay(create_engine(load(DatabaseSettings).url.get_secret_value()), load(KafkaSettings)).run()


def _consumer(run: str, name: str) -> None:
    os.environ["BACKBONE_OPS_LISTEN"] = free_address()
    serve(_service(run, name))


_EFFECT = text(
    "INSERT INTO effects (mark, key, number, process) VALUES (:mark, :key, :number, :process)"
)


class Refused(Exception):
    """The handler fails, as the event asked it to."""


def _service(run: str, process: str) -> type:
    """The service of a run: its name is its consumer group, and its schema."""
    tries: Counter[str] = Counter()

    class Drilled:
        name = run

        db: Transactions = Database()

        @subscribe(fact_class(run))
        def on_fact_stated(self, event: Received[Any]) -> None:
            fact = event.data
            with self.db.transaction() as session:
                session.execute(
                    _EFFECT,
                    {
                        "mark": fact.mark,
                        "key": fact.key,
                        "number": fact.number,
                        "process": process,
                    },
                )
            tries[fact.mark] += 1
            # After its effect, which must go with it.
            if fact.fails == FOR_EVER or tries[fact.mark] <= fact.fails:
                raise Refused

    return Drilled
