"""Kafka, as a test sees it: with the services' user, or with a partner's token."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.net.sasl.oauth import AbstractTokenProvider

from tests.support.polling import PATIENCE, eventually


class Token(AbstractTokenProvider):  # type: ignore[misc]
    """A token at hand, as kafka-python asks for it."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def token(self) -> str:
        return self._token()


def internal_options(stack: dict[str, Any]) -> dict[str, Any]:
    kafka = stack["kafka"]
    return {
        "bootstrap_servers": kafka["internal"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": kafka["username"],
        "sasl_plain_password": kafka["password"],
    }


def partner_options(stack: dict[str, Any], token: Callable[[], str]) -> dict[str, Any]:
    return {
        "bootstrap_servers": stack["kafka"]["partners"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_token_provider": Token(token),
    }


class Tap:
    """Everything that reaches a topic from now on, without a consumer group."""

    def __init__(self, options: dict[str, Any], topic: str) -> None:
        self._consumer = KafkaConsumer(**options, enable_auto_commit=False)
        self.records: list[ConsumerRecord] = []
        numbers = eventually(lambda: self._consumer.partitions_for_topic(topic), what=topic)
        partitions = [TopicPartition(topic, number) for number in numbers]
        self._consumer.assign(partitions)
        self._consumer.seek_to_end(*partitions)
        for partition in partitions:
            self._consumer.position(partition)

    def until(
        self, wanted: Callable[[ConsumerRecord], bool], count: int = 1, within: float = PATIENCE
    ) -> list[ConsumerRecord]:
        """Reads on until `count` different records are wanted; those, as often as they are there,
        in the order of their partitions.
        """

        def enough() -> list[ConsumerRecord] | None:
            self._read()
            found = [record for record in self.records if wanted(record)]
            return found if len(once(found)) >= count else None

        return eventually(enough, within, f"{count} records")

    def drain(self) -> list[ConsumerRecord]:
        """Everything that is in the topic by now, as often as it is there."""
        partitions = self._consumer.assignment()
        ends = self._consumer.end_offsets(partitions)

        def there() -> bool:
            self._read()
            return all(self._consumer.position(item) >= end for item, end in ends.items())

        eventually(there, what="the end of the topic")
        return self.records

    def _read(self) -> None:
        for batch in self._consumer.poll(timeout_ms=100).values():
            self.records += batch

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def tap(options: dict[str, Any], topic: str) -> Iterator[Tap]:
    opened = Tap(options, topic)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def producer(stack: dict[str, Any]) -> Iterator[KafkaProducer]:
    opened = KafkaProducer(**internal_options(stack))
    try:
        yield opened
    finally:
        opened.close()


def once(records: Iterable[ConsumerRecord]) -> list[ConsumerRecord]:
    """The first of each: what a relay sends again, as it may, is the same to the byte."""
    firsts: dict[Any, ConsumerRecord] = {}
    for record in records:
        firsts.setdefault((record.key, record.value, tuple(record.headers)), record)
    return list(firsts.values())


def header(record: ConsumerRecord, name: str) -> str:
    """A header's value, empty when there is none."""
    return next((value.decode() for key, value in record.headers if key == name), "")
