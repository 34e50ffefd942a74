"""What a running stack looks like: `.local/stack.json` for machines, a page for people."""

import json
from typing import Any

from minio import Minio

from backbone.settings import KafkaSettings
from deploy.keycloak import development_realm
from deploy.local import authority, kafka, keycloak, minio, postgres, services
from deploy.local.errors import StackError
from deploy.local.paths import LOG, MAILBOX, STACK, write_private
from deploy.local.site import Site

ACCOUNTS = {"citizen": "josephine", "stranger": "stranger", "agent": "agent", "admin": "admin"}
PARTNERS = ("partner-caf", "partner-octroi")
Stack = dict[str, Any]


def kafka_settings(stack: Stack) -> KafkaSettings:
    """How a running stack's Kafka is reached, for what has no environment of its own."""
    told = stack["kafka"]
    return KafkaSettings(
        bootstrap=told["internal"], username=told["username"], password=told["password"]
    )


def storage_operator(stack: Stack) -> Minio:
    """The client of the operator of a running stack's object store, who may do anything there."""
    told = stack["storage"]
    return Minio(
        endpoint=told["endpoint"],
        access_key=told["root_access_key"],
        secret_key=told["root_secret_key"],
        secure=False,
    )


def describe(site: Site, processes: dict[str, int]) -> Stack:
    """Every address, account, client and process id."""
    names = (*services.SERVICES, services.GATEWAY)
    return {
        "gateway": site.url("gateway"),
        "issuer": site.issuer,
        "keycloak": {
            "url": site.url("keycloak"),
            "realm": "administration",
            "admin_username": keycloak.ADMIN,
            "admin_password": site.secrets["keycloak_admin"],
        },
        "kafka": {
            "internal": site.address("kafka"),
            "partners": site.address("kafka_partners"),
            "username": kafka.USER,
            "password": site.secrets["kafka"],
        },
        "postgres": {
            "url": postgres.admin_url(site, postgres.DATABASE),
            "databases": {name: postgres.service_url(site, name) for name in postgres.SCHEMAS},
        },
        "storage": {
            "endpoint": site.address("minio"),
            "access_key": minio.USER,
            "secret_key": site.secrets["minio_documents"],
            "bucket": minio.BUCKET,
            "root_access_key": minio.ROOT_USER,
            "root_secret_key": site.secrets["minio_root"],
        },
        "smtp": site.address("smtp"),
        "mailbox": str(MAILBOX),
        "collector": site.url("collector"),
        "antivirus": site.address("clamd"),
        "authority": {"url": site.url("authority"), "root": str(authority.ROOT_CERTIFICATE)},
        "logs": str(LOG),
        "services": {name: _service(site, name) for name in names},
        "accounts": _accounts(site),
        "clients": _clients(site),
        "processes": processes,
    }


def save(stack: Stack) -> None:
    """Write `.local/stack.json`, for this user alone."""
    write_private(STACK, json.dumps(stack, indent=2, ensure_ascii=False) + "\n")


def load() -> Stack:
    """The stack as `up` left it; StackError when there is none."""
    if not STACK.exists():
        raise StackError("the local stack is not up", "make up")
    stack: Stack = json.loads(STACK.read_text())
    return stack


def for_people(stack: Stack) -> str:
    """The page that `up` ends with."""
    where = {
        "API": stack["gateway"],
        "Keycloak": f"{stack['keycloak']['url']}/admin  {stack['keycloak']['admin_username']} / "
        f"{stack['keycloak']['admin_password']}",
        "Kafka": "{internal} (SCRAM)  {partners} (partners' tokens)".format(**stack["kafka"]),
        "PostgreSQL": stack["postgres"]["url"],
        "MinIO": f"http://{stack['storage']['endpoint']}  bucket {stack['storage']['bucket']}",
        "Mail": f"{stack['smtp']} → {stack['mailbox']}",
        "Traces": f"{stack['collector']}/traces/{{trace_id}}",
        "Logs": stack["logs"],
    }
    lines = [f"  {name:<11}{value}" for name, value in where.items()]
    lines += ["", "  Accounts of the development realm"]
    for role, account in stack["accounts"].items():
        lines.append(
            f"  {role:<11}{account['username']:<11}{account['password']}  {account['name']}"
        )
    lines += ["", f"  Clients, secrets and process ids: {STACK}"]
    return "\n".join(lines)


def _service(site: Site, name: str) -> dict[str, Any]:
    return {
        "grpc": None if name == services.GATEWAY else site.address(name),
        "ops": site.url(f"{name}_ops"),
        "environment": services.environment(site, name),
    }


def _realm(site: Site) -> dict[str, Any]:
    return development_realm(keycloak.realm_values(site))


def _accounts(site: Site) -> dict[str, Any]:
    users = {user["username"]: user for user in _realm(site)["users"]}
    return {
        role: {
            "username": username,
            "password": site.secrets[f"password_{role}"],
            "name": f"{users[username]['firstName']} {users[username]['lastName']}",
            "email": users[username]["email"],
        }
        for role, username in ACCOUNTS.items()
    }


def _clients(site: Site) -> dict[str, Any]:
    """Each client of the realm: its id, and its secret or redirect URI or administration where it
    has one.
    """
    clients: dict[str, Any] = {}
    for client in _realm(site)["clients"]:
        entry = {"client_id": client["clientId"]}
        if "secret" in client:
            entry["client_secret"] = client["secret"]
        if client.get("redirectUris"):
            entry["redirect_uri"] = client["redirectUris"][0]
        for mapper in client.get("protocolMappers", ()):
            if mapper["name"] == "administration":
                entry["administration"] = mapper["config"]["claim.value"]
        clients[client["clientId"]] = entry
    return clients
