"""The realm, as identity asks it about people: Keycloak's admin interface behind a few methods."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from keycloak.exceptions import (
    KeycloakDeleteError,
    KeycloakError,
    KeycloakGetError,
    raise_error_from_response,
)
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone.errors import NotFound, Unavailable
from backbone.realm_admin import realm_admin
from backbone.settings import ClientSettings, RealmSettings, load
from services.identity.domain.account import Profile
from services.identity.domain.realm_event import (
    OF_ADMIN,
    OF_USERS,
    RealmEvent,
    Stream,
    of_admin,
    of_user,
)

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5
# Of the realm's log of events, in one answer.
PAGE = 500


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that the realm still has. `address` is the person's to see."""

    session_id: str
    start_time: datetime
    last_time: datetime
    client_ids: tuple[str, ...]
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Saving:
    """What the realm saves of a log: whether it does, and for how long (None: for ever)."""

    enabled: bool
    kept: timedelta | None


class RealmDirectory(Protocol):
    """Every method may raise Unavailable: the realm does not answer, or refuses to."""

    def profile(self, account_id: str) -> Profile:
        """What the realm says of a person. Raises NotFound: it has no such account."""

    def set_locale(self, account_id: str, locale: str) -> None:
        """Makes it a person's language. Raises NotFound: it has no such account."""

    def account_of(self, email: str) -> str | None:
        """The account whose verified address this is, in any case; None when there is none."""

    def is_enabled(self, account_id: str) -> bool:
        """Whether a person may sign in; False for one whom the realm does not have."""

    def set_enabled(self, account_id: str, *, enabled: bool) -> None:
        """Lets a person sign in, or not. Raises NotFound: it has no such account."""

    def delete_account(self, account_id: str) -> None:
        """Deletes a person; nothing happens when there is none."""

    def sessions(self, account_id: str) -> Sequence[LiveSession]:
        """A person's live sessions, none for an account that it does not have."""

    def end_session(self, session_id: str) -> None:
        """Ends a session with its refresh tokens; one that is not there is ended already."""

    def client_key(self, client_id: str) -> str | None:
        """The realm's identifier of a client; None when it has none of that name."""

    def client_state(self, client_key: str) -> tuple[str, bool] | None:
        """The name of a client and whether it may be used; None when there is none."""

    def disable_client(self, client_key: str) -> None:
        """Gives it no more tokens. Raises NotFound: there is no such client."""

    def saving(self, stream: Stream) -> Saving:
        """What is saved of a log."""

    def events(self, stream: Stream, since: datetime) -> Iterator[RealmEvent]:
        """What the log has from a moment on that concerns us, oldest first."""


