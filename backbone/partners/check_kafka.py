"""Proof of what Kafka lets a partner do, and of what it does not."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider

from backbone.events import envelope, topics
from backbone.partners.configuration import Configuration
from backbone.partners.partner import public_topics
from backbone.partners.steps import StepFailed

BOOTSTRAP_MS, POLL_MS = 8_000, 200
WAIT_SECONDS = 15.0
READER = {"READ", "DESCRIBE"}
LOG = "see the broker's log"


class _Token(AbstractTokenProvider):  # type: ignore[misc]
    def __init__(self, token: Callable[[], str]) -> None:
        super().__init__()
        self._token = token

    def token(self) -> str:
        return self._token()


class KafkaCheck:
    """Each method is one step: it says what it saw, or raises StepFailed. `broker` is first."""

    def __init__(self, read: Configuration, folder: Path, token: Callable[[], str]) -> None:
        self._configuration = read
        cafile = folder / read.kafka_cafile if read.kafka_cafile else None
        self._options = {
            "bootstrap_servers": read.kafka_bootstrap,
            "security_protocol": read.kafka_security_protocol,
            "ssl_cafile": str(cafile) if cafile else None,
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": _Token(token),
            "bootstrap_timeout_ms": BOOTSTRAP_MS,
        }
        # What the broker told of each topic of the contracts and of TOPICS.
        self._told: dict[str, Any] = {}

    def broker(self) -> str:
        read = self._configuration
        every = sorted({*topics.all_topics(), *read.granted()})
        try:
            with closing(KafkaAdminClient(**self._options)) as admin:
                self._told = {item["name"]: item for item in admin.describe_topics(every)}
        except KafkaError as error:
            mend = (
                "check KAFKA_BOOTSTRAP and KAFKA_SECURITY_PROTOCOL, that this machine may reach"
                " it, and that the broker expects this ISSUER and AUDIENCE"
            )
            detail = f"{read.kafka_bootstrap}: {type(error).__name__}"
            raise StepFailed(detail, mend, final=True) from None
        return f"{read.kafka_bootstrap} accepts the token"

    def group(self) -> str:
        name = f"{self._configuration.client_id}.check"
        readable = [topic for topic in self._configuration.granted() if not self._refused(topic)]
        if not readable:
            mend = f"`backbone partner grant {self._configuration.client_id} TOPIC`, and set TOPICS"
            raise StepFailed("no topic of TOPICS can be read", mend)
        try:
            with closing(self._consumer(name)) as consumer:
                consumer.subscribe(readable)
                deadline = time.monotonic() + WAIT_SECONDS
                while not consumer.assignment():
                    if time.monotonic() > deadline:
                        raise StepFailed(f"{name}: no partition was assigned", LOG)
                    consumer.poll(timeout_ms=POLL_MS)
        except GroupAuthorizationFailedError:
            raise StepFailed(f"{name} is refused", self._grant(readable[0])) from None
        except KafkaError as error:
            raise StepFailed(f"{name}: {type(error).__name__}", LOG) from None
        return f"{name} joined"

    def read(self, topic: str) -> str:
        """Fetches a record: seeing offsets is not yet reading."""
        if topic not in public_topics():
            raise StepFailed("it is no public topic", "take it out of TOPICS")
        if self._refused(topic):
            raise StepFailed("refused", self._grant(topic))
        try:
            with closing(self._consumer()) as consumer:
                return _read(consumer, topic)
        except TopicAuthorizationFailedError:
            raise StepFailed("refused", self._grant(topic)) from None
        except KafkaError as error:
            raise StepFailed(type(error).__name__, LOG) from None

    def strangers(self) -> str:
        # Who may not even describe a topic may do nothing with it.
        refused = [name for name in self._told if self._refused(name)]
        for name in (name for name in self._told if name not in refused):
            more = set(self._told[name]["authorized_operations"] or ()) - READER
            if name not in public_topics() or more:
                allowed = ", ".join(sorted(more)) or "it can be read"
                mend = "take that ACL away, and see `allow.everyone.if.no.acl.found`"
                raise StepFailed(f"{name} is open: {allowed}", mend)
            if name not in self._configuration.granted():
                raise StepFailed(f"{name} is granted, and not in TOPICS", "add it to TOPICS")
        return f"{len(refused)} topics, and writing to any"

    def another_group(self) -> str:
        name = f"{self._configuration.client_id}-other.check"
        try:
            with closing(self._consumer(name)) as consumer:
                consumer.committed(TopicPartition(next(iter(self._told)), 0))
        except GroupAuthorizationFailedError:
            return name
        except KafkaError as error:
            raise StepFailed(f"{name}: {type(error).__name__}", LOG) from None
        raise StepFailed(f"{name} is allowed", "take that ACL away")

    def _refused(self, topic: str) -> bool:
        return bool(self._told[topic]["error_code"] == TopicAuthorizationFailedError.errno)

    def _grant(self, topic: str) -> str:
        return f"`backbone partner grant {self._configuration.client_id} {topic}`"

    def _consumer(self, group: str | None = None) -> KafkaConsumer:
        return KafkaConsumer(
            **self._options,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )


def _read(consumer: KafkaConsumer, topic: str) -> str:
    numbers = consumer.partitions_for_topic(topic) or {0}
    partitions = [TopicPartition(topic, number) for number in numbers]
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    filled = [item for item in partitions if ends[item] > begins[item]]
    if not filled:
        return "allowed; it is empty"
    consumer.assign(filled[:1])
    consumer.seek(filled[0], ends[filled[0]] - 1)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            kind = envelope.type_of(records[-1].headers) or "no event"
            return f"{sum(ends.values()) - sum(begins.values())} records, one of them {kind}"
    raise StepFailed("a record is there, and does not come", LOG)
