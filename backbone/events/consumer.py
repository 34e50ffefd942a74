"""The consumer group of a service: from Kafka to the handlers, in the order of each partition.

What a poll brings is one transaction, whatever the partitions: its flush of the disk costs more
than a few events do. Offsets are committed after it: an event may arrive twice and acts once.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain

from google.protobuf.message import Message
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CommitFailedError, KafkaError, RetriableError
from kafka.structs import OffsetAndMetadata
from nameko.extensions import SharedExtension

from backbone.backoff import Backoff
from backbone.database import DatabasePool
from backbone.events import topics
from backbone.events.apply import OUTAGES, Applier, Handler
from backbone.events.forgetting import EVERY_SECONDS, Forgetting
from backbone.settings import EventSettings, KafkaSettings, load

log = logging.getLogger(__name__)

BATCH = 500
# What kafka-python fetched of one partition is given whole before the next one's: a backlog of one
# does not keep the others waiting for longer than about a batch.
PARTITION_BYTES = 64 * 1024
POLL_SECONDS = 0.2
SILENCE_SECONDS = 5.0
SESSION_SECONDS = 10.0
# A rebalance may hold the answer back for as long as a member that died is waited for.
ANSWER_SECONDS = 2 * SESSION_SECONDS
PROMPT_SECONDS = 2.0
CONNECT_SECONDS = 10.0
COMMIT_SECONDS = 5.0
# What is applied and not yet told comes again after a crash, to an inbox that knows it.
TELL_SECONDS = 0.1
PARKED_SECONDS = 0.5
RETRY_SECONDS = (0.1, 2.0)

Offsets = dict[TopicPartition, OffsetAndMetadata]


class EventConsumer(SharedExtension):  # type: ignore[misc]
    """Three threads: one polls Kafka, one retries what is parked, one keeps the inbox small."""

    pool = DatabasePool()

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._topics: set[str] = set()
        self._stopping = threading.Event()
        self._running: list[threading.Event] = []
        self.trouble: str | None = "events are not consumed yet"
        self._heard = False

    def register(self, event: type[Message], handler: Handler) -> None:
        """Adds the handler of one event type; before `start`.

        Raises:
            ValueError: the type has a handler already.
        """
        name = event.DESCRIPTOR.full_name
        if name in self._handlers:
            raise ValueError(f"{name} has two handlers in {self.container.service_name}")
        self._handlers[name] = handler
        self._topics.add(topics.internal(event.DESCRIPTOR))

    def start(self) -> None:
        """Starts consuming: by now every handler is registered."""
        assert self.pool.transactions is not None
        self._applier = Applier(
            self.container.service_name, self.pool.transactions, self._handlers, load(EventSettings)
        )
        self._forgetting = Forgetting(self.pool.transactions, self._topics)
        self._spawn(self._consume, "consumer")
        self._spawn(self._retry_parked, "parked")
        self._spawn(self._forget, "forgetting")

    def stop(self) -> None:
        """Finishes the batch at hand, commits, leaves the group."""
        self._stopping.set()
        for quiet in self._running:
            quiet.wait()

    def kill(self) -> None:
        self._stopping.set()

    def check_ready(self) -> str | None:
        """Once Kafka has been reached: without it, the service still answers calls."""
        return None if self._heard else self.trouble

    def check_well(self) -> str | None:
        return self.trouble

    def _spawn(self, work: Callable[[], None], name: str) -> None:
        """Runs `work` again and again until the service stops, with backoff in an outage."""
        quiet = threading.Event()
        self._running.append(quiet)

        def run() -> None:
            backoff = Backoff(*RETRY_SECONDS)
            try:
                while not self._stopping.is_set():
                    try:
                        work()
                        backoff.reset()
                    except (KafkaError, *OUTAGES) as error:
                        self._tell(error)
                        backoff.wait(self._stopping)
            finally:
                quiet.set()

        self.container.spawn_managed_thread(run, identifier=name)

    def _tell(self, error: Exception) -> None:
        before, self.trouble = self.trouble, f"events cannot be consumed ({type(error).__name__})"
        if before is None:
            log.warning(self.trouble)

    def _retry_parked(self) -> None:
        if not self._applier.retry_parked():
            self._stopping.wait(PARKED_SECONDS)

    def _forget(self) -> None:
        if not self._forgetting.step():
            self._stopping.wait(EVERY_SECONDS)

    def _consume(self) -> None:
        """Polls until the service stops, or this consumer is deaf.

        It is kept while Kafka is away: it goes on in its place in the group when Kafka is back,
        where a new one would wait until the session of this one has ended.
        """
        consumer = KafkaConsumer(
            *sorted(self._topics),
            **topics.client_options(load(KafkaSettings)),
            group_id=self.container.service_name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=BATCH,
            max_partition_fetch_bytes=PARTITION_BYTES,
            max_poll_interval_ms=300_000,
            # The partitions of a process that was killed go to another one after this time.
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            # A topic created after the service has started is seen within this time.
            metadata_max_age_ms=30_000,
            bootstrap_timeout_ms=int(CONNECT_SECONDS * 1000),
        )
        applied: Offsets = {}
        pause = Backoff(*RETRY_SECONDS)
        try:
            heard = told = -math.inf
            while not self._stopping.is_set():
                if time.monotonic() - heard > SILENCE_SECONDS:
                    if self._deaf(consumer):
                        return
                    heard = time.monotonic()
                try:
                    polled = consumer.poll(timeout_ms=int(POLL_SECONDS * 1000))
                except RetriableError as error:
                    self._tell(error)
                    pause.wait(self._stopping)
                    continue
                pause.reset()
                if polled:
                    heard = time.monotonic()
                    self._applier.apply(list(chain.from_iterable(polled.values())))
                    applied |= {partition: _after(records) for partition, records in polled.items()}
                if not polled or time.monotonic() - told > TELL_SECONDS:
                    applied = self._commit(consumer, applied)
                    told = time.monotonic()
        finally:
            consumer.close(autocommit=False, timeout_ms=int(COMMIT_SECONDS * 1000))

    def _deaf(self, consumer: KafkaConsumer) -> bool:
        """Whether silence means that this consumer will never hear anything.

        Two ways to be so were seen with kafka-python 3.0.12, and `poll` tells of neither. One that
        starts while the broker does can wait for ever for its coordinator: Kafka answers another
        client then. One whose heartbeats have stopped, on a starved machine, is put out of its
        group: its commits are refused.
        """
        settings = load(KafkaSettings)
        try:
            return (
                not self._answered(consumer, PROMPT_SECONDS)
                and topics.answers(settings)
                and not self._answered(consumer, ANSWER_SECONDS)
                and topics.answers(settings)
            )
        except CommitFailedError as error:
            self._tell(error)
            return True

    def _answered(self, consumer: KafkaConsumer, seconds: float) -> bool:
        """Whether the group's coordinator answers this consumer.

        Raises:
            CommitFailedError: as to somebody who is no member of the group.
        """
        wait = int(seconds * 1000)
        try:
            mine = min(consumer.assignment(), default=None)
            if mine and (at := consumer.position(mine, timeout_ms=wait)) is not None:
                # All that was polled is applied: a commit that changes nothing, and that counts as
                # a heartbeat.
                consumer.commit({mine: OffsetAndMetadata(at, "", -1)}, timeout_ms=wait)
            else:
                consumer.committed(TopicPartition(min(self._topics), 0), timeout_ms=wait)
        except RetriableError as error:
            self._tell(error)
            return False
        self._heard, self.trouble = True, None
        return True

    def _commit(self, consumer: KafkaConsumer, applied: Offsets) -> Offsets:
        """Tells Kafka what is applied; what it could not be told, for the next time."""
        mine = consumer.assignment()
        applied = {partition: at for partition, at in applied.items() if partition in mine}
        if not applied:
            return applied
        try:
            consumer.commit(applied, timeout_ms=int(COMMIT_SECONDS * 1000))
        except KafkaError as error:
            # The events are applied, and the inbox knows them should they come again. What lasts,
            # `poll` tells.
            self._tell(error)
            return applied
        self.trouble = None
        return {}


def _after(records: Sequence[ConsumerRecord]) -> OffsetAndMetadata:
    last = records[-1]
    return OffsetAndMetadata(last.offset + 1, "", last.leader_epoch)
