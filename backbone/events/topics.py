"""Topics, derived from the contracts: their names, how long they keep, who may be let in.

`backbone.events.plan` compares this with a broker, and brings it about.

``administration.<area>.v1.<Entity>`` is read by the backbone's services;
``public.<area>.v1.<Entity>`` holds a copy of the public events, for partners.
"""

from typing import Any

from administration.options.v1 import options_pb2
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaError

from backbone import contracts
from backbone.contracts import Descriptor
from backbone.settings import KafkaSettings

PUBLIC = "public."
# Of an event whose contract does not say.
RETENTION_DAYS = 30


def internal(of: Descriptor) -> str:
    """The topic that the services read `of`'s events from."""
    package = of.full_name.rpartition(".")[0]
    return f"{package}.{contracts.event(of).entity}"


def topics_of(of: Descriptor) -> list[str]:
    """Every topic that an event goes to."""
    if contracts.event(of).visibility != options_pb2.VISIBILITY_PUBLIC:
        return [internal(of)]
    return [internal(of), public(of)]


def public(of: Descriptor) -> str:
    """The topic that partners read `of`'s events from, when they are public."""
    return PUBLIC + internal(of).removeprefix("administration.")


def dead(topic: str) -> str:
    """Where the dead letters of a topic's consumers go."""
    return f"{topic}.dead"


def retention_days() -> dict[str, int]:
    """Every topic that the contracts derive, and for how many days it keeps an event.

    A topic keeps what it holds as long as the event of it that asks for longest; dead letters are
    kept as long as what they were.
    """
    found: dict[str, int] = {}
    for of in (of for area in contracts.SERVICES for of in contracts.events(area)):
        days = contracts.event(of).retention_days or RETENTION_DAYS
        for topic in (*topics_of(of), dead(internal(of))):
            found[topic] = max(days, found.get(topic, 0))
    return found


def all_topics() -> list[str]:
    """Every topic that the contracts derive."""
    return sorted(retention_days())


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every Kafka client of the services is made with."""
    return {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": settings.username,
        "sasl_plain_password": settings.password.get_secret_value(),
        # kafka-python's 30 s would leave a client asleep for long after a broker has come back.
        "reconnect_backoff_max_ms": 1000,
        **({"ssl_cafile": str(settings.cafile)} if settings.cafile else {}),
    }


def answers(settings: KafkaSettings, seconds: float = 2.0) -> bool:
    """Whether a client that asks now is answered."""
    try:
        KafkaAdminClient(
            **client_options(settings), bootstrap_timeout_ms=int(seconds * 1000)
        ).close()
    except KafkaError:
        return False
    return True


def rules_about(
    kind: ResourceType, name: str | None = None, principal: str | None = None
) -> ACLFilter:
    """What finds Kafka's access rules on a kind of resource; of one name, of one principal."""
    return ACLFilter(
        principal=principal,
        host=None,
        operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ANY,
        resource_pattern=ResourcePatternFilter(kind, name, ACLResourcePatternType.ANY),
    )


def grant(settings: KafkaSettings, client_id: str, topic: str) -> None:
    """Lets a partner's client read a public topic, with consumer groups named `<client>.…`.

    Raises:
        ValueError: the topic is not one that partners can be granted.
        KafkaError: the broker refused a rule.
    """
    if topic not in all_topics() or not topic.startswith(PUBLIC):
        public = ", ".join(name for name in all_topics() if name.startswith(PUBLIC))
        raise ValueError(f"{topic} cannot be granted; public topics: {public}")
    admin = KafkaAdminClient(**client_options(settings))
    try:
        failed = admin.create_acls(partner_rules(client_id, topic))["failed"]
        if failed:
            raise failed[0]("Kafka refused an access rule")
    finally:
        admin.close()


def partner_rules(client_id: str, topic: str) -> list[ACL]:
    """What a client needs to read a topic, and no more."""
    literal, prefixed = ACLResourcePatternType.LITERAL, ACLResourcePatternType.PREFIXED
    topic_pattern = ResourcePattern(ResourceType.TOPIC, topic, literal)
    group_pattern = ResourcePattern(ResourceType.GROUP, f"{client_id}.", prefixed)
    rules = [
        (ACLOperation.READ, topic_pattern),
        (ACLOperation.DESCRIBE, topic_pattern),
        (ACLOperation.READ, group_pattern),
    ]
    return [
        ACL(
            principal=f"User:{client_id}",
            host="*",
            operation=operation,
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=pattern,
        )
        for operation, pattern in rules
    ]
