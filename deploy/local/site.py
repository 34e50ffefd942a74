"""What differs from one machine to the next: the ports and the secrets."""

import base64
import json
import os
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

from deploy.local.errors import StackError
from deploy.local.paths import SECRETS, write_private

HOST = "127.0.0.1"

PORTS: Mapping[str, int] = {
    "postgres": 15432,
    "kafka": 19092,
    "kafka_controller": 19093,
    "kafka_partners": 19094,
    "keycloak": 18080,
    "keycloak_management": 19000,
    "minio": 19100,
    "smtp": 11025,
    "collector": 14318,
    "authority": 13161,
    "clamd": 13310,
    "gateway": 8000,
    "identity": 15051,
    "documents": 15052,
    "notifications": 15053,
    "exchange": 15054,
    "gateway_ops": 16050,
    "identity_ops": 16051,
    "documents_ops": 16052,
    "notifications_ops": 16053,
    "exchange_ops": 16054,
}

SECRET_NAMES = (
    "postgres",
    "postgres_keycloak",
    "postgres_identity",
    "postgres_documents",
    "postgres_notifications",
    "postgres_exchange",
    "kafka",
    "kafka_controller",
    "keycloak_admin",
    "minio_root",
    "minio_documents",
    "minio_kms",
    "receipts_key",
    "identity_signing",
    "keyring_master",
    "client_identity",
    "client_documents",
    "client_notifications",
    "client_exchange",
    "client_gateway",
    "client_partner_caf",
    "client_partner_octroi",
    "password_citizen",
    "password_stranger",
    "password_agent",
    "password_admin",
)


@dataclass(frozen=True)
class Site:
    """The ports and secrets of this machine's stack."""

    ports: Mapping[str, int]
    secrets: Mapping[str, str]

    def address(self, name: str) -> str:
        """`host:port` of the listener called `name` in `PORTS`."""
        return f"{HOST}:{self.ports[name]}"

    def url(self, name: str, path: str = "") -> str:
        """The plain HTTP address of the listener called `name`."""
        return f"http://{self.address(name)}{path}"

    @property
    def issuer(self) -> str:
        """The realm, as tokens name it."""
        return self.url("keycloak", "/realms/administration")


def load_site(environment: Mapping[str, str] = os.environ) -> Site:
    """This machine's site: ports from `environment`, secrets made the first time and kept."""
    return Site(ports_from(environment), load_secrets())


def ports_from(environment: Mapping[str, str]) -> dict[str, int]:
    """The default ports, each replaced by `BACKBONE_PORT_<NAME>` where that is set; no port may
    serve twice.
    """
    ports: dict[str, int] = {}
    for name, default in PORTS.items():
        variable = f"BACKBONE_PORT_{name.upper()}"
        value = environment.get(variable, str(default))
        if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
            raise StackError(f"{variable}={value!r} is not a port", "give a number from 1 to 65535")
        for other, taken in ports.items():
            if taken == int(value):
                raise StackError(
                    f"port {value} is given to both {other} and {name}",
                    f"set BACKBONE_PORT_{other.upper()} or {variable} to another one",
                )
        ports[name] = int(value)
    return ports


def load_secrets() -> dict[str, str]:
    """The generated secrets; one that is new in `SECRET_NAMES` is added, one that exists never
    changes.
    """
    known: dict[str, str] = json.loads(SECRETS.read_text()) if SECRETS.exists() else {}
    missing = [name for name in SECRET_NAMES if name not in known]
    if missing:
        known |= {name: _generate(name) for name in missing}
        write_private(SECRETS, json.dumps(known, indent=2) + "\n")
    return known


def _generate(name: str) -> str:
    if name == "minio_kms":  # MinIO asks for a key name and 32 bytes
        return "backbone:" + base64.b64encode(secrets.token_bytes(32)).decode()
    # Ed25519 private keys (RFC 8032), and one of AES-256
    if name in ("receipts_key", "identity_signing", "keyring_master"):
        return base64.b64encode(secrets.token_bytes(32)).decode()
    if name.startswith("password_"):  # typed by hand at the sign-in page
        return secrets.token_hex(8)
    return secrets.token_urlsafe(24)


def refuse_busy_ports(site: Site, names: Iterable[str]) -> None:
    """Raise StackError naming every port of `names` that another program listens on, and that
    program.
    """
    busy = [name for name in names if _taken(site.ports[name])]
    if busy:
        raise StackError(
            "\n".join(
                f"port {site.ports[n]} ({n}) is taken by {_owner(site.ports[n])}" for n in busy
            ),
            "stop that program, or choose another port: "
            + " ".join(f"BACKBONE_PORT_{name.upper()}=…" for name in busy),
        )


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do it: connections that a stopped server left in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _owner(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == "LISTEN":
                if connection.pid is None:
                    break
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f"process {connection.pid} ({command[:100]})"
    except psutil.Error:  # another user's process, or one that has just ended
        return "a process that this user may not see"
    return "a process that this user may not see"
