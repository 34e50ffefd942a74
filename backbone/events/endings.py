"""Every end of an access, in every process: what fills the deny-list of `backbone.ended`.

`@subscribe` gives an event to one process of a service. This one is for all of them, and for a
process that has just started too: so it is read without a group, from as long ago as a token can
live, and nothing is accepted before that has been read (`docs/adr/0012-ended-access.md`).
"""

import logging
import threading
import time
from datetime import UTC

from administration.identity.v1.events_pb2 import AccessEnded
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, RetriableError, UnknownTopicOrPartitionError
from nameko.extensions import SharedExtension

from backbone.backoff import Backoff
from backbone.ended import EndedAccess, Kind
from backbone.events import envelope, topics
from backbone.settings import KafkaSettings, RealmSettings, load

log = logging.getLogger(__name__)

TOPIC = topics.internal(AccessEnded.DESCRIPTOR)
POLL_SECONDS = 0.5
# How often Kafka is asked where the log ends, to find out that this reader hears nothing.
CHECK_SECONDS = 5.0
ANSWER_SECONDS = 5.0
CONNECT_SECONDS = 10.0
RETRY_SECONDS = (0.1, 2.0)
# Of the clocks of Kafka's clients, who write the times that the log is searched by.
CLOCKS_SECONDS = 60.0
KINDS = {kind.value for kind in Kind}

Offsets = dict[TopicPartition, int]


class AccessEndings(SharedExtension):  # type: ignore[misc]
    """One thread that reads the log of ended access into `ended`.

    While Kafka is away, `ended` keeps what it holds; when it is back, what was missed is read.
    """

    def __init__(self) -> None:
        self.ended = EndedAccess()
        self._stopping = threading.Event()
        self.trouble: str | None = "which access has ended is not read yet"

    def setup(self) -> None:
        realm = load(RealmSettings)
        # A token is accepted within the leeway of its end, and may come from a clock ahead.
        self._keep = realm.token_lifetime + 3 * realm.token_leeway

    def start(self) -> None:
        self._settings = load(KafkaSettings)
        self.container.spawn_managed_thread(self._run, identifier="endings")

    def stop(self) -> None:
        self._stopping.set()

    def kill(self) -> None:
        self._stopping.set()

    def check_ready(self) -> str | None:
        """Without what has ended, every token is told to come again."""
        return None if self.ended.known else self.trouble

    def check_well(self) -> str | None:
        return self.trouble

    def _run(self) -> None:
        backoff = Backoff(*RETRY_SECONDS)
        while not self._stopping.is_set():
            try:
                self._read()
                backoff.reset()
            except KafkaError as error:
                self._tell(error)
                backoff.wait(self._stopping)

    def _tell(self, error: Exception) -> None:
        before = self.trouble
        self.trouble = f"ended access cannot be read ({type(error).__name__})"
        if before is None:
            log.warning(self.trouble)

    def _read(self) -> None:
        """Reads until the service stops, or this consumer is deaf or lacks a partition."""
        consumer = KafkaConsumer(
            **topics.client_options(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # The broker answers nothing else on a connection while a fetch waits there.
            fetch_max_wait_ms=int(POLL_SECONDS * 1000),
            # A partition that was added is seen within this time.
            metadata_max_age_ms=30_000,
            bootstrap_timeout_ms=int(CONNECT_SECONDS * 1000),
        )
        try:
            ends = self._begin(consumer)
            checked, heard = time.monotonic(), True
            while not self._stopping.is_set():
                heard = self._poll(consumer) or heard
                if not self.ended.known and _reached(consumer, ends):
                    self.ended.complete()
                    self.trouble = None
                if time.monotonic() - checked > CHECK_SECONDS:
                    ends = _ends(consumer)
                    if not (heard or _reached(consumer, ends)) or _partitions(consumer) != set(
                        ends
                    ):
                        return
                    self.trouble = None if self.ended.known else self.trouble
                    checked, heard = time.monotonic(), False
        finally:
            consumer.close(autocommit=False)

    def _begin(self, consumer: KafkaConsumer) -> Offsets:
        """Goes back as far as a token can live; returns where the log ends by now."""
        partitions = _partitions(consumer)
        if not partitions:
            raise UnknownTopicOrPartitionError(f"{TOPIC}: run `backbone topics apply`")
        consumer.assign(list(partitions))
        # First the ends: what is added after is read, whether it is found by its time or not.
        ends = _ends(consumer)
        since = int((time.time() - self._keep - CLOCKS_SECONDS) * 1000)
        found = consumer.offsets_for_times(
            dict.fromkeys(partitions, since), timeout_ms=int(ANSWER_SECONDS * 1000)
        )
        for partition in partitions:
            at = found.get(partition)
            consumer.seek(partition, at.offset if at else ends[partition])
        return ends

    def _poll(self, consumer: KafkaConsumer) -> bool:
        """Takes what has come; whether there was something."""
        try:
            polled = consumer.poll(timeout_ms=int(POLL_SECONDS * 1000))
        except RetriableError as error:
            self._tell(error)
            self._stopping.wait(POLL_SECONDS)
            return False
        for records in polled.values():
            for record in records:
                self._take(record)
        self.ended.forget()
        return bool(polled)

    def _take(self, record: ConsumerRecord) -> None:
        try:
            fact = envelope.decode(record.headers, record.value).data
        except envelope.EnvelopeError:
            fact = None
        if not isinstance(fact, AccessEnded) or fact.kind not in KINDS:
            # Nothing can be refused by it, and by the next one it can.
            log.error("%s: no end of an access at offset %d", TOPIC, record.offset)
            return
        kind = Kind(fact.kind)
        end_time = fact.end_time.ToDatetime(UTC).timestamp()
        self.ended.add(kind, fact.subject_id, end_time, end_time + self._keep)


def _partitions(consumer: KafkaConsumer) -> set[TopicPartition]:
    return {TopicPartition(TOPIC, number) for number in consumer.partitions_for_topic(TOPIC) or ()}


def _ends(consumer: KafkaConsumer) -> Offsets:
    partitions = list(consumer.assignment())
    ends: Offsets = consumer.end_offsets(partitions, timeout_ms=int(ANSWER_SECONDS * 1000))
    return ends


def _reached(consumer: KafkaConsumer, ends: Offsets) -> bool:
    return all(consumer.position(partition) >= end for partition, end in ends.items())
