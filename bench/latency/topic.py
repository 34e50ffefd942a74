"""The peers' topic, with as many partitions as those of the project, and where ours begins."""

from collections.abc import Iterator
from contextlib import contextmanager

from administration.notifications.v1.events_pb2 import EmailAccepted
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import OffsetAndMetadata

from backbone.events import topics
from backbone.settings import KafkaSettings
from bench.latency import schema

NAME = "bench.peer"
EVENTS = topics.internal(EmailAccepted.DESCRIPTOR)


@contextmanager
def made(settings: KafkaSettings) -> Iterator[None]:
    """A fresh topic, deleted at the end with the consumer groups of the bench.

    The group of the bench's service begins behind the events that other runs have left.
    """
    admin = KafkaAdminClient(**topics.client_options(settings))
    try:
        if NAME in admin.list_topics():
            admin.delete_topics([NAME])
        admin.create_topics([NewTopic(NAME, settings.partitions, settings.replication)])
        _skip_what_is_there(settings)
        yield
    finally:
        admin.delete_topics([NAME])
        groups = {group["group_id"] for group in admin.list_groups()}
        admin.delete_groups([name for name in (NAME, schema.NAME) if name in groups])
        admin.close()


def _skip_what_is_there(settings: KafkaSettings) -> None:
    consumer = KafkaConsumer(
        **topics.client_options(settings), group_id=schema.NAME, enable_auto_commit=False
    )
    partitions = [TopicPartition(EVENTS, n) for n in sorted(consumer.partitions_for_topic(EVENTS))]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    consumer.commit({part: OffsetAndMetadata(end, "", -1) for part, end in ends.items()})
    consumer.close()
