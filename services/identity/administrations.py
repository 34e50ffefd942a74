"""The administrations of the realm, by the alias of their organization."""

import threading
import time
from collections.abc import Callable

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone.settings import ClientSettings, RealmSettings, load
from services.identity.realm_organizations import KeycloakOrganizations

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


class KnownAdministrations(DependencyProvider):  # type: ignore[misc]
    """Injects the `Administrations`."""

    def setup(self) -> None:
        organizations = KeycloakOrganizations(load(RealmSettings), load(ClientSettings))
        self._administrations = Administrations(organizations.administrations)

    def get_dependency(self, worker_ctx: WorkerContext) -> Administrations:
        return self._administrations
