"""Applying events on the real PostgreSQL: once, in order of their key, parked when they fail."""

import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from administration.notifications.v1.events_pb2 import EmailAccepted
from kafka.consumer.fetcher import ConsumerRecord
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from backbone.database import current_session
from backbone.errors import Unavailable
from backbone.events import envelope, forgetting
from backbone.events.apply import PART, Applier
from backbone.events.envelope import Received
from backbone.events.topics import retention_days
from backbone.settings import EventSettings
from tests.support.events import TOPIC, Scratch, fact
from tests.support.polling import eventually

ATTEMPTS = 3
EFFECTS = "CREATE TABLE effects (position serial PRIMARY KEY, key text, what text NOT NULL)"


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effects"

    position: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    what: Mapped[str | None]


class Consumer:
    """A service with one handler, which writes what it is told and fails when it is to."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._offset = 0
        self.handled = 0
        self.failing: dict[str, Exception] = {}
        # Whose effects the database refuses, when the session writes them.
        self.unfit: set[str] = set()
        with scratch.engine.begin() as connection:
            connection.execute(text(EFFECTS))
        settings = EventSettings(event_attempts=ATTEMPTS, event_pause=0.001)
        name = EmailAccepted.DESCRIPTOR.full_name
        self.applier = Applier("essai", scratch.transactions, {name: self._handle}, settings)

    def _handle(self, received: Received[Any]) -> None:
        self.handled += 1
        key, what = received.data.delivery_id, received.data.kind
        session = current_session()
        if f"{key}{what}" in self.unfit:
            session.add(Effect(key=key, what=None))
            return
        effect = text("INSERT INTO effects (key, what) VALUES (:key, :what)")
        with session.no_autoflush:
            session.execute(effect, {"key": key, "what": what})
        if error := self.failing.get(f"{key}{what}"):
            raise error

    def record(self, of: str, number: int, **changes: Any) -> ConsumerRecord:
        """A record of a key, at the next offset."""
        message = fact(of, number)
        attributes = envelope.attributes(message, "/services/essai", "http://localhost/schemas")
        self._offset += 1
        values = {
            "topic": TOPIC,
            "partition": 0,
            "leader_epoch": -1,
            "offset": self._offset,
            "timestamp": 0,
            "timestamp_type": 0,
            "key": of.encode(),
            "value": envelope.encode_data(message),
            "headers": envelope.headers(attributes),
            "checksum": None,
            "serialized_key_size": -1,
            "serialized_value_size": -1,
            "serialized_header_size": -1,
        }
        return ConsumerRecord(**{**values, **changes})

    def effects(self) -> list[str]:
        return self._column("SELECT key || what FROM effects ORDER BY position")

    def parked(self) -> list[str]:
        return self._column("SELECT key || ' ' || cause FROM parked ORDER BY position")

    def dead(self) -> list[str]:
        return self._column('SELECT cause FROM dead_letters ORDER BY "offset"')

    def told(self) -> list[str]:
        """The topics of what waits to be published."""
        return self._column("SELECT topic FROM outbox ORDER BY position")

    def _column(self, query: str) -> list[str]:
        with self._scratch.engine.connect() as connection:
            return list(connection.execute(text(query)).scalars())

    def retry_until(self, condition: Callable[[], bool]) -> None:
        """Background work, until a condition holds."""

        def step() -> bool:
            self.applier.retry_parked()
            return condition()

        eventually(step)


@pytest.fixture
def consumer(scratch: Scratch) -> Consumer:
    return Consumer(scratch)


def test_events_are_applied_in_their_order(consumer: Consumer) -> None:
    consumer.applier.apply([consumer.record("a", 1), consumer.record("b", 1)])
    consumer.applier.apply([consumer.record("a", 2)])
    assert consumer.effects() == ["a1", "b1", "a2"]


def test_the_inbox_forgets_what_kafka_has_forgotten_and_nothing_else(
    consumer: Consumer, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    kept = retention_days()[TOPIC] + forgetting.MARGIN_DAYS
    consumer.applier.apply([consumer.record("a", number) for number in range(1, 5)])
    with scratch.engine.begin() as connection:
        ids = connection.execute(text("SELECT event_id FROM inbox")).scalars().all()
        for event_id, days in zip(ids, (kept + 1, kept + 400, kept + 2, kept - 1), strict=True):
            connection.execute(
                text(
                    "UPDATE inbox SET create_time = now() - make_interval(days => :days)"
                    " WHERE event_id = :event_id"
                ),
                {"days": days, "event_id": event_id},
            )
    steps = forgetting.Forgetting(scratch.transactions, [TOPIC])
    assert [steps.step(), steps.step()] == [True, False]
    with scratch.engine.connect() as connection:
        assert connection.execute(text("SELECT event_id FROM inbox")).scalars().all() == ids[3:]


def test_an_event_is_applied_once_however_often_it_comes(consumer: Consumer) -> None:
    event = consumer.record("a", 1)
    consumer.applier.apply([event, event])
    consumer.applier.apply([event])
    again = event._replace(offset=event.offset + 100)
    consumer.applier.apply([again, consumer.record("a", 2)])
    assert consumer.effects() == ["a1", "a2"]


def test_two_processes_that_get_the_same_event_apply_it_once(consumer: Consumer) -> None:
    events = [consumer.record("a", number) for number in range(1, 21)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda event: consumer.applier.apply([event]), events * 4))
    assert sorted(consumer.effects(), key=lambda effect: int(effect[1:])) == [
        f"a{number}" for number in range(1, 21)
    ]


def test_a_failure_undoes_its_own_effects_and_no_other(consumer: Consumer) -> None:
    consumer.failing["b1"] = ValueError("secret")
    consumer.applier.apply(
        [consumer.record("a", 1), consumer.record("b", 1), consumer.record("c", 1)]
    )
    assert consumer.effects() == ["a1", "c1"]
    assert consumer.parked() == ["b ValueError"]


def test_later_events_of_a_failed_key_wait_behind_it_and_then_follow_in_order(
    consumer: Consumer,
) -> None:
    consumer.failing["a1"] = ValueError("secret")
    consumer.applier.apply(
        [consumer.record("a", 1), consumer.record("a", 2), consumer.record("b", 1)]
    )
    consumer.applier.apply([consumer.record("a", 3), consumer.record("b", 2)])
    assert consumer.effects() == ["b1", "b2"]
    assert consumer.parked() == ["a ValueError", "a ", "a "]
    consumer.failing.clear()
    consumer.retry_until(lambda: not consumer.parked())
    assert consumer.effects() == ["b1", "b2", "a1", "a2", "a3"]
    assert consumer.dead() == []


def test_after_its_last_attempt_an_event_is_dead_with_its_cause_and_the_next_one_follows(
    consumer: Consumer,
) -> None:
    consumer.failing["a1"] = ValueError("secret")
    consumer.applier.apply([consumer.record("a", 1), consumer.record("a", 2)])
    consumer.retry_until(lambda: not consumer.parked())
    assert consumer.effects() == ["a2"]
    assert consumer.dead() == [f"ValueError (attempt {ATTEMPTS})"]
    assert consumer.told() == [f"{TOPIC}.dead"]


def test_a_duplicate_of_a_parked_event_is_parked_once(consumer: Consumer) -> None:
    consumer.failing["a1"] = ValueError("secret")
    event = consumer.record("a", 1)
    consumer.applier.apply([event])
    consumer.applier.apply([event])
    assert consumer.parked() == ["a ValueError"]
    consumer.failing.clear()
    consumer.retry_until(lambda: not consumer.parked())
    assert consumer.effects() == ["a1"]


def test_an_outage_fails_the_batch_and_counts_against_no_event(consumer: Consumer) -> None:
    batch = [consumer.record("a", 1), consumer.record("b", 1)]
    consumer.failing["b1"] = Unavailable("Down.")
    with pytest.raises(Unavailable):
        consumer.applier.apply(batch)
    assert consumer.effects() == consumer.parked() == consumer.dead() == []
    consumer.failing.clear()
    consumer.applier.apply(batch)
    assert consumer.effects() == ["a1", "b1"]


def test_an_outage_while_a_parked_event_is_retried_counts_no_attempt(consumer: Consumer) -> None:
    consumer.failing["a1"] = ValueError("secret")
    consumer.applier.apply([consumer.record("a", 1)])
    consumer.failing["a1"] = Unavailable("Down.")
    for _ in range(ATTEMPTS + 1):

        def out() -> bool:
            try:
                consumer.applier.retry_parked()
            except Unavailable:
                return True
            return False

        eventually(out)
    consumer.failing.clear()
    consumer.retry_until(lambda: not consumer.parked())
    assert consumer.effects() == ["a1"]


def test_two_processes_retry_a_parked_event_once(consumer: Consumer) -> None:
    keys = [uuid.uuid4().hex for _ in range(10)]
    for key in keys:
        consumer.failing[f"{key}1"] = ValueError("secret")
    consumer.applier.apply([consumer.record(key, 1) for key in keys])
    assert len(consumer.parked()) == 10
    consumer.failing.clear()

    def work(_: int) -> None:
        consumer.retry_until(lambda: not consumer.parked())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert sorted(consumer.effects()) == sorted(f"{key}1" for key in keys)


def test_a_record_that_is_no_event_is_dead_at_once_and_blocks_nothing(
    consumer: Consumer,
) -> None:
    broken = consumer.record("a", 1, value=b"{")
    consumer.applier.apply([broken, consumer.record("a", 2)])
    assert consumer.effects() == ["a2"]
    assert consumer.parked() == []
    assert consumer.dead() == ["the data does not fit the event's type"]
    consumer.applier.apply([broken])
    assert len(consumer.dead()) == 1
    assert consumer.told() == [f"{TOPIC}.dead"]


def test_a_record_that_is_no_event_behind_a_parked_one_is_dead_at_its_first_attempt(
    consumer: Consumer,
) -> None:
    consumer.failing["a1"] = ValueError("secret")
    consumer.applier.apply([consumer.record("a", 1), consumer.record("a", 2, value=b"{")])
    consumer.applier.apply([consumer.record("a", 3)])
    consumer.failing.clear()
    consumer.retry_until(lambda: not consumer.parked())
    assert consumer.effects() == ["a1", "a3"]
    assert consumer.dead() == ["the data does not fit the event's type"]


def test_many_failures_in_a_batch_are_set_aside_and_nothing_else_is(consumer: Consumer) -> None:
    batch = [consumer.record(f"k{number:02}", 1) for number in range(50)]
    for number in (0, 7, 8, 31, 49):
        consumer.failing[f"k{number:02}1"] = ValueError("secret")
    consumer.applier.apply(batch)
    good = [number for number in range(50) if number not in (0, 7, 8, 31, 49)]
    assert consumer.effects() == [f"k{number:02}1" for number in good]
    assert len(consumer.parked()) == 5


def test_a_failure_has_little_done_again_however_many_come_with_it(consumer: Consumer) -> None:
    batch = [consumer.record(f"k{number:03}", 1) for number in range(10 * PART)]
    for number in (PART - 1, 3 * PART, 5 * PART + 7):
        consumer.failing[f"k{number:03}1"] = ValueError("secret")
    consumer.applier.apply(batch)
    assert len(consumer.effects()) == 10 * PART - 3
    assert len(consumer.parked()) == 3
    # The first try up to the first of them, everything, and the part of each.
    assert consumer.handled <= PART + 10 * PART + 3 * (PART + 1)


def test_an_event_that_only_the_commit_refuses_is_set_aside_alone(
    consumer: Consumer, scratch: Scratch
) -> None:
    with scratch.engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE effects ADD UNIQUE (key, what) DEFERRABLE INITIALLY DEFERRED")
        )
    again = consumer.record("a", 1)
    consumer.applier.apply([consumer.record("a", 1), consumer.record("b", 1), again])
    assert consumer.effects() == ["a1", "b1"]
    assert consumer.parked() == ["a IntegrityError"]


def test_what_only_the_writing_of_all_effects_refuses_is_set_aside_alone(
    consumer: Consumer,
) -> None:
    consumer.unfit.add("c1")
    consumer.applier.apply([consumer.record(key, 1) for key in "abcde"])
    assert consumer.effects() == ["a1", "b1", "d1", "e1"]
    assert consumer.parked() == ["c IntegrityError"]


def strange(consumer: Consumer) -> Iterator[ConsumerRecord]:
    yield consumer.record("a", 1, key=None, value=None)
    yield consumer.record("a", 1, key=b"\xff\0", value=b"\0")
    yield consumer.record("a", 1, headers=[])
    yield consumer.record("a", 1, headers=[("ce_type", None), ("x\0", None)])
    yield consumer.record("a", 1, headers=[("ce_traceparent", b"\xff\0")])


def test_any_bytes_whatever_are_kept_as_a_dead_letter(consumer: Consumer) -> None:
    records = list(strange(consumer))
    consumer.applier.apply(records)
    assert len(consumer.dead()) == len(records)
    assert consumer.parked() == []


def test_a_key_that_is_too_long_for_an_index_is_parked_in_its_order_all_the_same(
    consumer: Consumer,
) -> None:
    # What PostgreSQL compresses would fit into an index.
    long = random.Random(20261124).randbytes(20_000)
    consumer.failing["a1"] = ValueError("secret")
    consumer.applier.apply([consumer.record("a", number, key=long) for number in (1, 2)])
    first, second = consumer.parked()
    assert first.startswith("sha256:")
    assert first.endswith(" ValueError")
    assert second == first.removesuffix("ValueError")
    consumer.failing.clear()
    consumer.retry_until(lambda: not consumer.parked())
    assert consumer.effects() == ["a1", "a2"]


def test_whatever_is_dead_reaches_its_topic(consumer: Consumer, scratch: Scratch) -> None:
    consumer.applier.apply(list(strange(consumer)))
    with scratch.relaying():
        eventually(lambda: scratch.waiting() == 0)


def test_dead_letters_take_the_locks_of_their_keys_in_the_order_that_publishers_do(
    consumer: Consumer, scratch: Scratch
) -> None:
    number = text("SELECT hashtext(:key) & 1023")
    lock = text("SELECT pg_advisory_xact_lock(hashtext(current_schema()), :number)")
    waiting = text("SELECT 1 FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid))")
    with scratch.engine.begin() as publisher, ThreadPoolExecutor() as pool:
        locks = {key: publisher.scalar(number, {"key": key}) for key in "abcdefgh"}
        low, high = min(locks, key=locks.__getitem__), max(locks, key=locks.__getitem__)
        publisher.execute(lock, {"number": locks[low]})
        # Between them one whose savepoint is released.
        records = [consumer.record(key, 1, value=b"{") for key in (high, low)]
        records.insert(1, consumer.record("z", 1))
        applied = pool.submit(consumer.applier.apply, records)
        with scratch.engine.connect() as looking:
            pid = publisher.scalar(text("SELECT pg_backend_pid()"))
            eventually(lambda: looking.scalar(waiting, {"pid": pid}))
        # Nobody who waits for the first holds the second.
        publisher.execute(text("SET LOCAL lock_timeout = '2s'"))
        publisher.execute(lock, {"number": locks[high]})
        publisher.commit()
        applied.result(10)
    assert consumer.told() == [f"{TOPIC}.dead"] * 2
    assert consumer.effects() == ["z1"]
