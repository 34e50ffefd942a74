"""The realm in memory, its people and its organizations: for tests alone."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from backbone.errors import NotFound, Unavailable
from services.identity.domain.account import Profile
from services.identity.domain.organisation import Kind, Registration
from services.identity.domain.realm_event import RealmEvent, Stream
from services.identity.realm import LiveSession, Saving


@dataclass
class _User:
    profile: Profile
    enabled: bool = True
    agent: bool = False
    sessions: dict[str, LiveSession] = field(default_factory=dict)


@dataclass
class _Organization:
    kind: Kind
    enabled: bool = True
    members: list[str] = field(default_factory=list)


class MemoryRealm:
    """A `RealmDirectory`; `away` makes it answer nobody."""

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
        self.answer()
        for account_id, user in self.users.items():
            if user.profile.reachable_email.lower() == email.lower():
                return account_id
        return None

    def is_enabled(self, account_id: str) -> bool:
        self.answer()
        return account_id in self.users and self.users[account_id].enabled

    def set_enabled(self, account_id: str, *, enabled: bool) -> None:
        self._user(account_id).enabled = enabled

    def delete_account(self, account_id: str) -> None:
        self.answer()
        self.users.pop(account_id, None)

    def sessions(self, account_id: str) -> Sequence[LiveSession]:
        self.answer()
        user = self.users.get(account_id)
        return list(user.sessions.values()) if user else []

    def end_session(self, session_id: str) -> None:
        self.answer()
        for user in self.users.values():
            user.sessions.pop(session_id, None)

    def client_key(self, client_id: str) -> str | None:
        self.answer()
        return f"key of {client_id}" if client_id in self.clients else None

    def client_state(self, client_key: str) -> tuple[str, bool] | None:
        self.answer()
        client_id = client_key.removeprefix("key of ")
        return (client_id, self.clients[client_id]) if client_id in self.clients else None

    def disable_client(self, client_key: str) -> None:
        if self.client_state(client_key) is None:
            raise NotFound("No such client.")
        self.clients[client_key.removeprefix("key of ")] = False

    def saving(self, stream: Stream) -> Saving:
        self.answer()
        return self.kept[stream]

    def events(self, stream: Stream, since: datetime) -> Iterator[RealmEvent]:
        self.answer()
        mine = [each for each in self.log if each.stream is stream and each.time >= since]
        yield from sorted(mine, key=lambda event: event.time)

    def _user(self, account_id: str) -> _User:
        self.answer()
        if account_id not in self.users:
            raise NotFound("No such account.")
        return self.users[account_id]

    def answer(self) -> None:
        """Raises Unavailable when it is away."""
        if self.away:
            raise Unavailable("The identification service does not answer.")


class MemoryOrganizations:
    """The `RealmOrganizations` of a `MemoryRealm`, away when that is. An organization's identifier
    is its alias.
    """

    def __init__(self, realm: MemoryRealm) -> None:
        self.realm = realm
        self.found: dict[str, _Organization] = {}

    def administrations(self) -> frozenset[str]:
        self.realm.answer()
        return frozenset(
            alias
            for alias, each in self.found.items()
            if each.enabled and each.kind is not Kind.COMPANY
        )

    def ensure(self, registration: Registration) -> str:
        self.realm.answer()
        known = self.found.setdefault(registration.alias, _Organization(registration.kind))
        known.kind, known.enabled = registration.kind, True
        return registration.alias

    def members(self, realm_id: str) -> list[str]:
        return list(self._organization(realm_id).members)

    def add_member(self, realm_id: str, account_id: str) -> bool:
        members = self._organization(realm_id).members
        if account_id in self.realm.users and account_id not in members:
            members.append(account_id)
        return account_id in self.realm.users

    def remove_member(self, realm_id: str, account_id: str) -> None:
        members = self._organization(realm_id).members
        if account_id in members:
            members.remove(account_id)

    def set_agent(self, account_id: str, *, agent: bool) -> None:
        self.realm.answer()
        if account_id in self.realm.users:
            self.realm.users[account_id].agent = agent

    def _organization(self, realm_id: str) -> _Organization:
        self.realm.answer()
        if realm_id not in self.found:
            raise Unavailable("The identification service does not answer.")
        return self.found[realm_id]
