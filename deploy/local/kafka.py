"""Kafka: one KRaft broker that is its own controller.

| listener   | who                     | how they prove it                        |
| ---------- | ----------------------- | ---------------------------------------- |
| INTERNAL   | the services            | SCRAM-SHA-512, the user `backbone`       |
| PARTNERS   | partner administrations | OAUTHBEARER: a token of the realm, whose |
|            |                         | client (`azp`) is what the ACLs name     |
| CONTROLLER | the broker itself       | PLAIN                                    |

Whatever no ACL allows is refused, except to the two internal users.
"""

import shutil
import subprocess
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.local.errors import StackError
from deploy.local.paths import DATA, RUN, write_private
from deploy.local.programs import KAFKA
from deploy.local.site import Site

USER = "backbone"
AUDIENCE = "backbone"
DATA_FOLDER = DATA / "kafka"
CONFIGURATION = RUN / "kafka.properties"
LOGGING = Path(__file__).with_name("kafka-log4j2.properties")
CLUSTER = "YmFja2JvbmUtbG9jYWwtMQ"  # 16 bytes, base64: a local cluster needs no other name


def command(site: Site) -> tuple[str, ...]:
    """The broker, in the foreground. It may fetch the realm's keys, and nothing else."""
    return (
        *_java(),
        "-Xms256m",
        "-Xmx512m",
        f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={_keys(site)}",
        "kafka.Kafka",
        str(CONFIGURATION),
    )


def prepare(site: Site) -> None:
    """Write the configuration, and format the data folder the first time."""
    write_private(CONFIGURATION, properties(site))
    if (DATA_FOLDER / "meta.properties").exists():
        return
    # Formatting writes this user into the metadata log: it is there before the broker first
    # listens.
    scram = f"SCRAM-SHA-512=[name={USER},password={site.secrets['kafka']}]"
    command = (
        *_java(),
        "kafka.tools.StorageTool",
        "format",
        "--standalone",
        "--cluster-id",
        CLUSTER,
        "--config",
        str(CONFIGURATION),
        "--add-scram",
        scram,
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stdout + done.stderr).replace(site.secrets["kafka"], "…").strip()
        raise StackError(
            f"formatting Kafka's data folder failed: {words}",
            f"remove {DATA_FOLDER}, then run again",
        )


def healthy(site: Site) -> str | None:
    """Healthy when the internal user is let in and the broker knows itself."""
    try:
        client = KafkaAdminClient(
            bootstrap_servers=site.address("kafka"),
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=USER,
            sasl_plain_password=site.secrets["kafka"],
            request_timeout_ms=5_000,
            bootstrap_timeout_ms=2_000,
        )
        try:
            client.describe_cluster()
        finally:
            client.close()
    except KafkaError as error:
        return str(error)
    return None


def properties(site: Site) -> str:
    """The broker's settings, as its file writes them."""
    controller = site.secrets["kafka_controller"]
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
    oauth = "org.apache.kafka.common.security.oauthbearer"
    listeners = ",".join(
        f"{name}://{site.address(port)}"
        for name, port in (
            ("INTERNAL", "kafka"),
            ("PARTNERS", "kafka_partners"),
            ("CONTROLLER", "kafka_controller"),
        )
    )
    settings = {
        "node.id": "1",
        "process.roles": "broker,controller",
        "controller.quorum.bootstrap.servers": site.address("kafka_controller"),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "INTERNAL",
        "listeners": listeners,
        "listener.security.protocol.map": ",".join(
            f"{name}:SASL_PLAINTEXT" for name in ("INTERNAL", "PARTNERS", "CONTROLLER")
        ),
        "log.dirs": str(DATA_FOLDER),
        # who may enter
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.internal.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.internal.scram-sha-512.sasl.jaas.config": (
            f'{scram} required username="{USER}" password="{site.secrets["kafka"]}";'
        ),
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": (
            f'{plain} required username="controller" password="{controller}" '
            f'user_controller="{controller}";'
        ),
        "listener.name.partners.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.partners.oauthbearer.sasl.jaas.config": (
            f"{oauth}.OAuthBearerLoginModule required ;"
        ),
        "listener.name.partners.oauthbearer.sasl.server.callback.handler.class": (
            f"{oauth}.OAuthBearerValidatorCallbackHandler"
        ),
        "listener.name.partners.sasl.oauthbearer.jwks.endpoint.url": _keys(site),
        "listener.name.partners.sasl.oauthbearer.expected.issuer": site.issuer,
        "listener.name.partners.sasl.oauthbearer.expected.audience": AUDIENCE,
        "listener.name.partners.sasl.oauthbearer.sub.claim.name": "azp",
        # A connection outlives its token by nothing: the client shows a new one, or is let go.
        "listener.name.partners.oauthbearer.connections.max.reauth.ms": "3600000",
        # what they may do
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{USER};User:controller",
        "allow.everyone.if.no.acl.found": "false",
        "auto.create.topics.enable": "false",
        # one broker
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # The default of fifty partitions is fifty folders to open at each start.
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.num.partitions": "8",
        # Nobody else will join: no reason to wait for them.
        "group.initial.rebalance.delay.ms": "0",
        # A broker that was killed may come back once its session has ended: by default in 9 s.
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "4000",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _keys(site: Site) -> str:
    return f"{site.issuer}/protocol/openid-connect/certs"


def _java() -> tuple[str, ...]:
    return (
        shutil.which("java") or "java",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Dlog4j2.configurationFile={LOGGING}",
        "-cp",
        str(KAFKA.home / "libs" / "*"),
    )
