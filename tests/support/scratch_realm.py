"""A realm of one test module, made by `backbone realm apply` from the base as production has it."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keycloak import KeycloakAdmin

from deploy.keycloak import FOLDER
from deploy.local import keycloak
from deploy.local.site import load_site
from tests.support.processes import backbone
from tests.support.realm import Realm


class ScratchRealm:
    """Its name, its admin interface, and `backbone realm` on it."""

    def __init__(self, stack: dict[str, Any], name: str, values: dict[str, str]) -> None:
        self.name = name
        known = stack["keycloak"]
        self.stack = {
            **stack,
            "issuer": f"{known['url']}/realms/{name}",
            "keycloak": {**known, "realm": name},
        }
        self.admin = admin(self.stack)
        self.environment = {
            **keycloak.realm_values(load_site()),
            "BACKBONE_ISSUER": self.stack["issuer"],
            "BACKBONE_REALM_ADMIN_USERNAME": known["admin_username"],
            "BACKBONE_REALM_ADMIN_PASSWORD": known["admin_password"],
            "BACKBONE_REALM_FOLDER": str(FOLDER),
            **values,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`backbone realm …`."""
        return backbone(self.environment, "realm", *arguments)

    def plan(self, *arguments: str) -> set[tuple[str, str]]:
        """Each drift: what, and which field."""
        done = self.run("plan", "--json", *arguments)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == (2 if rows else 0), done.stderr
        return {(row["what"], row["field"]) for row in rows}

    def apply(self, *arguments: str) -> None:
        done = self.run("apply", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def client(self, client_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.admin.get_client(str(self.admin.get_client_id(client_id)))
        return found

    def change_client(self, client_id: str, **changes: Any) -> None:
        client = self.client(client_id)
        self.admin.update_client(client["id"], {**client, **changes})

    @contextmanager
    def people(self) -> Iterator[Realm]:
        opened = Realm(self.stack)
        yield opened
        opened.close()


@contextmanager
def scratch_realm(stack: dict[str, Any], layers: str = "", **values: str) -> Iterator[ScratchRealm]:
    """A realm that `backbone realm apply` made; gone afterwards."""
    name = f"essai-{uuid.uuid4().hex[:8]}"
    made = ScratchRealm(stack, name, {"BACKBONE_REALM_LAYERS": layers, **values})
    try:
        made.apply()
        yield made
    finally:
        forget(stack, name)


def admin(stack: dict[str, Any]) -> KeycloakAdmin:
    """The admin interface of the realm of a stack."""
    known = stack["keycloak"]
    return KeycloakAdmin(
        server_url=known["url"],
        username=known["admin_username"],
        password=known["admin_password"],
        realm_name=known["realm"],
        user_realm_name="master",
    )


def forget(stack: dict[str, Any], name: str) -> None:
    """Deletes a realm, if it is there."""
    keycloak_ = admin(stack)
    if any(realm["realm"] == name for realm in keycloak_.get_realms()):
        keycloak_.delete_realm(name)
