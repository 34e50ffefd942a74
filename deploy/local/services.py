"""The services of the backbone: their environment, and what is done before they start."""

import os
import subprocess

from deploy.local import authority, kafka, minio, postgres
from deploy.local.errors import StackError
from deploy.local.install import tail
from deploy.local.paths import LOCAL, LOG, ROOT
from deploy.local.site import HOST, Site

BACKBONE = LOCAL / "venv" / "bin" / "backbone"
SERVICES = ("identity", "documents", "notifications", "exchange")
GATEWAY = "gateway"


def environment(site: Site, name: str) -> dict[str, str]:
    """Everything that `backbone serve NAME` reads."""
    common = {
        "BACKBONE_KAFKA_BOOTSTRAP": site.address("kafka"),
        "BACKBONE_KAFKA_USERNAME": kafka.USER,
        "BACKBONE_KAFKA_PASSWORD": site.secrets["kafka"],
        "BACKBONE_ISSUER": site.issuer,
        "BACKBONE_CLIENT_ID": name,
        "BACKBONE_CLIENT_SECRET": site.secrets[f"client_{name}"],
        "BACKBONE_OPS_LISTEN": site.address(f"{name}_ops"),
        **{f"BACKBONE_{other.upper()}_ADDRESS": site.address(other) for other in SERVICES},
        "BACKBONE_PUBLIC_URL": site.url(GATEWAY),
        "BACKBONE_OTLP_ENDPOINT": site.url("collector"),
        # Every request can be looked at here; production keeps the default, a tenth.
        "BACKBONE_TRACE_RATIO": "1",
    }
    if name == GATEWAY:
        return common | {
            "BACKBONE_HTTP_LISTEN": site.address(GATEWAY),
            "BACKBONE_CORS_ORIGINS": site.url(GATEWAY),
            "BACKBONE_KAFKA_PUBLIC_ADDRESS": site.address("kafka_partners"),
        }
    own = {
        "BACKBONE_GRPC_LISTEN": site.address(name),
        "BACKBONE_DATABASE_URL": postgres.service_url(site, name),
    }
    if name == "identity":
        own |= {
            "BACKBONE_IDENTITY_SIGNING_KEYS": site.secrets["identity_signing"],
            "BACKBONE_KEYRING_MASTER_KEYS": site.secrets["keyring_master"],
        }
    if name == "documents":
        own |= {
            "BACKBONE_STORAGE_ENDPOINT": site.address("minio"),
            "BACKBONE_STORAGE_ACCESS_KEY": minio.USER,
            "BACKBONE_STORAGE_SECRET_KEY": site.secrets["minio_documents"],
            "BACKBONE_STORAGE_BUCKET": minio.BUCKET,
            "BACKBONE_STORAGE_SECURE": "false",
            "BACKBONE_RECEIPTS_ORIGIN": f"{site.address(GATEWAY)}/receipts",
            "BACKBONE_RECEIPTS_KEY": site.secrets["receipts_key"],
            "BACKBONE_RECEIPTS_TSA_URL": site.url("authority"),
            "BACKBONE_RECEIPTS_TSA_CAFILE": str(authority.ROOT_CERTIFICATE),
            "BACKBONE_ANTIVIRUS_ADDRESS": site.address("clamd"),
        }
    if name == "notifications":
        own |= {"BACKBONE_SMTP_HOST": HOST, "BACKBONE_SMTP_PORT": str(site.ports["smtp"])}
    if name == "exchange":
        # A partner's endpoint is on this machine, as everything is.
        own |= {
            "BACKBONE_WEBHOOK_ALLOW_HTTP": "true",
            "BACKBONE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
    return common | own


def command(name: str) -> tuple[str, ...]:
    """The service, in the foreground."""
    return (str(BACKBONE), "serve", name)


def migrate(site: Site) -> None:
    """Bring every schema to what the code expects."""
    for name in SERVICES:
        _run(site, name, "migrate", name)


def apply_topics(site: Site) -> None:
    """Make the topics that the contracts derive, and grant the demo's one partner what it reads."""
    _run(site, "identity", "topics", "apply")
    _run(site, "identity", "topics", "grant", "partner-caf", "public.documents.v1.Document")


def _run(site: Site, service: str, *arguments: str) -> None:
    """Run a command of `backbone` with a service's environment, its words kept in
    `.local/log/provision.log`.
    """
    if not BACKBONE.exists():
        raise StackError(f"{BACKBONE} is missing", "install the project first: `make up` does")
    log_path = LOG / f"{arguments[0]}.log"
    with log_path.open("a") as log:
        done = subprocess.run(
            (str(BACKBONE), *arguments),
            cwd=ROOT,
            env=os.environ | environment(site, service),
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise StackError(
            f"`backbone {' '.join(arguments)}` returned {done.returncode}:\n{tail(log_path)}",
            f"see {log_path}; mend it, then run the same again",
        )
