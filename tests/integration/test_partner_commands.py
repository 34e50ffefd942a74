"""`backbone partner` on the real Keycloak and the real Kafka, with partners of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from administration.documents.v1.events_pb2 import DocumentShared
from administration.exchange.v1.exchange_pb2 import DisabledCause
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from keycloak import KeycloakAdmin
from pydantic import SecretStr

from backbone.events import envelope
from backbone.partners import configuration
from backbone.partners.access import KafkaAccess
from backbone.partners.partner import Partner, State
from backbone.partners.registry import KeycloakRegistry
from backbone.partners.settings import KeycloakAdminSettings
from backbone.settings import RealmSettings
from deploy.local import kafka_settings
from deploy.local.programs import KAFKA
from tests.support.kafka import internal_options, partner_options, producer
from tests.support.partner_conformance import TOPIC, AccessConformance, RegistryConformance
from tests.support.polling import eventually
from tests.support.processes import backbone
from tests.support.tables import Tables

ADMINISTRATION = "essai-sud"
Token = Callable[[str, str], str]


@pytest.fixture(scope="session")
def environment(stack: dict[str, Any]) -> dict[str, str]:
    """What an operator's shell has for `backbone partner`."""
    keycloak, kafka = stack["keycloak"], stack["kafka"]
    admin = KeycloakAdmin(
        server_url=keycloak["url"],
        username=keycloak["admin_username"],
        password=keycloak["admin_password"],
        realm_name=keycloak["realm"],
        user_realm_name="master",
    )
    key = admin.get_client_id("operator-tools")
    assert key, "the realm has no operator-tools: it is older than the realm as code"
    return {
        "BACKBONE_ISSUER": stack["issuer"],
        "BACKBONE_KAFKA_BOOTSTRAP": kafka["internal"],
        "BACKBONE_KAFKA_USERNAME": kafka["username"],
        "BACKBONE_KAFKA_PASSWORD": kafka["password"],
        "BACKBONE_KEYCLOAK_ADMIN_CLIENT_SECRET": admin.get_client_secrets(key)["value"],
        "BACKBONE_PARTNERS_BOOTSTRAP": kafka["partners"],
        "BACKBONE_PARTNERS_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    }


@pytest.fixture(scope="session")
def registry(environment: dict[str, str]) -> KeycloakRegistry:
    return KeycloakRegistry(
        RealmSettings(issuer=environment["BACKBONE_ISSUER"]),
        KeycloakAdminSettings(
            client_secret=SecretStr(environment["BACKBONE_KEYCLOAK_ADMIN_CLIENT_SECRET"])
        ),
    )


@pytest.fixture(scope="session")
def access(stack: dict[str, Any]) -> KafkaAccess:
    return KafkaAccess(kafka_settings(stack))


@pytest.fixture
def client_id() -> str:
    return f"partner-essai-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def token(stack: dict[str, Any]) -> Token:
    """The token that the realm gives for a client and its secret; empty when it refuses."""

    def ask(client_id: str, secret: str) -> str:
        answer = requests.post(
            f"{stack['issuer']}/protocol/openid-connect/token",
            data={"grant_type": "client_credentials"},
            auth=(client_id, secret),
            timeout=20,
        )
        assert answer.status_code in (200, 401)
        return str(answer.json().get("access_token", ""))

    return ask


class TestKeycloakRegistry(RegistryConformance):
    @pytest.fixture
    def accepts(self, token: Token) -> Callable[[str, str], bool]:
        return lambda client_id, secret: bool(token(client_id, secret))


class TestKafkaAccess(AccessConformance):
    pass


# ---- the command ----------------------------------------------------------------------------


class Operator:
    """A shell of an operator, and one partner."""

    def __init__(self, environment: dict[str, str], client_id: str, folder: Path) -> None:
        self.environment = os.environ | environment
        self.client_id = client_id
        self.parent = folder
        self.folder = folder / client_id
        self.config = self.folder / "partner.env"

    def partner(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        done = backbone(self.environment | changed, "partner", *arguments)
        assert "Traceback" not in done.stderr
        for name, value in self.environment.items():
            if name in ("BACKBONE_KAFKA_PASSWORD", "BACKBONE_KEYCLOAK_ADMIN_CLIENT_SECRET"):
                assert value not in done.stdout + done.stderr
        return done

    def add(self, *more: str, **changed: str) -> subprocess.CompletedProcess[str]:
        alias = self.client_id.removeprefix("partner-")
        place = ("--administration", ADMINISTRATION, "--topic", TOPIC, "--out", str(self.parent))
        return self.partner("add", alias, *place, *more, **changed)

    def check(self) -> tuple[int, dict[str, str]]:
        """The exit code, and the mark of each step."""
        done = self.partner("check", self.client_id, "--config", str(self.config))
        steps = [line for line in done.stdout.splitlines() if not line.startswith("    ")]
        return done.returncode, {line[2:].partition(":")[0]: line[0] for line in steps}

    @contextmanager
    def sample(self, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def operator(
    environment: dict[str, str],
    client_id: str,
    tmp_path: Path,
    registry: KeycloakRegistry,
    access: KafkaAccess,
    stack: dict[str, Any],
) -> Iterator[Operator]:
    yield Operator(environment, client_id, tmp_path)
    with KafkaAdminClient(**internal_options(stack)) as admin:
        admin.delete_groups([name for name in access.groups() if name.startswith(client_id)])
    registry.delete(client_id)
    access.revoke(client_id)
    access.limit(client_id, None)


def publish(stack: dict[str, Any], times: int = 1) -> str:
    """A valid event on the partners' topic, sent so many times; its `ce_id`."""
    event = DocumentShared(
        document_id=str(uuid.uuid4()), owner_id=str(uuid.uuid4()), administration=ADMINISTRATION
    )
    attributes = envelope.attributes(event, "/services/essai", f"{stack['gateway']}/schemas")
    with producer(stack) as out:
        for _ in range(times):
            out.send(
                TOPIC,
                key=event.document_id.encode(),
                value=envelope.encode_data(event),
                headers=envelope.headers(attributes),
            ).get(20)
    return attributes["id"]


def until(process: subprocess.Popen[str], event_id: str) -> list[str]:
    """The ids that a sample prints, up to this one."""
    assert process.stdout
    ids: list[str] = []
    while event_id not in ids:
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        ids.append(json.loads(line)["id"])
    return ids


def test_a_partner_from_its_registration_to_its_end(
    operator: Operator, stack: dict[str, Any]
) -> None:
    added = operator.add()
    assert added.returncode == 0, added.stderr
    secret = configuration.read(operator.config).client_secret
    assert added.stdout.count(secret) == 1
    code, steps = operator.check()
    assert (code, set(steps.values())) == (0, {"✓"}), steps
    assert {"token", "claims", "broker", "group", f"read {TOPIC}"} <= steps.keys()

    first = publish(stack, times=2)
    with operator.sample(sys.executable, "consumer.py") as sample:
        until(sample, first)
        second = publish(stack)
        assert first not in until(sample, second)
        revoked = operator.partner("revoke", operator.client_id)
        assert "within 120 s" in revoked.stdout
        revoked_at = time.monotonic()
        # For its topic, and not for its last token.
        assert sample.wait(timeout=60) == 1
        assert time.monotonic() - revoked_at < 10
        assert sample.stderr
        assert "TopicAuthorizationFailed" in sample.stderr.read()
    code, steps = operator.check()
    assert (code, steps["token"], steps["broker"]) == (1, "✗", "-")
    listed = operator.partner("list", "--json").stdout.splitlines()
    (row,) = [row for row in map(json.loads, listed) if row["client"] == operator.client_id]
    assert (row["state"], row["topics"]) == ("revoked", [])
    assert f"{operator.client_id}.sample" in row["groups"]


def test_the_java_sample_reads_what_was_granted(operator: Operator, stack: dict[str, Any]) -> None:
    java = shutil.which("java")
    assert java
    assert operator.add().returncode == 0
    publish(stack)
    command = (java, "-cp", KAFKA.home / "libs" / "*", "PartnerConsumer.java", "1")
    with operator.sample(*command) as sample:
        out, err = sample.communicate(timeout=120)
    assert sample.returncode == 0, err
    (line,) = out.splitlines()
    assert "type=administration.documents.v1.DocumentShared" in line


def test_a_rotated_secret_takes_the_place_of_the_old_one(operator: Operator, token: Token) -> None:
    operator.add()
    old = configuration.read(operator.config)
    rotated = operator.partner("rotate", operator.client_id)
    assert rotated.returncode == 0, rotated.stderr
    assert not token(old.client_id, old.client_secret)
    assert operator.check()[1]["token"] == "✗"
    operator.partner("rotate", operator.client_id, "--config", str(operator.config))
    assert operator.check()[0] == 0


def test_a_topic_taken_back_is_seen_by_the_check_and_can_be_granted_again(
    operator: Operator,
) -> None:
    operator.add()
    operator.partner("revoke", operator.client_id, TOPIC)
    code, steps = operator.check()
    assert (code, steps["token"], steps[f"read {TOPIC}"]) == (1, "✓", "✗")
    assert operator.partner("grant", operator.client_id, TOPIC).returncode == 0
    assert operator.check()[0] == 0


def test_adding_again_is_refused_and_changes_nothing(operator: Operator) -> None:
    operator.add()
    again = operator.add()
    assert again.returncode == 2
    assert "exists" in again.stderr
    assert operator.check()[0] == 0


def test_nothing_is_left_when_kafka_is_away(operator: Operator, registry: KeycloakRegistry) -> None:
    failed = operator.add(BACKBONE_KAFKA_BOOTSTRAP="127.0.0.1:1")
    assert failed.returncode == 2
    assert "BACKBONE_KAFKA_BOOTSTRAP" in failed.stderr
    assert registry.find(operator.client_id) is None
    assert not operator.folder.exists()


def test_what_was_interrupted_is_finished_by_running_it_again(
    operator: Operator, registry: KeycloakRegistry
) -> None:
    registry.create(Partner(operator.client_id, ADMINISTRATION, State.ADDING))
    assert operator.add().returncode == 0
    assert operator.check()[0] == 0


def test_who_is_revoked_has_no_webhook_either(
    operator: Operator, token: Token, gateway: httpx.Client, database: Tables
) -> None:
    operator.add()
    read = configuration.read(operator.config)
    given = {"Authorization": f"Bearer {token(read.client_id, read.client_secret)}"}
    webhook = {"topic": TOPIC, "url": "http://127.0.0.1:9/"}
    made = eventually(
        lambda: (
            answer
            if (answer := gateway.post("/v1/webhooks", json=webhook, headers=given)).is_success
            else None
        )
    ).json()["webhook"]
    assert made["state"] == "WEBHOOK_STATE_ACTIVE"
    revoked = operator.partner("revoke", operator.client_id)
    assert "webhooks" in revoked.stdout

    # No event of its topic is needed for it, and its last token is good for nothing more.
    def cause() -> int:
        (row,) = database.rows(
            "SELECT disabled_cause FROM exchange.webhooks WHERE webhook_id = %s", made["webhookId"]
        )
        return int(row["disabled_cause"])

    eventually(lambda: cause() == DisabledCause.DISABLED_CAUSE_REVOKED)

    def refused() -> bool:
        answer = gateway.get(f"/v1/webhooks/{made['webhookId']}", headers=given)
        return answer.status_code == 401 and answer.json()["reason"] == "ACCESS_ENDED"

    eventually(refused)


def test_nothing_is_left_when_the_folder_cannot_be_written(
    operator: Operator, registry: KeycloakRegistry, access: KafkaAccess
) -> None:
    operator.parent = operator.parent / "file"
    operator.parent.touch()
    failed = operator.add()
    assert failed.returncode == 2
    assert "cannot be written" in failed.stderr
    assert registry.find(operator.client_id) is None
    assert operator.client_id not in access.granted()
    assert operator.client_id not in access.limits()


# ---- what the broker does -------------------------------------------------------------------


@contextmanager
def reading(stack: dict[str, Any], token: str) -> Iterator[KafkaConsumer]:
    """A consumer that shows the same token for ever, from the end of the topic on."""
    consumer = KafkaConsumer(
        **partner_options(stack, lambda: token), enable_auto_commit=False, group_id=None
    )
    try:
        partitions = [TopicPartition(TOPIC, n) for n in consumer.partitions_for_topic(TOPIC) or ()]
        consumer.assign(partitions)
        consumer.seek_to_end(*partitions)
        for partition in partitions:
            consumer.position(partition)
        yield consumer
    finally:
        consumer.close()


def ids(consumer: KafkaConsumer, timeout_ms: int = 200) -> set[str]:
    batches = consumer.poll(timeout_ms=timeout_ms).values()
    headers = [dict(record.headers) for batch in batches for record in batch]
    return {header["ce_id"].decode() for header in headers}


def test_a_live_connection_ends_with_its_token(
    registry: KeycloakRegistry,
    access: KafkaAccess,
    client_id: str,
    stack: dict[str, Any],
    token: Token,
) -> None:
    """The broker's part alone: the topic stays granted, and the client insists."""
    # Long enough to connect and to read with it on a busy machine.
    lifetime = 20
    partner = Partner(client_id, ADMINISTRATION, token_seconds=lifetime)
    secret = registry.create(partner)
    try:
        access.grant(client_id, TOPIC)
        given = token(client_id, secret)
        ends = time.monotonic() + lifetime
        with reading(stack, given) as consumer:
            seen = publish(stack)
            eventually(lambda: seen in ids(consumer), within=lifetime)
            registry.update(Partner(client_id, ADMINISTRATION, State.REVOKED))
            eventually(lambda: time.monotonic() > ends + 1 or ids(consumer) is None, 2 * lifetime)
            unseen = publish(stack)
            late = time.monotonic() + 4
            while time.monotonic() < late:
                assert unseen not in ids(consumer)
    finally:
        registry.delete(client_id)
        access.revoke(client_id)


def test_a_partner_that_reads_too_fast_is_throttled(
    operator: Operator, stack: dict[str, Any], token: Token
) -> None:
    operator.add("--byte-rate", "1024")
    for _ in range(10):
        publish(stack)
    read = configuration.read(operator.config)
    with reading(stack, token(read.client_id, read.client_secret)) as consumer:

        def throttled() -> bool:
            consumer.seek_to_beginning()
            consumer.poll(timeout_ms=100)
            # kafka-python makes its metrics on its own thread, as connections are made.
            told = consumer.metrics().get("consumer-metrics", {})
            return float(told.get("throttle-time-max", 0.0)) > 0

        eventually(throttled)


def test_the_operators_client_sees_nobody_s_account(
    environment: dict[str, str], stack: dict[str, Any], token: Token
) -> None:
    given = token("operator-tools", environment["BACKBONE_KEYCLOAK_ADMIN_CLIENT_SECRET"])
    admin = f"{stack['keycloak']['url']}/admin/realms/{stack['keycloak']['realm']}"
    headers = {"Authorization": f"Bearer {given}"}
    statuses = {
        path: requests.get(f"{admin}/{path}", headers=headers, timeout=20).status_code
        for path in ("clients", "users", "roles/admin", "events")
    }
    assert statuses == {"clients": 200, "users": 403, "roles/admin": 403, "events": 403}


def test_a_sample_that_is_asked_to_stop_leaves_in_order(
    operator: Operator, stack: dict[str, Any]
) -> None:
    operator.add()
    event_id = publish(stack)
    with operator.sample(sys.executable, "consumer.py") as sample:
        until(sample, event_id)
        sample.send_signal(signal.SIGTERM)
        assert sample.wait(timeout=60) == 0
