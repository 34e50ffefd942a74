"""Migrations: one Alembic environment for all services, the versions in each service's folder."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from backbone.settings import DatabaseSettings, load

ROOT = Path(__file__).resolve().parent
SERVICES = ROOT.parent.parent / "services"


def upgrade(service: str) -> None:
    """Brings a service's schema to its newest version, in one transaction.

    Raises:
        LookupError: the service has no migrations.
    """
    config = _config(service)
    engine = create_engine(load(DatabaseSettings).url.get_secret_value(), hide_parameters=True)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def state(service: str, connection: Connection) -> tuple[str, str]:
    """The version of a service's schema ("" for none), and the newest that the code has.

    Raises:
        LookupError: as above.
    """
    head = ScriptDirectory.from_config(_config(service)).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() or "", head or ""


def _config(service: str) -> Config:
    versions = SERVICES / service / "migrations"
    if not versions.is_dir():
        raise LookupError(f"`{service}` has no migrations ({versions.name}/ is missing)")
    config = Config()
    config.set_main_option("script_location", str(ROOT))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "os")
    return config
