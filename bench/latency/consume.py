"""Measures a consumer on a backlog of a million events: how fast, and in how much memory."""

import json
import time
import uuid
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import psutil
from administration.notifications.v1.events_pb2 import EmailAccepted
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from backbone.events import envelope, topics
from backbone.settings import KafkaSettings
from bench import child, stack
from bench.latency import schema, topic
from bench.latency.bench import EventsLost
from bench.ratios import Spread, ratio
from bench.report import Row, Section
from deploy.local import kafka_settings

EVENTS = 1_000_000
KEYS = 50_000
# The figures are those of each hundred thousand; the first warms up, for the memory too.
WINDOW = 100_000
RATE_TARGET = 5_000
MEMORY_TARGET_MIB = 64
PATIENCE_SECONDS = 900


def run(scratch: Path) -> Section:
    """The section of the report."""
    running = stack.running()
    settings = kafka_settings(running)
    with ExitStack() as made:
        made.enter_context(topic.made(settings))
        _fill(settings)
        url = made.enter_context(schema.prepared(running))
        environment = stack.environment(running, "identity", database_url=url, trace_ratio="0.05")
        own = child.free_address()
        command = child.python(
            "bench.latency.service", "count", str(scratch), str(EVENTS // WINDOW)
        )
        process = made.enter_context(
            child.running("count", command, {**environment, "BACKBONE_OPS_LISTEN": own}, own)
        )
        memory = _watch(process.pid, scratch)
        peer = _peer(settings)
    moments = json.loads((scratch / "windows.json").read_text())
    ours = [WINDOW / (end - begin) for begin, end in pairwise(moments)]
    return _section(ours, peer, memory)


def _fill(settings: KafkaSettings) -> None:
    producer = KafkaProducer(
        **topics.client_options(settings),
        acks="all",
        enable_idempotence=True,
        batch_size=256 * 1024,
    )
    keys = [str(uuid.uuid4()) for _ in range(KEYS)]
    for number in range(EVENTS):
        key = keys[number % KEYS]
        message = EmailAccepted(delivery_id=key, account_id=key, kind="Bench")
        attributes = envelope.attributes(
            message, "/services/bench", "http://127.0.0.1:8000/schemas"
        )
        producer.send(
            topic.EVENTS,
            key=key.encode(),
            value=envelope.encode_data(message),
            headers=envelope.headers(attributes),
        )
        if number % WINDOW == 0:
            print(f"  {number:,} of {EVENTS:,} events in the topic", flush=True)
    producer.flush()
    producer.close()


def _watch(pid: int, scratch: Path) -> list[float]:
    """MiB that the service holds, sampled from its first window to its last.

    Raises:
        EventsLost: it did not come to the end.
    """
    process, samples = psutil.Process(pid), []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (scratch / "windows.json").exists():
        if time.monotonic() > deadline:
            raise EventsLost("not every event of the backlog was handled: .local/log/bench-*.log")
        if (scratch / "warm").exists():
            samples.append(process.memory_info().rss / 2**20)
        time.sleep(0.2)
    return samples


def _peer(settings: KafkaSettings) -> list[float]:
    """kafka-python's consumer alone on the same backlog: events a second in each window."""
    consumer = KafkaConsumer(
        **topics.client_options(settings), group_id=None, enable_auto_commit=False
    )
    partitions = [
        TopicPartition(topic.EVENTS, n) for n in sorted(consumer.partitions_for_topic(topic.EVENTS))
    ]
    consumer.assign(partitions)
    for partition, end in consumer.end_offsets(partitions).items():
        consumer.seek(partition, max(0, end - EVENTS // len(partitions)))
    read, begin = 0, time.perf_counter()
    figures: list[float] = []
    while len(figures) < 3:
        for records in consumer.poll(timeout_ms=200, max_records=500).values():
            for record in records:
                json.loads(record.value)
                read += 1
                if read == WINDOW:
                    figures.append(WINDOW / (time.perf_counter() - begin))
                    read, begin = 0, time.perf_counter()
    consumer.close()
    return figures


def _section(ours: list[float], peer: list[float], memory: list[float]) -> Section:
    rate = Spread.of(ours)
    growth = max(memory) - memory[0]
    return Section(
        "A backlog of a million events",
        f"{EVENTS:,} events of {KEYS:,} keys wait in the topic; one service process reads them:"
        f" inbox row, the handler's own\nINSERT, one transaction for what a poll brought, offsets"
        f" after it. Figures of each {WINDOW:,} events but the first.",
        [
            Row(
                "events applied", rate, "events/s", f"≥ {RATE_TARGET:,}",
                rate.median >= RATE_TARGET,
            ),
            Row("bare consumer, JSON decoded, nothing stored", Spread.of(peer), "events/s"),
            Row("applied / bare consumer", ratio(ours[: len(peer)], peer)),
            Row("memory of the service", Spread.of(memory), "MiB"),
            Row(
                "its growth after the first window", Spread.of([growth]), "MiB",
                f"≤ {MEMORY_TARGET_MIB}", growth <= MEMORY_TARGET_MIB,
            ),
        ],
        ["The effect is a row for each event, added to the session as the services' handlers do."],
    )  # fmt: skip
