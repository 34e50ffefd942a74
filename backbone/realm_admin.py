"""Keycloak's admin interface of the realm, for a client of the realm itself."""

import threading
import time
from datetime import UTC, datetime

from keycloak import KeycloakAdmin, KeycloakOpenIDConnection

from backbone.settings import RealmSettings

# Callers whose token was refused together share the one that the first of them fetched.
SHARED_SECONDS = 1.0


class _Connection(KeycloakOpenIDConnection):
    """python-keycloak's connection with one token for all threads that ask together.

    As it is, the library fetches a token for each of them (its issue 708), and goes on with one
    that the realm has refused until that expires (542).
    """

    def __init__(self, realm: RealmSettings, client_id: str, secret: str, timeout: int) -> None:
        self._lock = threading.Lock()
        self._fetched = float("-inf")
        server, name = realm.server_and_realm
        super().__init__(
            server_url=server,
            realm_name=name,
            user_realm_name=name,
            client_id=client_id,
            client_secret_key=secret,
            timeout=timeout,
        )

    def _refresh_if_required(self) -> None:
        """Before each request."""
        with self._lock:
            if self.expires_at is None or datetime.now(UTC) >= self.expires_at:
                self._fetch()

    def refresh_token(self) -> None:
        """After a request that the realm answered with 401: it is sent once more."""
        with self._lock:
            if time.monotonic() - self._fetched > SHARED_SECONDS:
                self._fetch()

    def _fetch(self) -> None:
        self.get_token()
        self._fetched = time.monotonic()


def realm_admin(
    realm: RealmSettings, client_id: str, client_secret: str, timeout_seconds: int
) -> KeycloakAdmin:
    """The interface, with what the client's roles let it do. Asks for no token yet; safe to share
    between threads.
    """
    return KeycloakAdmin(connection=_Connection(realm, client_id, client_secret, timeout_seconds))
