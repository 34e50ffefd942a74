"""The key that seals cursors: made by the first migration, kept with the data, read once."""

import threading

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from sqlalchemy import text

from backbone.database import DatabasePool
from services.exchange.domain.cursor import Cursors


class SealedCursors(DependencyProvider):  # type: ignore[misc]
    """Injects the `Cursors`."""

    pool = DatabasePool()

    def __init__(self) -> None:
        self._cursors: Cursors | None = None
        self._lock = threading.Lock()

    def get_dependency(self, worker_ctx: WorkerContext) -> Cursors:
        with self._lock:
            if self._cursors is None:
                assert self.pool.transactions is not None
                with self.pool.transactions.engine.connect() as connection:
                    key = connection.execute(text("SELECT key FROM seal")).scalar_one()
                self._cursors = Cursors(bytes(key))
            return self._cursors
