"""`backbone topics` on the real Kafka: says what it would change, does it, and then has nothing."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from backbone.events import topics
from backbone.partners.access import KafkaAccess
from deploy.local import kafka_settings
from tests.support.kafka import internal_options
from tests.support.polling import eventually
from tests.support.processes import backbone

# Nobody reads or writes them here: what is done to them disturbs no service.
MISSING = "administration.notifications.v1.Delivery.dead"
SMALL = "administration.exchange.v1.Webhook.dead"
CHANGED = "administration.notifications.v1.Delivery"
PUBLIC = "public.documents.v1.Document"


class Operator:
    """A shell with the environment of `backbone topics`."""

    def __init__(self, stack: dict[str, Any]) -> None:
        kafka = stack["kafka"]
        self._environment = {
            "BACKBONE_KAFKA_BOOTSTRAP": kafka["internal"],
            "BACKBONE_KAFKA_USERNAME": kafka["username"],
            "BACKBONE_KAFKA_PASSWORD": kafka["password"],
        }

    def topics(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return backbone(self._environment | changed, "topics", *arguments)

    def planned(self) -> set[tuple[str, str, str]]:
        """What `plan` would do, of the subjects of these tests."""
        done = self.topics("plan", "--json")
        assert done.returncode in (0, 2), done.stderr
        lines = map(json.loads, done.stdout.splitlines())
        return {(line["action"], line["subject"], line["setting"]) for line in lines}


@pytest.fixture
def operator(stack: dict[str, Any]) -> Iterator[Operator]:
    opened = Operator(stack)
    yield opened
    # Whatever a test left undone.
    opened.topics("apply")


@pytest.fixture
def admin(stack: dict[str, Any]) -> Iterator[KafkaAdminClient]:
    with KafkaAdminClient(**internal_options(stack)) as opened:
        yield opened


@pytest.fixture
def client(stack: dict[str, Any]) -> Iterator[str]:
    """A partner's client that Kafka alone knows."""
    name, access = f"partner-essai-{uuid.uuid4().hex[:12]}", KafkaAccess(kafka_settings(stack))
    yield name
    access.revoke(name)


def test_a_plan_is_done_once_and_then_there_is_nothing_to_do(
    operator: Operator, admin: KafkaAdminClient, client: str
) -> None:
    admin.delete_topics([MISSING, SMALL])
    eventually(lambda: not {MISSING, SMALL} & set(admin.list_topics()))
    admin.create_topics({SMALL: {"num_partitions": 1, "replication_factor": 1}})
    short = ConfigResource(ConfigResourceType.TOPIC, CHANGED, {"retention.ms": "3600000"})
    admin.alter_configs([short])
    admin.create_acls(topics.partner_rules(client, PUBLIC)[:1])
    wanted = {
        ("create", MISSING, "topic"),
        ("partitions", SMALL, "partitions"),
        ("configure", SMALL, "retention.ms"),
        ("configure", CHANGED, "retention.ms"),
        ("allow", client, f"DESCRIBE of {PUBLIC}"),
        ("allow", client, f"READ of {client}."),
    }
    # What was just written takes a moment to be told.
    eventually(lambda: operator.planned() == wanted, what=str(wanted))

    planned = operator.topics("plan")
    assert planned.returncode == 2, planned.stderr
    assert "3600000 (0.0416667 days)" in planned.stdout
    assert "604800000 (7 days)" in planned.stdout
    assert f"{SMALL}, partitions: keys move" in planned.stdout
    assert MISSING not in admin.list_topics()

    applied = operator.topics("apply")
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout == planned.stdout + "topics: done\n"
    assert MISSING in admin.list_topics()
    (small,) = admin.describe_topics([SMALL])
    assert len(small["partitions"]) == 6
    for command in ("plan", "apply"):
        again = operator.topics(command)
        nothing = f"topics: nothing to do, {len(topics.all_topics())} in all\n"
        assert (again.returncode, again.stdout) == (0, nothing)


def test_fewer_partitions_are_told_and_are_nothing_to_do(operator: Operator) -> None:
    done = operator.topics("plan", BACKBONE_KAFKA_PARTITIONS="3")
    assert done.returncode == 0, done.stdout
    assert f"{PUBLIC}, partitions: Kafka takes no partition away" in done.stdout


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_broker_that_is_away_is_no_plan(operator: Operator, command: str) -> None:
    done = operator.topics(command, BACKBONE_KAFKA_BOOTSTRAP="127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "BACKBONE_KAFKA_BOOTSTRAP" in done.stderr
    assert "Traceback" not in done.stderr
