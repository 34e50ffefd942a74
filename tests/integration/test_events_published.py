"""The outbox and its relay: what is committed is published, once it is, in order, and no less."""

import contextlib
import json
import os
import random
import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from administration.documents.v1.events_pb2 import DocumentShared
from administration.identity.v1 import identity_pb2
from administration.notifications.v1.events_pb2 import EmailAccepted
from kafka.admin import KafkaAdminClient
from prometheus_client import REGISTRY
from sqlalchemy import text

import deploy.local
from backbone.contracts import ContractError
from backbone.database import after_commit
from backbone.errors import Unavailable
from backbone.events import Publisher, envelope, relay
from backbone.events.backlog import Backlog
from tests.support.events import TOPIC, Scratch, fact, numbers, of_key
from tests.support.kafka import header, internal_options, tap
from tests.support.polling import eventually
from tests.support.processes import PYTHON, running


def key() -> str:
    return str(uuid.uuid4())


class Rollback(Exception):
    """Ends a transaction."""


def test_what_is_committed_is_published_with_its_key_and_headers(
    scratch: Scratch, stack: dict[str, Any]
) -> None:
    one = key()
    with tap(internal_options(stack), TOPIC) as topic, scratch.relaying() as publisher:
        with scratch.transactions.transaction():
            publisher.publish(fact(one, 7))
        (record,) = topic.until(of_key(one))
    received = envelope.decode(record.headers, record.value)
    assert received.data.kind == "7"  # type: ignore[attr-defined]
    assert received.subject == one
    assert header(record, "content-type") == "application/json"
    eventually(lambda: scratch.waiting() == 0)


def test_what_is_rolled_back_is_never_published(scratch: Scratch, stack: dict[str, Any]) -> None:
    gone, after = key(), key()
    with tap(internal_options(stack), TOPIC) as topic, scratch.relaying() as publisher:
        with contextlib.suppress(Rollback), scratch.transactions.transaction() as session:
            publisher.publish(fact(gone))
            session.execute(text("SELECT 1"))
            raise Rollback
        with contextlib.suppress(Rollback), scratch.transactions.transaction() as session:
            with contextlib.suppress(Rollback), session.begin_nested():
                raise Rollback
            publisher.publish(fact(gone))
            raise Rollback
        with scratch.transactions.transaction():
            publisher.publish(fact(after))
        topic.until(of_key(after))
        eventually(lambda: scratch.waiting() == 0)
        assert not [record for record in topic.drain() if record.key == gone.encode()]


def test_publishing_needs_a_transaction_an_event_and_a_key(scratch: Scratch) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        scratch.publisher.publish(fact(key()))
    with scratch.transactions.transaction():
        with pytest.raises(ContractError):
            scratch.publisher.publish(identity_pb2.GetMeRequest())
        with pytest.raises(ValueError, match="key"):
            scratch.publisher.publish(fact(""))
    assert scratch.waiting() == 0


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (EmailAccepted(delivery_id="a", kind="x" * 20_000_000), "most of it is kind"),
        (EmailAccepted(delivery_id="x" * 2000), "delivery_id is the key: 2000 bytes"),
    ],
    ids=["20 MB of data", "a long key"],
)
def test_what_is_too_large_for_an_event_is_refused_before_the_commit(
    scratch: Scratch, event: EmailAccepted, named: str
) -> None:
    def publish() -> None:
        with scratch.transactions.transaction():
            scratch.publisher.publish(fact(key()))
            scratch.publisher.publish(event)

    with pytest.raises(ValueError, match=f"notifications.v1.EmailAccepted: .*{named}"):
        publish()
    assert scratch.waiting() == 0


def test_a_full_outbox_takes_no_more_until_it_has_room(scratch: Scratch) -> None:
    backlog = Backlog(scratch.engine, 2)
    publisher = Publisher("/services/essai", "http://127.0.0.1:8000/schemas", scratch.idle, backlog)

    def publish() -> None:
        with scratch.transactions.transaction():
            publisher.publish(fact(key()))

    publish()
    backlog.measure()
    publish()
    backlog.measure()
    with pytest.raises(Unavailable) as refused:
        publish()
    assert refused.value.reason == "OUTBOX_FULL"
    assert scratch.waiting() == 2
    with scratch.relaying():
        eventually(lambda: scratch.waiting() == 0)
    backlog.measure()
    publish()
    assert scratch.waiting() == 1


