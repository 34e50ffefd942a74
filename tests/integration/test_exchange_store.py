"""What exchange stores, on the real PostgreSQL: sequences, the purge, and whose turn it is."""

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from administration.documents.v1.events_pb2 import DocumentShared
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from backbone.database import Base
from backbone.errors import InvalidInput, TooMany
from backbone.events import Received, envelope
from services.exchange.domain.tries import Cause, Outcome
from services.exchange.feeds import FeedEventRow, FeedRow, Feeds
from services.exchange.settings import WebhookSettings
from services.exchange.turns import Turns
from services.exchange.webhooks import AttemptRow, WebhookRow, Webhooks
from tests.support.events import Scratch

TOPIC = "public.documents.v1.Document"
TABLES = [row.__table__ for row in (FeedRow, FeedEventRow, WebhookRow, AttemptRow)]
SETTINGS = WebhookSettings(client_calls=2, timeout=5)
DELIVERED, FAILED = Outcome(200, "delivered", delivered=True), Outcome(500, "failed")


@pytest.fixture
def store(scratch: Scratch) -> Scratch:
    Base.metadata.create_all(scratch.engine, tables=TABLES)  # type: ignore[arg-type]
    return scratch


def fact() -> Received[DocumentShared]:
    message = DocumentShared(document_id=str(uuid.uuid4()))
    attributes = envelope.attributes(message, "/services/essai", "http://127.0.0.1/schemas")
    headers, data = envelope.headers(attributes), envelope.encode_data(message)
    return envelope.decode(headers, data)  # type: ignore[return-value]


def append(store: Scratch, count: int = 1) -> list[int]:
    with store.transactions.transaction() as session:
        return [Feeds(session).append(TOPIC, fact()) for _ in range(count)]


def sequences(store: Scratch, after: int = 0) -> list[int]:
    with store.transactions.transaction() as session:
        return [row.sequence for row in Feeds(session).after(TOPIC, after, 10_000)]


def test_writers_at_once_leave_no_gap_that_a_reader_could_pass_over(store: Scratch) -> None:
    """Eight writers, a fifth of whose transactions are undone, and a reader who follows."""
    writers, seen, done = 8, [0], threading.Event()

    def write(number: int) -> None:
        for turn in range(20):
            with Session(store.engine) as session:
                Feeds(session).append(TOPIC, fact())
                session.flush()
                if (turn + number) % 5:
                    session.commit()
                else:
                    session.rollback()

    def read() -> None:
        while not done.is_set() or sequences(store, seen[-1]):
            seen.extend(sequences(store, seen[-1]))

    reader = threading.Thread(target=read)
    reader.start()
    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    done.set()
    reader.join(60)
    assert seen == list(range(writers * 16 + 1))


def test_a_page_is_bounded_in_bytes_and_never_empty_for_that(store: Scratch) -> None:
    append(store, 5)
    with store.engine.begin() as connection:
        statement = "UPDATE feed_events SET data = convert_to(repeat('x', 100000), 'UTF8')"
        connection.execute(text(statement))
    assert sequences(store) == [1, 2, 3]
    assert sequences(store, 3) == [4, 5]


def test_a_purge_forgets_what_is_old_and_a_reader_is_told(store: Scratch) -> None:
    append(store, 5)
    old = datetime.now(UTC) - timedelta(days=31)
    with store.transactions.transaction() as session:
        session.execute(
            update(FeedEventRow).where(FeedEventRow.sequence <= 3).values(create_time=old)
        )
        assert not Feeds(session).purge(datetime.now(UTC) - timedelta(days=30))
    with store.transactions.transaction() as session:
        feeds = Feeds(session)
        assert feeds.start(TOPIC, None) == 3
        found = feeds.next(TOPIC, 0)
        assert found is not None
        assert found.sequence == 4
        for cursor in (0, 2):
            with pytest.raises(InvalidInput) as refused:
                feeds.after(TOPIC, cursor, 10)
            assert refused.value.fields[0].reason == "CURSOR_EXPIRED"
        assert [row.sequence for row in feeds.after(TOPIC, 3, 10)] == [4, 5]
        feeds.purge(datetime.now(UTC) + timedelta(days=1))
        assert feeds.start(TOPIC, None) == 5
        assert list(feeds.after(TOPIC, 5, 10)) == []
        with pytest.raises(InvalidInput):
            feeds.after(TOPIC, 4, 10)
    assert append(store) == [6]


