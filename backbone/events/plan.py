"""What a broker's topics and rules are to become: told first (`changes`), then done (`Plan.do`).

The contracts say which topics there are and how long they keep; the settings, how many partitions
and replicas a new one gets. The services' user is a super user of Kafka and has no rules; of the
rules of partners, those that a grant needs and lacks are completed.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    ResourceType,
)
from kafka.errors import KafkaError, TopicAlreadyExistsError

from backbone.events import topics
from backbone.partners.partner import PREFIX
from backbone.settings import KafkaSettings

ANSWER_MS = 10_000
# What was done takes a moment to be told by every broker.
SETTLE_SECONDS, PAUSE_SECONDS = 10.0, 0.1
DAY_MS = 24 * 3600 * 1000
READING = (ACLOperation.READ, ACLOperation.ALL)
USER = f"User:{PREFIX}"


class PlanError(ValueError):
    """Kafka does not answer, or refuses; the message says the mend."""


class Action(StrEnum):
    CREATE = "create"
    PARTITIONS = "partitions"
    CONFIGURE = "configure"
    ALLOW = "allow"
    TELL = "tell"  # nothing is done about it: the note says why


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic on a broker, with those of its configurations that the backbone has a say in."""

    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan: a setting of a subject (a topic or a client), as it is and as wanted."""

    action: Action
    subject: str
    setting: str
    now: str
    wanted: str
    note: str = ""
    rule: ACL | None = None

    def line(self) -> dict[str, str]:
        """For a table, or JSON."""
        names = ("action", "subject", "setting", "now", "wanted", "note")
        return {name: str(getattr(self, name)) for name in names}


def configs(days: int, replication: int) -> dict[str, str]:
    """What a topic is configured with, whatever its broker's defaults are."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY_MS),
        "retention.bytes": "-1",
        # An event that was acknowledged outlives the loss of a broker, where there are several.
        "min.insync.replicas": str(max(1, replication - 1)),
    }


def changes(
    found: Mapping[str, Topic], rules: Iterable[ACL], settings: KafkaSettings
) -> Iterator[Change]:
    """What makes a broker with these topics and rules what the contracts say."""
    wanted = topics.retention_days()
    for name, days in sorted(wanted.items()):
        if name in found:
            yield from _topic(name, found[name], days, settings)
        else:
            new = f"{settings.partitions} partitions, {settings.replication} replicas, {days} days"
            yield Change(Action.CREATE, name, "topic", "", new)
    ours = ("administration.", topics.PUBLIC)
    for name in sorted(found.keys() - wanted.keys()):
        if name.startswith(ours):
            note = "not in the contracts; left as it is"
            yield Change(Action.TELL, name, "topic", "there", "", note)
    yield from _rules(list(rules), set(wanted))


def _topic(name: str, topic: Topic, days: int, settings: KafkaSettings) -> Iterator[Change]:
    now, wanted = topic.partitions, settings.partitions
    if now < wanted:
        note = "keys move: what a key has on its old partition may be read after what comes now"
        yield Change(Action.PARTITIONS, name, "partitions", str(now), str(wanted), note)
    elif now > wanted:
        note = "Kafka takes no partition away; left as it is"
        yield Change(Action.TELL, name, "partitions", str(now), str(wanted), note)
    if topic.replication != settings.replication:
        note = "moving replicas is an operator's work: kafka-reassign-partitions.sh"
        now, wanted = topic.replication, settings.replication
        yield Change(Action.TELL, name, "replication", str(now), str(wanted), note)
    # By the replicas that it has: with more wanted than there are, nothing could be written.
    for setting, value in configs(days, topic.replication).items():
        before = topic.configs.get(setting, "")
        if before != value:
            less = setting == "retention.ms" and (before == "-1" or int(before or 0) > int(value))
            note = "what is older is deleted" if less else ""
            yield Change(Action.CONFIGURE, name, setting, before, value, note)


