"""The administrations of the realm: Keycloak's organizations, by their alias."""

import threading
import time
from collections.abc import Callable

from keycloak.exceptions import KeycloakError
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone.errors import Unavailable
from backbone.realm_admin import realm_admin
from backbone.settings import ClientSettings, RealmSettings, load
from services.identity.realm import TIMEOUT_SECONDS

PAGE = 100
# How long what is known is believed, and how soon an unknown alias is asked for again.
KNOWN_SECONDS = 60.0
UNKNOWN_SECONDS = 5.0


class Administrations:
    """Which administrations there are: remembered, so that a flood of unknown aliases costs the
    realm one question in five seconds. Safe to share between threads.
    """

    def __init__(
        self, fetch: Callable[[], frozenset[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._fetched = float("-inf")

    def __contains__(self, alias: str) -> bool:
        """Raises:
        Unavailable: the realm does not answer.
        """
        with self._lock:
            patience = KNOWN_SECONDS if alias in self._known else UNKNOWN_SECONDS
            if self._clock() - self._fetched > patience:
                self._known = self._fetch()
                self._fetched = self._clock()
            return alias in self._known


class RealmOrganizations:
    """The aliases of the realm's enabled organizations. Needs the role ``view-organizations``."""

    def __init__(self, realm: RealmSettings, client: ClientSettings) -> None:
        self._admin = realm_admin(
            realm, client.id, client.secret.get_secret_value(), TIMEOUT_SECONDS
        )

    def aliases(self) -> frozenset[str]:
        """Raises:
        Unavailable: the realm does not answer, or refuses to.
        """
        found: set[str] = set()
        first = 0
        try:
            while page := self._admin.get_organizations(query={"first": first, "max": PAGE}):
                found |= {str(item["alias"]) for item in page if item.get("enabled")}
                first += len(page)
        except KeycloakError as error:
            raise Unavailable("The identification service does not answer.") from error
        return frozenset(found)


class KnownAdministrations(DependencyProvider):  # type: ignore[misc]
    """Injects the `Administrations`."""

    def setup(self) -> None:
        organizations = RealmOrganizations(load(RealmSettings), load(ClientSettings))
        self._administrations = Administrations(organizations.aliases)

    def get_dependency(self, worker_ctx: WorkerContext) -> Administrations:
        return self._administrations