def webhooks(store: Scratch, client: str, count: int) -> list[WebhookRow]:
    with store.transactions.transaction() as session:
        mine = Webhooks(session, client)
        return [mine.add(TOPIC, f"https://{client}.example/", 0, 20) for _ in range(count)]


def test_one_client_never_takes_more_than_its_share_of_the_slots(store: Scratch) -> None:
    append(store)
    webhooks(store, "many", 6)
    webhooks(store, "one", 1)
    taken = []
    for _ in range(3):
        with store.transactions.transaction() as session:
            taken += Turns(session, SETTINGS).take(10)
    assert sorted(turn.client_id for turn in taken) == ["many", "many", "one"]
    with store.transactions.transaction() as session:
        assert Turns(session, SETTINGS).take(10) == []
        Turns(session, SETTINGS).end(taken[0])
    with store.transactions.transaction() as session:
        again = Turns(session, SETTINGS).take(10)
    # The one that waited longest, not the one that has just had its turn.
    assert [turn.client_id for turn in again] == [taken[0].client_id]
    assert again[0].webhook_id not in {turn.webhook_id for turn in taken}


def test_two_processes_never_take_the_same_webhook(store: Scratch) -> None:
    append(store)
    webhooks(store, "one", 1)
    with Session(store.engine) as first, Session(store.engine) as second:
        taken = Turns(first, SETTINGS).take(10)
        assert len(taken) == 1
        assert Turns(second, SETTINGS).take(10) == []
        first.commit()
        second.rollback()
        assert Turns(second, SETTINGS).take(10) == []


def test_what_was_begun_under_a_lease_that_ended_counts_for_nothing(store: Scratch) -> None:
    append(store, 2)
    (row,) = webhooks(store, "one", 1)
    with store.transactions.transaction() as session:
        (first,) = Turns(session, SETTINGS).take(1)
        delivery = Turns(session, SETTINGS).next(first)
        assert delivery is not None
    with store.transactions.transaction() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(WebhookRow).values(lease_end_time=past))
    with store.transactions.transaction() as session:
        (second,) = Turns(session, SETTINGS).take(1)
        same = Turns(session, SETTINGS).next(second)
    assert same is not None
    assert same.event.sequence == delivery.event.sequence == 1
    with store.transactions.transaction() as session:
        Turns(session, SETTINGS).settle(first, delivery, DELIVERED, 0.1)
        Turns(session, SETTINGS).end(first)
    with store.transactions.transaction() as session:
        found = Webhooks(session, "one").get(str(row.webhook_id))
        assert (found.cursor, found.lease) == (0, second.lease)
        assert Turns(session, SETTINGS).settle(second, same, DELIVERED, 0.1) is Cause.NONE
        assert found.cursor == 1


def test_a_failed_try_keeps_the_cursor_and_waits(store: Scratch) -> None:
    append(store)
    (row,) = webhooks(store, "one", 1)
    with store.transactions.transaction() as session:
        turns = Turns(session, SETTINGS)
        (turn,) = turns.take(1)
        delivery = turns.next(turn)
        assert delivery is not None
        turns.settle(turn, delivery, FAILED, 0.1)
        turns.end(turn)
    with store.transactions.transaction() as session:
        found = Webhooks(session, "one").get(str(row.webhook_id))
        assert (found.cursor, found.failed_tries) == (0, 1)
        assert Turns(session, SETTINGS).take(1) == []
        found.enable()
    with store.transactions.transaction() as session:
        assert len(Turns(session, SETTINGS).take(1)) == 1


def test_a_client_has_a_bounded_number_of_webhooks(store: Scratch) -> None:
    webhooks(store, "one", 3)
    with store.transactions.transaction() as session, pytest.raises(TooMany):
        Webhooks(session, "one").add(TOPIC, "https://one.example/", 0, 3)