def test_what_waits_is_measured_in_number_and_age(scratch: Scratch) -> None:
    def told(name: str) -> float:
        scratch.backlog.measure()
        return REGISTRY.get_sample_value(name) or 0.0

    assert (told("outbox_depth"), told("outbox_oldest_seconds")) == (0, 0)
    with scratch.transactions.transaction():
        for _ in range(3):
            scratch.publisher.publish(fact(key()))
    with scratch.engine.begin() as connection:
        connection.execute(text("UPDATE outbox SET create_time = now() - interval '1 hour'"))
    assert told("outbox_depth") == 3
    assert 3600 <= told("outbox_oldest_seconds") < 3660


def test_a_backlog_of_large_events_is_relayed_in_batches_of_bounded_size(
    scratch: Scratch, stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, large = key(), "x" * 1000
    monkeypatch.setattr(relay, "BATCH_BYTES", 2500)
    with scratch.transactions.transaction():
        for number in range(20):
            scratch.publisher.publish(
                EmailAccepted(delivery_id=one, account_id=str(number), kind=large)
            )
    with scratch.engine.connect() as connection:
        assert (
            len(connection.execute(relay._NEXT, {"held": [], "size": relay.BATCH_BYTES}).all()) == 3
        )
    with tap(internal_options(stack), TOPIC) as topic, scratch.relaying():
        records = topic.until(of_key(one), count=20)
    assert [json.loads(record.value)["accountId"] for record in records] == [
        str(number) for number in range(20)
    ]


def test_a_topic_that_kafka_lacks_holds_its_own_events_alone_and_then_gets_them(
    scratch: Scratch, stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "HELD_SECONDS", 1.0)
    missing, one = f"administration.essai.v1.X{uuid.uuid4().hex}", key()
    insert = text(
        "INSERT INTO outbox (topic, key, attributes, data)"
        " VALUES (:topic, :key, CAST(:attributes AS jsonb), :data)"
    )
    with scratch.engine.begin() as connection:
        connection.execute(insert, row_of(one) | {"topic": missing})
    with KafkaAdminClient(**internal_options(stack)) as admin:
        try:
            with tap(internal_options(stack), TOPIC) as topic, scratch.relaying() as publisher:
                with scratch.transactions.transaction():
                    publisher.publish(fact(one))
                topic.until(of_key(one))
                eventually(lambda: scratch.waiting() == 1)
                eventually(lambda: missing in (publisher._relay.trouble or ""))
                admin.create_topics({missing: {"num_partitions": 1, "replication_factor": 1}})
                eventually(lambda: scratch.waiting() == 0)
                eventually(lambda: publisher._relay.trouble is None)
        finally:
            if missing in admin.list_topics():
                admin.delete_topics([missing])


def test_an_inner_transaction_joins_the_outer_one(scratch: Scratch) -> None:
    with contextlib.suppress(Rollback), scratch.transactions.transaction():
        with scratch.transactions.transaction():
            scratch.publisher.publish(fact(key()))
        raise Rollback
    assert scratch.waiting() == 0


def test_what_waits_for_a_commit_runs_after_it_and_never_after_a_rollback(
    scratch: Scratch,
) -> None:
    seen: list[int] = []
    with scratch.transactions.transaction():
        scratch.publisher.publish(fact(key()))
        after_commit(lambda: seen.append(scratch.waiting()))
        assert seen == []
    assert seen == [1]
    with contextlib.suppress(Rollback), scratch.transactions.transaction():
        after_commit(lambda: seen.append(-1))
        raise Rollback
    assert seen == [1]


def test_a_public_event_goes_to_both_of_its_topics(scratch: Scratch, stack: dict[str, Any]) -> None:
    one = key()
    # Its owner is nobody: notifications finds no address to write to.
    shared = DocumentShared(document_id=one, owner_id=key(), administration="essai")
    options = internal_options(stack)
    with (
        tap(options, "administration.documents.v1.Document") as internal,
        tap(options, "public.documents.v1.Document") as public,
        scratch.relaying() as publisher,
    ):
        with scratch.transactions.transaction():
            publisher.publish(shared)
        (first,) = internal.until(of_key(one))
        (second,) = public.until(of_key(one))
    assert first.value == second.value
    assert header(first, "ce_id") == header(second, "ce_id")


def test_a_transaction_that_commits_late_loses_nothing(
    scratch: Scratch, stack: dict[str, Any]
) -> None:
    late, early = key(), key()
    with tap(internal_options(stack), TOPIC) as topic, scratch.relaying() as publisher:
        with scratch.engine.connect() as connection:
            # The lower position is taken first, and becomes visible last.
            insert = text(
                "INSERT INTO outbox (topic, key, attributes, data)"
                " VALUES (:topic, :key, CAST(:attributes AS jsonb), :data)"
            )
            connection.execute(insert, row_of(late))
            with scratch.transactions.transaction():
                publisher.publish(fact(early))
            topic.until(of_key(early))
            eventually(lambda: scratch.waiting() == 0)
            connection.commit()
        topic.until(of_key(late))


def row_of(one: str) -> dict[str, Any]:
    message = fact(one)
    attributes = envelope.attributes(message, "/services/essai", "http://127.0.0.1:8000/schemas")
    return {
        "topic": TOPIC,
        "key": one,
        "attributes": json.dumps(attributes),
        "data": envelope.encode_data(message),
    }


def test_facts_of_a_key_are_published_in_the_order_of_their_commits(
    scratch: Scratch, stack: dict[str, Any]
) -> None:
    seed, writers, each = 20261124, 6, 25
    keys = [key() for _ in range(3)]
    with scratch.engine.begin() as connection:
        connection.execute(text("CREATE TABLE counters (key text PRIMARY KEY, value int NOT NULL)"))
        for one in keys:
            connection.execute(text("INSERT INTO counters VALUES (:key, 0)"), {"key": one})
    # The lock of a counter's row is held to the commit: its numbers are in the order of commits.
    count = text("UPDATE counters SET value = value + 1 WHERE key = :key RETURNING value")

    with tap(internal_options(stack), TOPIC) as topic, scratch.relaying() as publisher:

        def write(writer: int) -> None:
            random_ = random.Random(seed + writer)
            for _ in range(each):
                with scratch.transactions.transaction() as session:
                    mine = sorted(random_.sample(keys, random_.randint(1, 3)))
                    for one in mine:
                        number = session.execute(count, {"key": one}).scalar_one()
                        publisher.publish(fact(one, number))

        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(write, range(writers)))
        eventually(lambda: scratch.waiting() == 0)
        records = topic.drain()
    with scratch.engine.connect() as connection:
        rows = connection.execute(text("SELECT key, value FROM counters"))
        totals = {row.key: row.value for row in rows}
    for one in keys:
        assert numbers(records, one) == list(range(1, totals[one] + 1)), f"seed {seed}"


