"""Realm roles and what they are composed of."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from backbone.realm.code import Document
from backbone.realm.drift import Difference, Drift, differences, missing, unknown
from backbone.realm.live import LiveRealm

# Keycloak's own, in every realm.
OWN = {"uma_authorization"}


def roles(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """Every realm role; a composite is compared whole."""
    known = {role["name"]: role for role in live.get("roles", max=1000)}
    stated = {role["name"]: role for role in code.get("roles", {}).get("realm", ())}
    for name, role in stated.items():
        if name not in known:
            yield missing(f"role {name}", partial(_create, live, role))
            continue
        own = {key: role[key] for key in ("description",) if key in role}
        if found := tuple(differences(own, known[name])):
            mend = partial(live.put, "roles", name, body={**known[name], **own})
            yield Drift(f"role {name}", found, mend)
        composed = _composites(role)
        has = {_spelled(live, each): each for each in _parts(live, name)}
        if composed != has.keys():
            difference = Difference("composites", sorted(has), sorted(composed))
            yield Drift(f"role {name}", (difference,), partial(_compose, live, role))
    for name in sorted(known.keys() - stated.keys() - OWN):
        yield unknown(f"role {name}", partial(live.delete, "roles", name))


def _create(live: LiveRealm, role: dict[str, Any]) -> None:
    live.post("roles", body={"name": role["name"], "description": role.get("description", "")})
    _compose(live, role)


def _compose(live: LiveRealm, role: dict[str, Any]) -> None:
    name, wanted = role["name"], _composites(role)
    has = {_spelled(live, each): each for each in _parts(live, name)}
    if surplus := [has[each] for each in has.keys() - wanted]:
        live.delete("roles", name, "composites", body=surplus)
    if lacking := [_found(live, each) for each in sorted(wanted - has.keys())]:
        live.post("roles", name, "composites", body=lacking)


def _parts(live: LiveRealm, name: str) -> list[dict[str, Any]]:
    # Keycloak adds its own to the default role by itself.
    return [each for each in live.get("roles", name, "composites") if each["name"] not in OWN]


def _composites(role: dict[str, Any]) -> set[str]:
    """``name`` of a realm role, ``client:name`` of a client's."""
    stated = role.get("composites", {})
    clients = stated.get("client", {}).items()
    return {*stated.get("realm", ()), *(f"{c}:{name}" for c, names in clients for name in names)}


def _spelled(live: LiveRealm, role: dict[str, Any]) -> str:
    if not role.get("clientRole"):
        return str(role["name"])
    return f"{live.get('clients', role['containerId'])['clientId']}:{role['name']}"


def _found(live: LiveRealm, spelled: str) -> Any:
    client, _, name = spelled.rpartition(":")
    if not client:
        return live.get("roles", name)
    (found,) = live.get("clients", clientId=client)
    return live.get("clients", found["id"], "roles", name)
