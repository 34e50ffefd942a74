"""The live realm: Keycloak's admin interface as get, post, put and delete on paths of the realm."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from keycloak import KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakAuthenticationError, KeycloakConnectionError, KeycloakError
from requests import Response

from backbone.realm.settings import RealmAdminSettings
from backbone.settings import RealmSettings

TIMEOUT_SECONDS = 120  # making a whole realm takes a while
ALL = {"max": 10_000}  # some lists are pages of 20 otherwise


class RealmError(ValueError):
    """Keycloak refused or did not answer; the message says the mend. Never holds its answer, which
    may hold a secret.
    """


class LiveRealm:
    """The realm `name` of a running Keycloak. Every method may raise RealmError."""

    def __init__(self, realm: RealmSettings, admin: RealmAdminSettings) -> None:
        server, self.name = realm.server_and_realm
        secret = admin.client_secret
        # Asks for no token yet.
        self._connection = KeycloakOpenIDConnection(
            server_url=server,
            realm_name=self.name,
            user_realm_name=admin.realm,
            client_id=admin.client_id,
            client_secret_key=secret.get_secret_value() if secret else None,
            username=admin.username or None,
            password=admin.password.get_secret_value() if admin.password else None,
            timeout=TIMEOUT_SECONDS,
            max_retries=0,  # what was done once would be refused the second time
        )

    def exists(self) -> bool:
        return self._send("get", self._path()).status_code != 404

    def create(self, realm: dict[str, Any]) -> None:
        """Makes the whole realm under the name of its issuer, or nothing."""
        body = json.dumps({**realm, "realm": self.name})
        _check("make the realm", self._send("post", "admin/realms", data=body))

    def get(self, *path: str, **query: Any) -> Any:
        answer = self._send("get", self._path(*path), **query)
        _check(f"read {_spelled(path)}", answer)
        return answer.json()

    def find(self, *path: str) -> Any:
        """What is there, None when nothing is."""
        answer = self._send("get", self._path(*path))
        if answer.status_code == 404:
            return None
        _check(f"read {_spelled(path)}", answer)
        return answer.json()

    def post(self, *path: str, body: Any = None) -> str:
        """Returns the identifier of what was made, empty when Keycloak says none."""
        answer = self._send("post", self._path(*path), data=json.dumps(body))
        _check(f"make {_spelled(path)}", answer)
        return str(answer.headers.get("Location", "")).rpartition("/")[2]

    def put(self, *path: str, body: Any = None) -> None:
        _check(f"change {_spelled(path)}", self._send("put", self._path(*path), data=_json(body)))

    def delete(self, *path: str, body: Any = None) -> None:
        sent = {"data": json.dumps(body)} if body is not None else {}
        _check(f"delete {_spelled(path)}", self._send("delete", self._path(*path), **sent))

    def _path(self, *path: str) -> str:
        return "/".join(("admin/realms", quote(self.name, safe=""), *_quoted(path)))

    def _send(self, method: str, path: str, **options: Any) -> Response:
        with _telling():
            answer: Response = getattr(self._connection, f"raw_{method}")(path, **options)
        return answer


def _json(body: Any) -> str:
    return "" if body is None else json.dumps(body)


def _quoted(path: tuple[str, ...]) -> Iterator[str]:
    return (quote(part, safe="") for part in path)


def _spelled(path: tuple[str, ...]) -> str:
    return "/".join(path) or "the realm"


def _check(what: str, answer: Response) -> None:
    if answer.status_code == 403:
        raise RealmError(
            f"Keycloak does not let this administrator {what}: it needs the role realm-admin"
        )
    if not answer.ok:
        raise RealmError(
            f"Keycloak answered {answer.status_code} when asked to {what}: see its log"
        )


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except KeycloakAuthenticationError as error:
        raise RealmError(
            "Keycloak refuses the administrator: check BACKBONE_REALM_ADMIN_REALM, _USERNAME and"
            " _PASSWORD, or _CLIENT_ID and _CLIENT_SECRET"
        ) from error
    except KeycloakConnectionError as error:
        raise RealmError("Keycloak does not answer: check BACKBONE_ISSUER") from error
    except KeycloakError as error:
        raise RealmError(f"Keycloak answered {error.response_code}: see its log") from error
