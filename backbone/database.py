"""PostgreSQL for a service: ``db = Database()``, then ``with self.db.transaction() as session``.

A service connects with its own role, whose schema has the same name: PostgreSQL's default search
path finds it, and no service can read another's tables.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider, SharedExtension
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry

from backbone.settings import DatabaseSettings, load

# libpq's: a database whose host vanished is found out within ten seconds, not in two hours.
_KEEPALIVE = {
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 5,
    "tcp_user_timeout": 10_000,
}
# Idle for less, a connection is taken for alive.
TRUSTED_SECONDS = 0.5
_USED = "backbone.used"
_AFTER_COMMIT = "backbone.after_commit"
_current: ContextVar[Session | None] = ContextVar("session", default=None)


class Base(DeclarativeBase):
    """Parent of every service's tables."""


def current_session() -> Session:
    """The session of the transaction that is open on this thread.

    Raises:
        RuntimeError: none is; wrap the caller in ``with self.db.transaction()``.
    """
    session = _current.get()
    if session is None:
        raise RuntimeError("this needs an open transaction: `with self.db.transaction():`")
    return session


def after_commit(callback: Callable[[], None]) -> None:
    """Calls `callback` once the open transaction has committed, however often it was asked for;
    never if it rolls back.

    For wake-ups only: what must happen belongs in the transaction.
    """
    callbacks = current_session().info.setdefault(_AFTER_COMMIT, [])
    if callback not in callbacks:
        callbacks.append(callback)


@event.listens_for(Session, "after_commit")
def _run_callbacks(session: Session) -> None:
    # A savepoint's release is no commit.
    if not session.in_nested_transaction():
        for callback in session.info.pop(_AFTER_COMMIT, []):
            callback()


@contextmanager
def savepoint() -> Iterator[Session]:
    """A part of the open transaction that may fail alone: what it wrote, published and asked to
    be called back for is undone when the block raises.
    """
    session = current_session()
    held = {name: list(items) for name, items in session.info.items()}
    try:
        with session.begin_nested():
            yield session
    except BaseException:
        session.info.clear()
        session.info.update(held)
        raise


class Transactions:
    """Opens transactions on one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Inside another one of this thread (an event handler's) it joins that one.
        """
        current = _current.get()
        if current is not None:
            yield current
            return
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            token = _current.set(session)
            try:
                yield session
            finally:
                _current.reset(token)


def _ask_after_idling(engine: Engine) -> None:
    """A connection that has idled is asked whether it lives, and replaced if not.

    As SQLAlchemy's `pool_pre_ping`, but for one that was in use a moment ago: that would cost
    each transaction a round trip.
    """

    @event.listens_for(engine, "checkin")
    def _leave(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info[_USED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ask(connection: DBAPIConnection, record: ConnectionPoolEntry, *_: object) -> None:
        if time.monotonic() - record.info.get(_USED, math.inf) > TRUSTED_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error


def open_database() -> Transactions:
    """The database of the environment, for commands: a service has its pool."""
    url = load(DatabaseSettings).url.get_secret_value()
    # No value of a statement in an error message: it may be personal data.
    return Transactions(create_engine(url, hide_parameters=True))


class DatabasePool(SharedExtension):  # type: ignore[misc]
    """The engine, shared by all that a service stores."""

    transactions: Transactions | None = None

    def setup(self) -> None:
        settings = load(DatabaseSettings)
        engine = create_engine(
            settings.url.get_secret_value(),
            pool_size=settings.pool_size,
            max_overflow=settings.pool_size,
            connect_args=_KEEPALIVE,
            # No value of a statement in an error message: it may be personal data.
            hide_parameters=True,
        )
        _ask_after_idling(engine)
        self.transactions = Transactions(engine)

    def stop(self) -> None:
        if self.transactions is not None:
            self.transactions.engine.dispose()

    def check_ready(self) -> str | None:
        """Whether the database answers."""
        assert self.transactions is not None
        try:
            with self.transactions.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            return f"PostgreSQL does not answer ({type(error).__name__})"
        return None


class Database(DependencyProvider):  # type: ignore[misc]
    """Injects `Transactions`."""

    pool = DatabasePool()

    def get_dependency(self, worker_ctx: WorkerContext) -> Transactions:
        assert self.pool.transactions is not None
        return self.pool.transactions
