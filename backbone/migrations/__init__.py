"""Migrations: one Alembic environment for all services, the versions in each service's folder."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from backbone.settings import DatabaseSettings, load

ROOT = Path(__file__).resolve().parent
SERVICES = ROOT.parent.parent / "services"


def upgrade(service: str) -> None:
    """Brings a service's schema to its newest version, in one transaction.

    Raises:
        LookupError: the service has no migrations.
    """
    versions = SERVICES / service / "migrations"
    if not versions.is_dir():
        raise LookupError(f"`{service}` has no migrations ({versions.name}/ is missing)")
    config = Config()
    config.set_main_option("script_location", str(ROOT))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "os")
    engine = create_engine(load(DatabaseSettings).url.get_secret_value(), hide_parameters=True)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
