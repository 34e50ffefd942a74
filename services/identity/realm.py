"""The realm, as identity asks it about a person: Keycloak's admin interface behind one method."""

import threading

from keycloak.exceptions import KeycloakError, KeycloakGetError
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone.errors import NotFound, Unavailable
from backbone.realm_admin import realm_admin
from backbone.settings import ClientSettings, RealmSettings, load
from services.identity.domain.account import Profile

TIMEOUT_SECONDS = 5


class RealmDirectory:
    """People of the realm, read with identity's own client (role ``view-users``)."""

    def __init__(self, realm: RealmSettings, client: ClientSettings) -> None:
        self._admin = realm_admin(
            realm, client.id, client.secret.get_secret_value(), TIMEOUT_SECONDS
        )
        # python-keycloak refreshes its token once per concurrent caller (its issue 708).
        self._lock = threading.Lock()

    def profile(self, account_id: str) -> Profile:
        """What the realm says of a person.

        Raises:
            NotFound: it has no such account. Unavailable: it does not answer.
        """
        try:
            with self._lock:
                user = self._admin.get_user(account_id)
        except KeycloakGetError as error:
            if error.response_code == 404:
                raise NotFound("No such account.") from error
            raise Unavailable("The identification service refused to answer.") from error
        except KeycloakError as error:
            raise Unavailable("The identification service does not answer.") from error
        locale = (user.get("attributes") or {}).get("locale", [""])[0]
        name = f"{user.get('firstName', '')} {user.get('lastName', '')}"
        return Profile.of_claims(
            name, user.get("email", ""), user.get("emailVerified") is True, locale
        )


class Realm(DependencyProvider):  # type: ignore[misc]
    """Injects the `RealmDirectory`."""

    def setup(self) -> None:
        self._directory = RealmDirectory(load(RealmSettings), load(ClientSettings))

    def get_dependency(self, worker_ctx: WorkerContext) -> RealmDirectory:
        return self._directory
