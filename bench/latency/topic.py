"""The peers' topic, with as many partitions as those of the project."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient, NewTopic

from backbone.events import topics
from backbone.settings import KafkaSettings

NAME = "bench.peer"


@contextmanager
def made(settings: KafkaSettings) -> Iterator[None]:
    """A fresh topic, deleted at the end with the consumer groups of the bench."""
    admin = KafkaAdminClient(**topics.client_options(settings))
    try:
        if NAME in admin.list_topics():
            admin.delete_topics([NAME])
        admin.create_topics([NewTopic(NAME, settings.partitions, settings.replication)])
        yield
    finally:
        admin.delete_topics([NAME])
        groups = {group["group_id"] for group in admin.list_groups()}
        admin.delete_groups([name for name in (NAME, "bench") if name in groups])
        admin.close()
