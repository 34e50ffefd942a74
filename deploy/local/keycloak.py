"""Keycloak: the realm of `deploy/keycloak`, imported the first time, kept in PostgreSQL."""

import hashlib
import json
import shutil
from collections.abc import Mapping

from pydantic import SecretStr

from backbone.realm.code import importable
from backbone.realm.compare import plan
from backbone.realm.live import LiveRealm
from backbone.realm.settings import RealmAdminSettings
from backbone.settings import RealmSettings
from deploy.keycloak import development_realm
from deploy.local.paths import DATA, write_private
from deploy.local.programs import KEYCLOAK
from deploy.local.site import HOST, Site

ADMIN = "operator"
IMPORT = KEYCLOAK.home / "data" / "import" / "administration-realm.json"
IMPORTED = DATA / "realm.sha256"

# What `kc.sh` passes, less its garbage collector (the serial one is lighter on two cores) and its
# shell: the supervisor's child is then the server itself, and killing the one kills the other.
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:MetaspaceSize=96M",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Djava.security.egd=file:/dev/urandom",
    "-Duser.language=en",
    "-Duser.country=US",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
)


def command() -> tuple[str, ...]:
    """The server, in the foreground, as `kc.sh build` left it."""
    home = KEYCLOAK.home
    return (
        shutil.which("java") or "java",
        *JAVA_OPTIONS,
        f"-Dkc.home.dir={home}",
        f"-Djboss.server.config.dir={home / 'conf'}",
        "-cp",
        str(home / "lib" / "quarkus-run.jar"),
        "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        "start",
        "--optimized",
        "--import-realm",
    )


def environment(site: Site) -> dict[str, str]:
    """The settings that differ between deployments, and the first administrator."""
    return {
        "KC_DB_URL": f"jdbc:postgresql://{site.address('postgres')}/keycloak",
        "KC_DB_USERNAME": "keycloak",
        "KC_DB_PASSWORD": site.secrets["postgres_keycloak"],
        "KC_DB_POOL_MAX_SIZE": "30",
        "KC_HTTP_ENABLED": "true",
        "KC_HTTP_HOST": HOST,
        "KC_HTTP_PORT": str(site.ports["keycloak"]),
        "KC_HTTP_MANAGEMENT_HOST": HOST,
        "KC_HTTP_MANAGEMENT_PORT": str(site.ports["keycloak_management"]),
        "KC_HOSTNAME": site.url("keycloak"),
        "KC_CACHE": "local",
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": site.secrets["keycloak_admin"],
    }


def prepare(site: Site) -> None:
    """Lay the realm where the server imports it from; one that it already has stays as it is."""
    realm = _importable(site)
    write_private(IMPORT, realm)
    if not IMPORTED.exists():
        write_private(IMPORTED, _mark(realm))


def provision(site: Site) -> None:
    """Bring a realm that is older than the code back to it, as `backbone realm apply` does; its
    accounts stay.
    """
    if not realm_is_stale(site):
        return
    live = LiveRealm(
        RealmSettings(issuer=site.issuer),
        RealmAdminSettings(username=ADMIN, password=SecretStr(site.secrets["keycloak_admin"])),
    )
    for drift in list(plan(live, development_realm(realm_values(site)))):
        if not drift.unknown:
            drift.mend()
    write_private(IMPORTED, _mark(_importable(site)))


def realm_is_stale(site: Site) -> bool:
    """True when the realm as code is no longer the one that was imported, or brought back."""
    return IMPORTED.exists() and IMPORTED.read_text() != _mark(_importable(site))


def _importable(site: Site) -> str:
    realm = importable(development_realm(realm_values(site)))
    return json.dumps(realm, ensure_ascii=False, indent=2)


def _mark(realm: str) -> str:
    return hashlib.sha256(realm.encode()).hexdigest()


def realm_values(site: Site) -> Mapping[str, str]:
    """What stands for each `${BACKBONE_…}` of the realm's files."""
    secrets = site.secrets
    return {
        "BACKBONE_PORTAL_REDIRECT_URI": redirect_uri(site),
        "BACKBONE_SMTP_HOST": HOST,
        "BACKBONE_SMTP_PORT": str(site.ports["smtp"]),
        **{
            f"BACKBONE_CLIENT_SECRET_{name.removeprefix('client_').upper()}": value
            for name, value in secrets.items()
            if name.startswith("client_")
        },
        **{
            f"BACKBONE_{name.upper()}": value
            for name, value in secrets.items()
            if name.startswith("password_")
        },
    }


def redirect_uri(site: Site) -> str:
    """Where the portal gets its authorization code."""
    return site.url("gateway", "/callback")
