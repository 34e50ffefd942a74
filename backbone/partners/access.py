"""What Kafka lets a partner do: ACLs on topics and on its groups, and how fast it may read."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from kafka.admin import (
    ACLOperation,
    KafkaAdminClient,
    ResourceType,
)
from kafka.errors import KafkaError, for_code
from kafka.protocol.admin import AlterClientQuotasRequest, DescribeClientQuotasRequest

from backbone.events import topics
from backbone.partners.partner import PartnerError
from backbone.settings import KafkaSettings

USER = "User:"
QUOTA = "consumer_byte_rate"
ANY_NAME = 2  # DescribeClientQuotas: every named entity
BOOTSTRAP_MS = 10_000
SETTLE_SECONDS, PAUSE_SECONDS = 5.0, 0.05


class Access(Protocol):
    """Partners' access to events. Every method may raise PartnerError: Kafka does not answer."""

    def granted(self) -> dict[str, list[str]]:
        """The topics that each client may read."""

    def grant(self, client_id: str, topic: str) -> None:
        """Lets it read `topic`, with groups named ``<client>.…``; again is nothing."""

    def revoke(self, client_id: str, topic: str | None = None) -> None:
        """Takes back `topic`, or everything; what it has not is no error."""

    def groups(self) -> list[str]:
        """Every consumer group that Kafka remembers."""

    def limits(self) -> dict[str, int]:
        """Bytes per second that each limited client may read."""

    def limit(self, client_id: str, bytes_per_second: int | None) -> None:
        """Sets it, on each broker; None: no limit."""


class KafkaAccess:
    """The access in Kafka, as the services' user, which is a super user."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def granted(self) -> dict[str, list[str]]:
        every = topics.rules_about(ResourceType.TOPIC)
        with self._admin() as admin:
            acls, _ = admin.describe_acls(every)
        found = defaultdict(set)
        for acl in acls:
            if acl.operation is ACLOperation.READ and acl.principal.startswith(USER):
                found[acl.principal.removeprefix(USER)].add(acl.resource_pattern.resource_name)
        return {client: sorted(names) for client, names in found.items()}

    def grant(self, client_id: str, topic: str) -> None:
        with _telling():
            topics.grant(self._settings, client_id, topic)
        # It does not say that the broker refused a rule, and a rule takes a moment to be known.
        deadline = time.monotonic() + SETTLE_SECONDS
        while topic not in self.granted().get(client_id, ()):
            if time.monotonic() > deadline:
                raise PartnerError(f"Kafka did not keep the access of {client_id} to {topic}")
            time.sleep(PAUSE_SECONDS)

    def revoke(self, client_id: str, topic: str | None = None) -> None:
        kind = ResourceType.TOPIC if topic else ResourceType.ANY
        with self._admin() as admin:
            rules = [topics.rules_about(kind, topic, USER + client_id)]
            for _, _, error in admin.delete_acls(rules):
                _check(error.errno)
            deadline = time.monotonic() + SETTLE_SECONDS
            while admin.describe_acls(rules[0])[0] and time.monotonic() < deadline:
                time.sleep(PAUSE_SECONDS)

    def groups(self) -> list[str]:
        with self._admin() as admin:
            return sorted(group["group_id"] for group in admin.list_groups())

    def limits(self) -> dict[str, int]:
        request = DescribeClientQuotasRequest
        component = request.ComponentData(entity_type="user", match_type=ANY_NAME, match=None)
        with self._admin() as admin:
            answer = _send(admin, request(components=[component], strict=True))
        _check(answer.error_code)
        return {
            entry.entity[0].entity_name: int(value.value)
            for entry in answer.entries
            for value in entry.values
            if value.key == QUOTA
        }

    def limit(self, client_id: str, bytes_per_second: int | None) -> None:
        entry = AlterClientQuotasRequest.EntryData
        change = entry.OpData(
            key=QUOTA, value=float(bytes_per_second or 0), remove=bytes_per_second is None
        )
        user = entry.EntityData(entity_type="user", entity_name=client_id)
        with self._admin() as admin:
            answer = _send(
                admin,
                AlterClientQuotasRequest(
                    entries=[entry(entity=[user], ops=[change])], validate_only=False
                ),
            )
        for item in answer.entries:
            _check(item.error_code)

    @contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        with _telling():
            admin = KafkaAdminClient(
                **topics.client_options(self._settings), bootstrap_timeout_ms=BOOTSTRAP_MS
            )
            try:
                yield admin
            finally:
                admin.close()


def _send(admin: KafkaAdminClient, request: Any) -> Any:
    # kafka-python 3.0.12 has these requests, but no method of its admin client for quotas.
    return admin._manager.run(admin._manager.send, request)


def _check(code: int) -> None:
    if code:
        raise for_code(code)


@contextmanager
def _telling() -> Iterator[None]:
    """Kafka's errors in the operator's words; its own text may hold the settings."""
    try:
        yield
    except KafkaError as error:
        raise PartnerError(
            f"Kafka refused or did not answer ({type(error).__name__}):"
            " check BACKBONE_KAFKA_BOOTSTRAP, _USERNAME and _PASSWORD"
        ) from error
