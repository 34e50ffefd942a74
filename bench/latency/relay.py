"""Measures how fast the relay empties an outbox, beside kafka-python's producer alone."""

import threading
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from administration.notifications.v1.events_pb2 import EmailAccepted
from kafka import KafkaProducer
from sqlalchemy import Engine, create_engine, func, insert, select

from backbone.events import envelope, topics
from backbone.events.relay import Relay
from backbone.events.tables import outbox
from backbone.settings import KafkaSettings
from bench import stack
from bench.latency import schema, topic
from bench.ratios import Spread, interleaved, ratio
from bench.report import Row, Section
from deploy.local import kafka_settings

EVENTS = 20_000
BATCH = 500
ROUNDS = 4
RATE_TARGET, SHARE_TARGET = 8_000, 0.5


def run(_: Path) -> Section:
    """The section of the report."""
    running = stack.running()
    settings = kafka_settings(running)
    rows = [_row() for _ in range(EVENTS)]
    with ExitStack() as made:
        made.enter_context(topic.made(settings))
        engine = create_engine(made.enter_context(schema.prepared(running)))
        made.callback(engine.dispose)
        figures = interleaved(
            {
                "relay": lambda: _relay(engine, settings, rows),
                "producer": lambda: _producer(settings, rows),
            },
            ROUNDS,
        )
    share, rate = ratio(figures["relay"], figures["producer"]), Spread.of(figures["relay"])
    return Section(
        "The relay alone",
        f"{EVENTS:,} events in the outbox, until Kafka has acknowledged all and the outbox is"
        f" empty; {ROUNDS} rounds. The peer sends the\nsame records with an idempotent producer,"
        " and flushes.",
        [
            Row(
                "relay / bare producer",
                share,
                "×",
                f"≥ {SHARE_TARGET}",
                share.median >= SHARE_TARGET,
            ),
            Row("relay", rate, "events/s", f"≥ {RATE_TARGET:,}", rate.median >= RATE_TARGET),
            Row("bare producer", Spread.of(figures["producer"]), "events/s"),
        ],
        ["The inserts are not in the figure: they are the writers' own transactions."],
    )


def _row() -> dict[str, Any]:
    name = str(uuid.uuid4())
    message = EmailAccepted(delivery_id=name, account_id=name, kind="Bench")
    attributes = envelope.attributes(message, "/services/bench", "http://127.0.0.1:8000/schemas")
    data = envelope.encode_data(message)
    return {"topic": topic.NAME, "key": name, "attributes": attributes, "data": data}


def _relay(engine: Engine, settings: KafkaSettings, rows: list[dict[str, Any]]) -> float:
    with engine.connect() as connection:
        for first in range(0, len(rows), BATCH):
            connection.execute(insert(outbox), rows[first : first + BATCH])
            connection.commit()
        relay = Relay(engine, settings)
        thread = threading.Thread(target=relay.run)
        begin = time.perf_counter()
        thread.start()
        while connection.execute(select(func.count()).select_from(outbox)).scalar():
            connection.rollback()
            time.sleep(0.02)
        seconds = time.perf_counter() - begin
    relay.stop()
    thread.join()
    return len(rows) / seconds


def _producer(settings: KafkaSettings, rows: list[dict[str, Any]]) -> float:
    begin = time.perf_counter()
    producer = KafkaProducer(
        **topics.client_options(settings),
        acks="all",
        enable_idempotence=True,
        batch_size=256 * 1024,
    )
    for row in rows:
        producer.send(
            row["topic"],
            key=row["key"].encode(),
            value=row["data"],
            headers=envelope.headers(row["attributes"]),
        )
    producer.flush()
    seconds = time.perf_counter() - begin
    producer.close()
    return len(rows) / seconds
