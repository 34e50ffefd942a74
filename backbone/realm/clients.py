"""Clients, the scopes that they have, and the roles of their own accounts."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from backbone.realm.code import Document, merge
from backbone.realm.drift import Difference, Drift, differences, extra, missing, unknown
from backbone.realm.live import LiveRealm
from backbone.realm.scopes import KINDS, MAPPERS, assigned, mappers

# Keycloak's own clients, in every realm.
OWN = {
    "account", "account-console", "admin-cli", "broker", "realm-management",
    "security-admin-console",
}  # fmt: skip
# What a client is where the code does not say it: the safe side of each switch.
SILENT: dict[str, Any] = {
    "enabled": True,
    "publicClient": False,
    "bearerOnly": False,
    "consentRequired": False,
    "standardFlowEnabled": False,
    "implicitFlowEnabled": False,
    "directAccessGrantsEnabled": False,
    "serviceAccountsEnabled": False,
    "fullScopeAllowed": True,
    "frontchannelLogout": False,
    "redirectUris": [],
    "webOrigins": [],
    "authenticationFlowBindingOverrides": {},
}
SILENT_ATTRIBUTES = {
    "oauth2.device.authorization.grant.enabled": "false",
    "oidc.ciba.grant.enabled": "false",
}
# Attributes that Keycloak adds by itself.
ADDED = {
    "client.secret.creation.time", "realm_client", "backchannel.logout.session.required",
    "backchannel.logout.revoke.offline.tokens", "post.logout.redirect.uris",
    "display.on.consent.screen", "frontchannel.logout.session.required",
}  # fmt: skip
APART = {MAPPERS, "defaultClientScopes", "optionalClientScopes"}
PARTNER_CLAIM = "administration"


def clients(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """Every client. A partner's is made where it is missing; then it is `backbone partner`'s."""
    known = {client["clientId"]: client for client in live.get("clients", max=10_000)}
    stated = {client["clientId"]: client for client in code.get("clients", ())}
    for name, client in stated.items():
        if name not in known:
            yield missing(f"client {name}", partial(live.post, "clients", body=client))
        elif not is_partner(known[name]):
            yield from _client(live, code, client, known[name])
    for name in sorted(known.keys() - stated.keys() - OWN):
        if not is_partner(known[name]):
            mend = partial(live.delete, "clients", known[name]["id"])
            yield unknown(f"client {name}", mend)


def accounts(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """The roles of the clients' own accounts: exactly those stated."""
    kept = {code.get("defaultRole", {}).get("name", "")}
    for user in code.get("users", ()):
        if name := user.get("serviceAccountClientId"):
            found = live.get("clients", clientId=name)
            if found and is_partner(found[0]):
                continue
            wanted = _roles(user)
            has = _account_roles(live, found[0]) - kept if found else set()
            if wanted - kept != has:
                difference = Difference("roles", sorted(has), sorted(wanted))
                mend = partial(_grant, live, name, wanted, kept)
                yield Drift(f"service account of {name}", (difference,), mend)


def is_partner(client: dict[str, Any]) -> bool:
    """True for a partner administration's client: its tokens carry the claim `administration`."""
    configs = (mapper.get("config", {}) for mapper in client.get(MAPPERS, ()))
    return any(config.get("claim.name") == PARTNER_CLAIM for config in configs)


def _client(
    live: LiveRealm, code: Document, client: dict[str, Any], known: dict[str, Any]
) -> Iterator[Drift]:
    subject, where = f"client {client['clientId']}", ("clients", known["id"])
    stated = {**SILENT, **{key: value for key, value in client.items() if key not in APART}}
    attributes = {**SILENT_ATTRIBUTES, **client.get("attributes", {})}
    stated["attributes"], has = attributes, known.get("attributes", {})
    surplus = {name: value for name, value in has.items() if name not in {*attributes, *ADDED}}
    found = (*differences(stated, known), *extra({}, surplus, "attributes"))
    if found:
        body = merge({k: v for k, v in known.items() if k not in APART}, stated)
        # Empty, an attribute is removed; left out, it would stay.
        body["attributes"] = {**body.get("attributes", {}), **dict.fromkeys(surplus, "")}
        yield Drift(subject, found, partial(live.put, *where, body=body))
    yield from mappers(live, subject, where, client.get(MAPPERS, ()), known)
    for kind in KINDS:
        field = f"{kind}ClientScopes"
        wanted: Any = client.get(field, code.get(f"default{kind.title()}ClientScopes", ()))
        yield from assigned(live, subject, (*where, f"{kind}-client-scopes"), wanted, field)


def _roles(user: dict[str, Any]) -> set[str]:
    """``name`` of a realm role, ``client:name`` of a client's."""
    of_clients = user.get("clientRoles", {}).items()
    return {
        *user.get("realmRoles", ()),
        *(f"{c}:{name}" for c, names in of_clients for name in names),
    }


def _account_roles(live: LiveRealm, client: dict[str, Any]) -> set[str]:
    account = live.find("clients", client["id"], "service-account-user")
    return set(_mapped(live, account["id"])) if account else set()


def _mapped(live: LiveRealm, account: str) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Each role of an account, with the path of its mapping."""
    has = live.get("users", account, "role-mappings")
    found: dict[str, tuple[tuple[str, ...], Any]] = {
        role["name"]: (("users", account, "role-mappings", "realm"), role)
        for role in has.get("realmMappings", ())
    }
    for name, of_client in has.get("clientMappings", {}).items():
        path = ("users", account, "role-mappings", "clients", of_client["id"])
        found |= {f"{name}:{role['name']}": (path, role) for role in of_client["mappings"]}
    return found


def _grant(live: LiveRealm, name: str, wanted: set[str], kept: set[str]) -> None:
    (client,) = live.get("clients", clientId=name)
    account = live.get("clients", client["id"], "service-account-user")["id"]
    mapped = _mapped(live, account)
    for spelled in sorted(mapped.keys() - wanted - kept):
        path, role = mapped[spelled]
        live.delete(*path, body=[role])
    for spelled in sorted(wanted - mapped.keys()):
        owner, _, role_name = spelled.rpartition(":")
        if owner:
            (of_client,) = live.get("clients", clientId=owner)
            role = live.get("clients", of_client["id"], "roles", role_name)
            live.post("users", account, "role-mappings", "clients", of_client["id"], body=[role])
        else:
            role = live.get("roles", role_name)
            live.post("users", account, "role-mappings", "realm", body=[role])
