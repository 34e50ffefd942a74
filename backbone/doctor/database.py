"""``backbone doctor database``: PostgreSQL as a service finds it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backbone import migrations
from backbone.database import Transactions, open_database
from backbone.doctor.checks import Check, Missing, examine, tell
from backbone.settings import DatabaseSettings, load

SKEW = timedelta(seconds=5)


@dataclass(frozen=True)
class Asked:
    """A service's database."""

    service: str
    db: Transactions

    def value(self, query: str) -> str:
        with self.db.engine.connect() as connection:
            return str(connection.execute(text(query)).scalar_one())


def answers(asked: Asked) -> str:
    version = asked.value("SHOW server_version")
    return f"PostgreSQL {version} answers as {asked.value('SELECT current_user')}"


def at_head(asked: Asked) -> str:
    with asked.db.engine.connect() as connection:
        now, head = migrations.state(asked.service, connection)
    if now != head:
        raise Missing(f"the schema is at {now or 'nothing'}, the code expects {head}")
    return f"the schema is at {head}, as the code expects"


def same_clock(asked: Asked) -> str:
    with asked.db.engine.connect() as connection:
        before = datetime.now(UTC)
        told = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        after = datetime.now(UTC)
    # However long the question took.
    apart = max(before - told, told - after)
    if apart > SKEW:
        raise Missing(f"its clock differs from ours by {apart.total_seconds():.0f} s")
    return f"its clock is ours within {SKEW.total_seconds():.0f} s"


def room(asked: Asked) -> str:
    allowed, most = int(asked.value("SHOW max_connections")), 2 * load(DatabaseSettings).pool_size
    if allowed < most:
        raise Missing(f"it allows {allowed} connections, one process takes up to {most}")
    return f"it allows {allowed} connections, one process takes up to {most}"


def keeps(asked: Asked) -> str:
    off = [name for name in ("fsync", "full_page_writes") if asked.value(f"SHOW {name}") != "on"]
    if off or asked.value("SHOW synchronous_commit") == "off":
        raise Missing(f"what is committed may be lost: {', '.join(off) or 'synchronous_commit'}")
    return "what is committed is on its disk"


CHECKS = (
    Check("database", answers, "start PostgreSQL, or mend BACKBONE_DATABASE_URL", "the service"),
    Check("schema", at_head, "backbone migrate NAME, before the service starts", "the service"),
    Check("clock", same_clock, "keep both by NTP", "times of events, leases, expiry"),
    Check(
        "connections",
        room,
        "raise max_connections, or lower BACKBONE_DATABASE_POOL_SIZE",
        "as many calls at the same time",
    ),
    Check(
        "durability",
        keeps,
        "fsync, full_page_writes and synchronous_commit on",
        "no acknowledged deposit is lost",
    ),
)


def _words(error: Exception) -> str:
    # The driver's own words, without the statement.
    return str(getattr(error, "orig", None) or type(error).__name__).strip().replace("\n", " ")


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def database(name: str, as_json: bool) -> None:
    """Try the database of the service NAME, with its environment."""
    asked = Asked(name, open_database())
    try:
        tell(examine(CHECKS, asked, (SQLAlchemyError,), _words), as_json)
    finally:
        asked.db.engine.dispose()
