"""The token of a service that acts for itself: client credentials (RFC 6749, section 4.4)."""

import threading
import time

from keycloak import KeycloakOpenID
from keycloak.exceptions import KeycloakError

from backbone.errors import Unavailable
from backbone.settings import ClientSettings, RealmSettings

# Renewed this long before its end, so that no call leaves with a token that expires on the way.
EARLY_SECONDS = 30.0
TIMEOUT_SECONDS = 5


class ServiceToken:
    """A valid access token at any time, fetched once for all threads that ask together."""

    def __init__(self, realm: RealmSettings, client: ClientSettings) -> None:
        server, name = realm.server_and_realm
        self._openid = KeycloakOpenID(
            server_url=server,
            realm_name=name,
            client_id=client.id,
            client_secret_key=client.secret.get_secret_value(),
            timeout=TIMEOUT_SECONDS,
        )
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def get(self) -> str:
        """Raises:
        Unavailable: the realm gave no token; the next call asks again.
        """
        with self._lock:
            if time.monotonic() >= self._renew_at:
                try:
                    answer = self._openid.token(grant_type="client_credentials")
                except KeycloakError as error:
                    raise Unavailable("The service could not obtain its own token.") from error
                lifetime = float(answer["expires_in"])
                self._token = answer["access_token"]
                self._renew_at = time.monotonic() + max(lifetime / 2, lifetime - EARLY_SECONDS)
            return self._token
