"""A partner administration's side: Kafka with its own Keycloak token, nothing else of ours."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import TopicAuthorizationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider

from deploy.demo.narrator import StepError


class _Tokens(AbstractTokenProvider):  # type: ignore[misc]
    def __init__(self, token: Callable[[], str]) -> None:
        super().__init__()
        self._token = token

    def token(self) -> str:
        return self._token()


def connect(address: str, token: Callable[[], str], group: str | None) -> KafkaConsumer:
    """A consumer on the partners' listener, with a Keycloak token (SASL/OAUTHBEARER)."""
    return KafkaConsumer(
        bootstrap_servers=address,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        sasl_oauth_token_provider=_Tokens(token),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )


def may_read(address: str, token: Callable[[], str], topic: str) -> bool:
    """Whether the broker lets this token read a topic, whatever the consumer group."""
    consumer = connect(address, token, None)
    try:
        # `poll` passes over what it may not fetch; asking for offsets tells.
        consumer.beginning_offsets([TopicPartition(topic, 0)])
    except TopicAuthorizationFailedError:
        return False
    finally:
        consumer.close(autocommit=False)
    return True


class Listener:
    """A consumer of one topic, from now on. Use as a context manager.

    Raises, at entry:
        kafka.errors.KafkaError: the broker refuses the token, the topic or the group.
    """

    def __init__(self, address: str, client: str, token: Callable[[], str], topic: str) -> None:
        self._topic = topic
        self._consumer = connect(address, token, f"{client}.demo-{secrets.token_hex(4)}")

    def __enter__(self) -> Self:
        self._consumer.subscribe([self._topic])
        deadline = time.monotonic() + 15
        while not self._consumer.assignment():
            if time.monotonic() > deadline:
                raise StepError("no partition was assigned within 15 s")
            self._consumer.poll(timeout_ms=100)
        for partition in self.partitions:
            self._consumer.position(partition)
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close(autocommit=False)

    @property
    def partitions(self) -> list[TopicPartition]:
        return sorted(self._consumer.assignment())

    def events(self, seconds: float) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
        """CloudEvents as they arrive, headers and data, for so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for records in self._consumer.poll(timeout_ms=200).values():
                for record in records:
                    headers = {name: value.decode() for name, value in record.headers}
                    yield headers, json.loads(record.value)
