"""Keycloak's admin interface of the realm, for a client of the realm itself."""

from keycloak import KeycloakAdmin

from backbone.settings import RealmSettings


def realm_admin(
    realm: RealmSettings, client_id: str, client_secret: str, timeout_seconds: int
) -> KeycloakAdmin:
    """The interface, with what the client's roles let it do. Asks for no token yet."""
    server, name = realm.server_and_realm
    return KeycloakAdmin(
        server_url=server,
        realm_name=name,
        user_realm_name=name,
        client_id=client_id,
        client_secret_key=client_secret,
        timeout=timeout_seconds,
    )
