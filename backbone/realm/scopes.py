"""Client scopes, their mappers, and which of them every client has; the mappers of a client too."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from backbone.realm.code import Document, merge
from backbone.realm.drift import Difference, Drift, differences, extra, missing, unknown
from backbone.realm.live import LiveRealm

KINDS = ("default", "optional")
MAPPERS = "protocolMappers"


def scopes(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """Every client scope."""
    known = {scope["name"]: scope for scope in live.get("client-scopes")}
    stated = {scope["name"]: scope for scope in code.get("clientScopes", ())}
    for name, scope in stated.items():
        subject = f"client scope {name}"
        if name not in known:
            yield missing(subject, partial(live.post, "client-scopes", body=scope))
            continue
        own = {key: value for key, value in scope.items() if key != MAPPERS}
        found = tuple(differences(own, known[name]))
        where = ("client-scopes", known[name]["id"])
        if found:
            body = merge({k: v for k, v in known[name].items() if k != MAPPERS}, own)
            yield Drift(subject, found, partial(live.put, *where, body=body))
        yield from mappers(live, subject, where, scope.get(MAPPERS, ()), known[name])
    for name in sorted(known.keys() - stated.keys()):
        mend = partial(live.delete, "client-scopes", known[name]["id"])
        yield unknown(f"client scope {name}", mend)


def default_scopes(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """The scopes that a new client gets."""
    for kind in KINDS:
        stated = code.get(f"default{kind.title()}ClientScopes")
        if stated is not None:
            path = (f"default-{kind}-client-scopes",)
            yield from assigned(live, "realm", path, stated, f"default{kind.title()}ClientScopes")


def assigned(
    live: LiveRealm, subject: str, path: tuple[str, ...], stated: Iterable[str], field: str
) -> Iterator[Drift]:
    """The scopes listed at `path` are exactly those stated."""
    has = {scope["name"]: scope["id"] for scope in live.get(*path)}
    wanted = set(stated)

    def mend() -> None:
        identifiers = {scope["name"]: scope["id"] for scope in live.get("client-scopes")}
        for name in sorted(has.keys() - wanted):
            live.delete(*path, has[name])
        for name in sorted(wanted - has.keys()):
            live.put(*path, identifiers[name])

    if has.keys() != wanted:
        yield Drift(subject, (Difference(field, sorted(has), sorted(wanted)),), mend)


def mappers(
    live: LiveRealm,
    subject: str,
    where: tuple[str, ...],
    stated: Iterable[dict[str, Any]],
    owner: dict[str, Any],
) -> Iterator[Drift]:
    """The mappers of a scope or a client: exactly those stated."""
    here = {mapper["name"]: mapper for mapper in stated}
    there = {mapper["name"]: mapper for mapper in owner.get(MAPPERS, ())}
    found = (*differences(here, there, MAPPERS), *extra(here, there, MAPPERS))
    path = (*where, "protocol-mappers", "models")

    def mend() -> None:
        for name in there.keys() - here.keys():
            live.delete(*path, there[name]["id"])
        for name, mapper in here.items():
            if name not in there:
                live.post(*path, body=mapper)
            elif any(differences(mapper, there[name])):
                body = {**there[name], **mapper}
                live.put(*path, there[name]["id"], body=body)

    if found:
        yield Drift(subject, found, mend)
