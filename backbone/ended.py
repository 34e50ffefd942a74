"""Access that has ended before its tokens: the deny-list that every token is checked against.

A process keeps it in memory (`backbone.events.endings` fills it): an entry lives for as long as a
token of before may be accepted, so it is as large as what ended within that time.
"""

import heapq
import threading
import time
from enum import IntEnum

from prometheus_client import Gauge

from backbone.errors import Unauthenticated, Unavailable

ENTRIES = Gauge("ended_access", "Sessions, accounts and clients whose tokens are refused.")


class Kind(IntEnum):
    """The numbers of the contract's `AccessKind`."""

    SESSION = 1
    ACCOUNT = 2
    CLIENT = 3


class EndedAccess:
    """Which sessions, accounts and clients have ended, and when. Safe to share between threads.

    Nothing is accepted before `complete` was called: until then nobody knows what has ended.
    """

    def __init__(self) -> None:
        self._ended: dict[Kind, dict[str, float]] = {kind: {} for kind in Kind}
        self._sessions = self._ended[Kind.SESSION]
        self._accounts = self._ended[Kind.ACCOUNT]
        self._clients = self._ended[Kind.CLIENT]
        # The next to be forgotten comes first. A later end of the same has an entry of its own.
        self._ends: list[tuple[float, Kind, str, float]] = []
        self._lock = threading.Lock()
        self.known = False

    def add(self, kind: Kind, subject_id: str, end_time: float, forget_at: float) -> None:
        """Refuses what was issued until `end_time`, until `forget_at` (both seconds since 1970).

        Twice the same changes nothing, and an earlier end does not shorten a later one.
        """
        with self._lock:
            known = self._ended[kind].get(subject_id)
            if forget_at > time.time() and (known is None or known < end_time):
                self._ended[kind][subject_id] = end_time
                heapq.heappush(self._ends, (forget_at, kind, subject_id, end_time))
        self.forget()

    def forget(self) -> None:
        """Forgets what no token can be of any more."""
        now = time.time()
        with self._lock:
            while self._ends and self._ends[0][0] <= now:
                _, kind, subject_id, end_time = heapq.heappop(self._ends)
                if self._ended[kind].get(subject_id) == end_time:
                    del self._ended[kind][subject_id]
            ENTRIES.set(sum(map(len, self._ended.values())))

    def complete(self) -> None:
        """What has ended so far is all there: tokens can be accepted."""
        self.known = True

    def covers(self, session_id: str, account_id: str, client_id: str, issued_at: float) -> bool:
        """Whether a token's access has ended: its session, or all that its account or client was
        issued up to a moment.
        """
        return (
            session_id in self._sessions
            or issued_at <= self._accounts.get(account_id, -1.0)
            or issued_at <= self._clients.get(client_id, -1.0)
        )

    def require(self, session_id: str, account_id: str, client_id: str, issued_at: float) -> None:
        """Raises:
        Unauthenticated: the access of this token has ended.
        Unavailable: this process does not know yet what has ended.
        """
        if not self.known:
            raise Unavailable(
                "Which sessions have ended is not known yet.",
                reason="ACCESS_UNKNOWN",
                metadata={"retry_after": "1"},
            )
        if self.covers(session_id, account_id, client_id, issued_at):
            raise Unauthenticated(
                "The session, account or client of this token was ended.", reason="ACCESS_ENDED"
            )