def test_transactions_on_several_keys_never_wait_for_each_other(scratch: Scratch) -> None:
    # Keys share locks: here in the opposite order of their names.
    lock = "hashtext(key) & 1023"
    query = text(f"SELECT key, {lock} FROM generate_series(1, 40000) AS n, concat('k', n) AS key")
    with scratch.engine.connect() as connection:
        of: dict[int, list[str]] = {}
        for name, number in connection.execute(query):
            of.setdefault(number, []).append(name)
    low, middle, high = (sorted(of[number]) for number in sorted(of)[:3])
    between = middle[len(middle) // 2]
    one = (low[0], between, high[-1])
    other = (high[0], between, low[-1])
    assert sorted(one) == list(one)
    assert sorted(other) == list(other)

    def publish(keys: tuple[str, ...]) -> None:
        with scratch.transactions.transaction():
            for name in keys:
                scratch.publisher.publish(fact(name))

    held = text("SELECT pg_advisory_xact_lock(hashtext(:schema), hashtext(:key) & 1023)")
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND classid = (hashtext(:schema)::bigint & 4294967295)::oid"
    )
    with scratch.engine.connect() as blocker, ThreadPoolExecutor(2) as pool:
        blocker.execute(held, {"schema": scratch.schema, "key": between})
        both = [pool.submit(publish, keys) for keys in (one, other)]
        eventually(lambda: blocker.scalar(waiting, {"schema": scratch.schema}) == 2)
        blocker.rollback()
        for published in both:
            published.result(20)
    assert scratch.waiting() == 6


def leader(scratch: Scratch) -> str:
    """The application that holds the relay's lock in this schema."""
    query = text(
        "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted"
        " AND l.objid = (hashtext(:schema)::bigint & 4294967295)::oid"
        " AND a.application_name LIKE 'relay-%'"
    )
    with scratch.engine.connect() as connection:
        return connection.execute(query, {"schema": scratch.schema}).scalar() or ""