class KeycloakDirectory:
    """The realm itself, with identity's own client. Needs the roles ``manage-users``,
    ``manage-clients`` and ``view-events`` of ``realm-management``.
    """

    def __init__(self, realm: RealmSettings, client: ClientSettings) -> None:
        self._admin = realm_admin(
            realm, client.id, client.secret.get_secret_value(), TIMEOUT_SECONDS
        )
        self._realm = f"admin/realms/{realm.server_and_realm[1]}"

    def profile(self, account_id: str) -> Profile:
        with telling("No such account."):
            user = self._admin.get_user(account_id)
        locale = (user.get("attributes") or {}).get("locale", [""])[0]
        name = f"{user.get('firstName', '')} {user.get('lastName', '')}"
        return Profile.of_claims(
            name, user.get("email", ""), user.get("emailVerified") is True, locale
        )

    def set_locale(self, account_id: str, locale: str) -> None:
        with telling("No such account."):
            user = self._admin.get_user(account_id)
            # Attributes are replaced all together.
            attributes = {**(user.get("attributes") or {}), "locale": [locale]}
            self._admin.update_user(account_id, {**user, "attributes": attributes})

    def account_of(self, email: str) -> str | None:
        with telling():
            found = self._admin.get_users({"email": email, "exact": "true"})
        verified = [user for user in found if user.get("emailVerified") is True]
        return str(verified[0]["id"]) if verified else None

    def is_enabled(self, account_id: str) -> bool:
        try:
            with telling("No such account."):
                return self._admin.get_user(account_id).get("enabled") is True
        except NotFound:
            return False

    def set_enabled(self, account_id: str, *, enabled: bool) -> None:
        with telling("No such account."):
            # What is not sent stays as it is.
            self._admin.update_user(account_id, {"enabled": enabled})

    def delete_account(self, account_id: str) -> None:
        with suppress(NotFound), telling("No such account."):
            self._admin.delete_user(account_id)

    def sessions(self, account_id: str) -> Sequence[LiveSession]:
        try:
            with telling("No such account."):
                found = self._admin.get_sessions(account_id)
        except NotFound:
            return []
        return [_session(raw) for raw in found]

    def end_session(self, session_id: str) -> None:
        with telling():
            answer = self._admin.connection.raw_delete(f"{self._realm}/sessions/{session_id}")
            raise_error_from_response(answer, KeycloakDeleteError, expected_codes=[204, 404])

    def client_key(self, client_id: str) -> str | None:
        with telling():
            key = self._admin.get_client_id(client_id)
        return str(key) if key else None

    def client_state(self, client_key: str) -> tuple[str, bool] | None:
        try:
            with telling("No such client."):
                client = self._admin.get_client(client_key)
        except NotFound:
            return None
        return str(client["clientId"]), client.get("enabled") is True

    def disable_client(self, client_key: str) -> None:
        with telling("No such client."):
            client_id = self._admin.get_client(client_key)["clientId"]
            self._admin.update_client(client_key, {"clientId": client_id, "enabled": False})

    def saving(self, stream: Stream) -> Saving:
        with telling():
            said = self._get("events/config")
        seconds = said.get("eventsExpiration") or 0
        enabled = said.get("eventsEnabled" if stream is Stream.USERS else "adminEventsEnabled")
        # The realm as code keeps both logs for the same time, and tells only of the one here.
        return Saving(enabled is True, timedelta(seconds=seconds) if seconds else None)

    def events(self, stream: Stream, since: datetime) -> Iterator[RealmEvent]:
        read = of_user if stream is Stream.USERS else of_admin
        query: dict[str, Any] = {
            "dateFrom": int(since.timestamp() * 1000),
            "direction": "asc",
            "max": PAGE,
        }
        if stream is Stream.USERS:
            query["type"] = OF_USERS
        else:
            query["operationTypes"] = sorted({kind.split(" ")[0] for kind in OF_ADMIN})
            query["resourceTypes"] = sorted({kind.split(" ")[1] for kind in OF_ADMIN})
        first = 0
        while True:
            with telling():
                page = self._get(str(stream), **query, first=first)
            yield from (event for raw in page if (event := read(raw)))
            if len(page) < PAGE:
                return
            first += len(page)

    def _get(self, path: str, **query: Any) -> Any:
        answer = self._admin.connection.raw_get(f"{self._realm}/{path}", **query)
        return raise_error_from_response(answer, KeycloakGetError)


def _session(raw: dict[str, Any]) -> LiveSession:
    return LiveSession(
        session_id=str(raw["id"]),
        start_time=datetime.fromtimestamp(raw["start"] / 1000, UTC),
        last_time=datetime.fromtimestamp(raw["lastAccess"] / 1000, UTC),
        client_ids=tuple(sorted((raw.get("clients") or {}).values())),
        address=raw.get("ipAddress") or "",
    )


@contextmanager
def telling(absent: str = "") -> Iterator[None]:
    """Keycloak's errors as ours; never its answer, which may hold what is personal.

    Raises:
        NotFound: where `absent` has words for it. Unavailable: it does not answer, or refuses.
    """
    try:
        yield
    except KeycloakError as error:
        if absent and error.response_code == 404:
            raise NotFound(absent) from error
        log.warning("the realm answered %s", error.response_code)
        raise Unavailable("The identification service does not answer.") from error


class Realm(DependencyProvider):  # type: ignore[misc]
    """Injects the `RealmDirectory`."""

    def setup(self) -> None:
        self._directory = KeycloakDirectory(load(RealmSettings), load(ClientSettings))

    def get_dependency(self, worker_ctx: WorkerContext) -> RealmDirectory:
        return self._directory
