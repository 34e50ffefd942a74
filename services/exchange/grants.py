"""What partners may read, as Kafka says it: the same ACLs as on its own listener."""

import threading
import time
from collections.abc import Callable, Sequence

from kafka.admin import (
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourceType,
)
from kafka.errors import KafkaError
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone import contracts
from backbone.errors import NotFound, Unavailable
from backbone.events import topics
from backbone.settings import KafkaSettings, load
from services.exchange.domain import grants
from services.exchange.domain.grants import Rule

# A revocation takes effect within this time; no answer of Kafka's is used for longer.
FRESH_SECONDS = 2.0
# After no answer, those who ask meanwhile are told so at once: they do not wait one by one.
UNANSWERED_SECONDS = 1.0
ANSWER_MS = 5_000
READING = (ACLOperation.READ, ACLOperation.ALL)

Ask = Callable[[], Sequence[Rule]]


class Grants:
    """Answers from Kafka's rules, asked for once for all callers and every two seconds at most."""

    def __init__(self, ask: Ask, public: Sequence[str]) -> None:
        self._ask = ask
        self._public = frozenset(public)
        self._lock = threading.Lock()
        self._rules: Sequence[Rule] = ()
        self._until = float("-inf")
        self._silent_until = float("-inf")

    def may_read(self, client_id: str, topic: str) -> bool:
        """Raises:
        Unavailable: Kafka does not say; nobody is let in on what it said before.
        """
        return topic in self._public and grants.may_read(self._fresh(), client_id, topic)

    def require(self, client_id: str, topic: str) -> None:
        """Raises:
        NotFound: there is no such topic, or it was not granted: both look the same.
        Unavailable: as in `may_read`.
        """
        if not client_id or not self.may_read(client_id, topic):
            raise NotFound("No such feed.", reason="FEED_NOT_FOUND")

    def _fresh(self) -> Sequence[Rule]:
        with self._lock:
            asked = time.monotonic()
            if asked >= self._until:
                if asked < self._silent_until:
                    raise _silent()
                try:
                    self._rules = self._ask()
                except KafkaError as error:
                    self._silent_until = time.monotonic() + UNANSWERED_SECONDS
                    raise _silent() from error
                self._until = asked + FRESH_SECONDS
            return self._rules


def _silent() -> Unavailable:
    return Unavailable("The grants cannot be read just now.")


class KafkaRules:
    """Kafka's rules about reading topics, over a connection that is kept."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: KafkaAdminClient | None = None

    def __call__(self) -> list[Rule]:
        """Raises:
        KafkaError: it does not answer, or refuses.
        """
        try:
            if self._admin is None:
                self._admin = KafkaAdminClient(
                    **topics.client_options(self._settings),
                    client_id="backbone-grants",
                    bootstrap_timeout_ms=ANSWER_MS,
                    request_timeout_ms=ANSWER_MS,
                )
            acls, _ = self._admin.describe_acls(topics.rules_about(ResourceType.TOPIC))
        except BaseException:
            self.close()
            raise
        return [
            Rule(
                principal=acl.principal,
                name=acl.resource_pattern.resource_name,
                prefixed=acl.resource_pattern.pattern_type is ACLResourcePatternType.PREFIXED,
                allows=acl.permission_type is ACLPermissionType.ALLOW,
                host=acl.host,
            )
            for acl in acls
            if acl.operation in READING
        ]

    def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()


class TopicGrants(DependencyProvider):  # type: ignore[misc]
    """Injects the `Grants`."""

    def __init__(self) -> None:
        self._kafka: KafkaRules | None = None

    def setup(self) -> None:
        self._kafka = KafkaRules(load(KafkaSettings))
        public = [topics.public(event.DESCRIPTOR) for event in contracts.public_events()]
        self._grants = Grants(self._kafka, public)

    def stop(self) -> None:
        if self._kafka is not None:
            self._kafka.close()

    def get_dependency(self, worker_ctx: WorkerContext) -> Grants:
        return self._grants