def test_a_leader_whose_connection_is_ended_leads_again_and_loses_nothing(
    scratch: Scratch, stack: dict[str, Any]
) -> None:
    one = key()
    end = text(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND classid = (hashtext('backbone.outbox')::bigint & 4294967295)::oid"
        " AND objid = (hashtext(:schema)::bigint & 4294967295)::oid"
    )

    def ended() -> bool:
        with scratch.engine.begin() as connection:
            return bool(connection.execute(end, {"schema": scratch.schema}).all())

    with tap(internal_options(stack), TOPIC) as topic, scratch.relaying() as publisher:
        for number in range(1, 4):
            eventually(ended, what="a leader's lock")
            with scratch.transactions.transaction():
                publisher.publish(fact(one, number))
        topic.until(of_key(one), count=3)
        eventually(lambda: scratch.waiting() == 0)
        assert list(dict.fromkeys(numbers(topic.drain(), one))) == [1, 2, 3]


def test_another_process_takes_over_from_a_leader_that_is_killed(
    scratch: Scratch, stack: dict[str, Any], tmp_path: Path
) -> None:
    kafka = stack["kafka"]
    environment = {
        "BACKBONE_KAFKA_BOOTSTRAP": kafka["internal"],
        "BACKBONE_KAFKA_USERNAME": kafka["username"],
        "BACKBONE_KAFKA_PASSWORD": kafka["password"],
    }
    one, log = key(), tmp_path / "relays.log"
    program = (PYTHON, "-m", "tests.support.relay_process")
    first = environment | {"BACKBONE_DATABASE_URL": scratch.url("relay-1")}
    second = environment | {"BACKBONE_DATABASE_URL": scratch.url("relay-2")}
    with (
        tap(internal_options(stack), TOPIC) as topic,
        running(*program, environment=first, log=log) as leading,
        running(*program, environment=second, log=log) as waiting,
    ):
        processes = {"relay-1": leading, "relay-2": waiting}
        before = eventually(lambda: leader(scratch))
        stop = threading.Event()

        def publish() -> int:
            number = 0
            while not stop.is_set():
                number += 1
                with scratch.transactions.transaction():
                    scratch.publisher.publish(fact(one, number))
            return number

        with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as ending:
            # Whatever fails here: the pool waits for it.
            ending.callback(stop.set)
            published = pool.submit(publish)
            topic.until(of_key(one), count=20)
            os.kill(processes[before].pid, signal.SIGKILL)
            after = eventually(lambda: (found := leader(scratch)) != before and found)
            assert after in processes
            seen = len(topic.records)
            topic.until(of_key(one), count=seen + 20)
            stop.set()
            last = published.result(20)
        eventually(lambda: scratch.waiting() == 0)
        arrived = numbers(topic.drain(), one)
    # Sent again is allowed, and told by the id; lost or out of order is not.
    firsts = list(dict.fromkeys(arrived))
    assert firsts == list(range(1, last + 1)), log.read_text()


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    """While a process is frozen."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_broker_that_is_frozen_leaves_no_producer_behind(
    scratch: Scratch, stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, broker = key(), deploy.local.pid("kafka")

    def producers() -> list[threading.Thread]:
        name = "backbone-relay-network-thread"
        return [each for each in threading.enumerate() if each.name == name]

    with tap(internal_options(stack), TOPIC) as topic, scratch.relaying() as publisher:
        with scratch.transactions.transaction():
            publisher.publish(fact(one, 1))
        topic.until(of_key(one))
        eventually(lambda: scratch.waiting() == 0)
        (first,) = producers()
        # No sooner and no longer than the broker is frozen: a slow one may take that long.
        with monkeypatch.context() as hasty, stopped(broker):
            hasty.setattr(relay, "FLUSH_SECONDS", 0.5)
            with scratch.transactions.transaction():
                publisher.publish(fact(one, 2))
            # Its flush ends without an answer, and so does its leadership.
            eventually(lambda: not first.is_alive())
        eventually(lambda: scratch.waiting() == 0)
        eventually(lambda: len(producers()) <= 1)
        arrived = numbers(topic.drain(), one)
    assert list(dict.fromkeys(arrived)) == [1, 2]
