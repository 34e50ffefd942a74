"""A `RealmDirectory` in memory, for unit tests alone."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from backbone.errors import NotFound, Unavailable
from services.identity.domain.account import Profile
from services.identity.domain.realm_event import RealmEvent, Stream
from services.identity.realm import LiveSession, Saving


@dataclass
class _User:
    profile: Profile
    enabled: bool = True
    sessions: dict[str, LiveSession] = field(default_factory=dict)


class MemoryRealm:
    """`away` makes it answer nobody."""

    def __init__(self) -> None:
        self.away = False
        self.users: dict[str, _User] = {}
        self.clients: dict[str, bool] = {}
        self.log: list[RealmEvent] = []
        self.kept = {stream: Saving(enabled=True, kept=None) for stream in Stream}

    def add(self, profile: Profile) -> str:
        account_id = str(uuid.uuid4())
        self.users[account_id] = _User(profile)
        return account_id

    def sign_in(self, account_id: str, client_id: str = "portal") -> str:
        now, session_id = datetime.now(UTC), str(uuid.uuid4())
        self.users[account_id].sessions[session_id] = LiveSession(
            session_id, now, now, (client_id,), "192.0.2.1"
        )
        return session_id

    def profile(self, account_id: str) -> Profile:
        return self._user(account_id).profile

    def set_locale(self, account_id: str, locale: str) -> None:
        user = self._user(account_id)
        user.profile = replace(user.profile, locale=locale)

    def account_of(self, email: str) -> str | None:
        self._answer()
        for account_id, user in self.users.items():
            if user.profile.reachable_email.lower() == email.lower():
                return account_id
        return None

    def is_enabled(self, account_id: str) -> bool:
        self._answer()
        return account_id in self.users and self.users[account_id].enabled

    def set_enabled(self, account_id: str, *, enabled: bool) -> None:
        self._user(account_id).enabled = enabled

    def delete_account(self, account_id: str) -> None:
        self._answer()
        self.users.pop(account_id, None)

    def sessions(self, account_id: str) -> Sequence[LiveSession]:
        self._answer()
        user = self.users.get(account_id)
        return list(user.sessions.values()) if user else []

    def end_session(self, session_id: str) -> None:
        self._answer()
        for user in self.users.values():
            user.sessions.pop(session_id, None)

    def client_key(self, client_id: str) -> str | None:
        self._answer()
        return f"key of {client_id}" if client_id in self.clients else None

    def client_state(self, client_key: str) -> tuple[str, bool] | None:
        self._answer()
        client_id = client_key.removeprefix("key of ")
        return (client_id, self.clients[client_id]) if client_id in self.clients else None

    def disable_client(self, client_key: str) -> None:
        if self.client_state(client_key) is None:
            raise NotFound("No such client.")
        self.clients[client_key.removeprefix("key of ")] = False

    def saving(self, stream: Stream) -> Saving:
        self._answer()
        return self.kept[stream]

    def events(self, stream: Stream, since: datetime) -> Iterator[RealmEvent]:
        self._answer()
        mine = [each for each in self.log if each.stream is stream and each.time >= since]
        yield from sorted(mine, key=lambda event: event.time)

    def _user(self, account_id: str) -> _User:
        self._answer()
        if account_id not in self.users:
            raise NotFound("No such account.")
        return self.users[account_id]

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("The identification service does not answer.")