def _rules(rules: list[ACL], wanted: set[str]) -> Iterator[Change]:
    reads = {
        (rule.principal.removeprefix("User:"), rule.resource_pattern.resource_name)
        for rule in rules
        if rule.principal.startswith(USER)
        and rule.resource_pattern.resource_type is ResourceType.TOPIC
        and rule.resource_pattern.pattern_type is ACLResourcePatternType.LITERAL
        and rule.permission_type is ACLPermissionType.ALLOW
        and rule.operation in READING
    }
    has = {_key(rule) for rule in rules}
    for client, topic in sorted(reads):
        if topic not in wanted or not topic.startswith(topics.PUBLIC):
            note = f"not a public topic: backbone partner revoke {client} {topic}"
            yield Change(Action.TELL, client, f"READ of {topic}", "allowed", "", note)
            continue
        for rule in topics.partner_rules(client, topic):
            if _key(rule) not in has:
                has.add(_key(rule))
                pattern = rule.resource_pattern
                what = f"{rule.operation.name} of {pattern.resource_name}"
                yield Change(Action.ALLOW, client, what, "", "allowed", rule=rule)


def _key(rule: ACL) -> tuple[object, ...]:
    pattern = rule.resource_pattern
    return (
        rule.principal,
        rule.host,
        rule.operation,
        rule.permission_type,
        pattern.resource_type,
        pattern.resource_name,
        pattern.pattern_type,
    )


class Plan:
    """The changes that a broker needs."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Raises:
        PlanError: Kafka does not answer, or refuses.
        """
        self._settings = settings
        with self._admin() as admin:
            self._read(admin)

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return any(change.action is not Action.TELL for change in self.changes)

    def do(self) -> None:
        """Brings it about, and waits until the broker says so: again is nothing.

        Raises:
            PlanError: Kafka does not answer, or refuses; what was done until then stays.
        """
        with self._admin() as admin:
            self._create(admin)
            self._alter(admin)
            deadline = time.monotonic() + SETTLE_SECONDS
            self._read(admin)
            while self.needed:
                if time.monotonic() > deadline:
                    left = ", ".join(sorted({change.subject for change in self.changes}))
                    raise PlanError(f"Kafka did not keep what was changed of {left}: plan again")
                time.sleep(PAUSE_SECONDS)
                self._read(admin)

    def _create(self, admin: KafkaAdminClient) -> None:
        days, settings = topics.retention_days(), self._settings
        for name in (change.subject for change in self._of(Action.CREATE)):
            asked = {
                "num_partitions": settings.partitions,
                "replication_factor": settings.replication,
                "configs": configs(days[name], settings.replication),
            }
            try:
                admin.create_topics({name: asked})
            except TopicAlreadyExistsError:
                # Somebody else's `apply` was quicker: what differs is seen when it is read again.
                continue

    def _alter(self, admin: KafkaAdminClient) -> None:
        if more := {item.subject: int(item.wanted) for item in self._of(Action.PARTITIONS)}:
            admin.create_partitions(more)
        values: dict[str, dict[str, str]] = {}
        for change in self._of(Action.CONFIGURE):
            values.setdefault(change.subject, {})[change.setting] = change.wanted
        if values:
            admin.alter_configs([_resource(name, of) for name, of in values.items()])
        if rules := [item.rule for item in self._of(Action.ALLOW)]:
            for error in admin.create_acls(rules)["failed"]:
                raise error[0]("Kafka refused an access rule")

    def _of(self, action: Action) -> list[Change]:
        return [change for change in self.changes if change.action is action]

    def _read(self, admin: KafkaAdminClient) -> None:
        described = {topic["name"]: topic["partitions"] for topic in admin.describe_topics()}
        names = list(configs(1, 1))
        known = {name: parts for name, parts in described.items() if parts}
        resources = [_resource(name, names) for name in known if name in topics.retention_days()]
        told = admin.describe_configs(resources, config_filter="all") if resources else {}
        of_topic = told.get("topic", {})
        found = {
            name: Topic(
                partitions=len(parts),
                replication=len(parts[0]["replica_nodes"]),
                configs={key: item["value"] for key, item in of_topic.get(name, {}).items()},
            )
            for name, parts in known.items()
        }
        rules, _ = admin.describe_acls(topics.rules_about(ResourceType.ANY))
        self.changes = list(changes(found, rules, self._settings))

    @contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        try:
            admin = KafkaAdminClient(
                **topics.client_options(self._settings), bootstrap_timeout_ms=ANSWER_MS
            )
            try:
                yield admin
            finally:
                admin.close()
        except KafkaError as error:
            raise PlanError(
                f"Kafka refused or did not answer ({type(error).__name__}):"
                " check BACKBONE_KAFKA_BOOTSTRAP, _USERNAME and _PASSWORD"
            ) from error


def _resource(name: str, of: object) -> ConfigResource:
    return ConfigResource(ConfigResourceType.TOPIC, name, of)
