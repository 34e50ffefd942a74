"""The peer: kafka-python's producer and consumer alone, in one process, at the same rate.

``python -m bench.latency.peer DIRECTORY RATE``. As durable as ours: idempotent, ``acks=all``.
"""

import sys
import threading
import time
import uuid
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from backbone.events import topics
from backbone.settings import KafkaSettings, load
from bench.latency import pace
from bench.latency.topic import NAME


def main(directory: Path, rate: int) -> None:
    """Sends and receives, then leaves the moments."""
    options = topics.client_options(load(KafkaSettings))
    producer = KafkaProducer(**options, acks="all", enable_idempotence=True)
    # Without a group: what is measured is the way, not a rebalance.
    consumer = KafkaConsumer(**options, enable_auto_commit=False)
    consumer.assign(
        [TopicPartition(NAME, number) for number in consumer.partitions_for_topic(NAME)]
    )
    consumer.seek_to_end()
    for partition in consumer.assignment():
        consumer.position(partition)
    handled: pace.Times = {}
    over = threading.Event()

    def consume() -> None:
        while not over.is_set():
            for records in consumer.poll(timeout_ms=200).values():
                for record in records:
                    handled.setdefault(record.key.decode(), time.monotonic_ns())

    thread = threading.Thread(target=consume)
    thread.start()
    body = b"x" * 120
    sent = pace.paced(
        rate,
        lambda name: producer.send(NAME, key=name.encode(), value=body),
        lambda: str(uuid.uuid4()),
    )
    producer.flush(10)
    time.sleep(1)
    over.set()
    thread.join()
    consumer.close()
    producer.close()
    pace.save(handled, directory / "handled.json")
    pace.save(sent, directory / "committed.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
