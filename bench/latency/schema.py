"""A role and a schema of the bench's own, so that no service's tables are touched."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.orm import Mapped, mapped_column

from backbone.database import Base
from backbone.events import tables
from bench.stack import Stack

NAME = "bench"


class EffectRow(Base):
    """What the handler of an event leaves."""

    __tablename__ = "effects"

    position: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]


@contextmanager
def prepared(stack: Stack) -> Iterator[str]:
    """The URL of a fresh schema with the tables of events, dropped at the end."""
    admin = stack["postgres"]["url"]
    where, password = urlsplit(admin), secrets.token_urlsafe(24)
    _drop(admin)
    name = sql.Identifier(NAME)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password))
        )
        connection.execute(sql.SQL("CREATE SCHEMA {0} AUTHORIZATION {0}").format(name))
        database = sql.Identifier(where.path[1:])
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, name))
    url = f"postgresql+psycopg://{NAME}:{password}@{where.hostname}:{where.port}{where.path}"
    try:
        engine = create_engine(url)
        with engine.begin() as connection_:
            tables.create(connection_)
            tables.create_parked(connection_)
            Base.metadata.tables[EffectRow.__tablename__].create(connection_)
        engine.dispose()
        yield url
    finally:
        _drop(admin)


def _drop(admin: str) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (NAME,)
        )
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (NAME,)).fetchone():
            name = sql.Identifier(NAME)
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))
