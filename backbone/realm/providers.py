"""Upstream identity providers and what is taken from their tokens."""

from collections.abc import Iterator
from functools import partial

from backbone.realm.code import Document, merge
from backbone.realm.drift import Drift, differences, extra, missing, unknown
from backbone.realm.live import LiveRealm

INSTANCES = ("identity-provider", "instances")


def providers(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """Every identity provider. Keycloak never shows its secret: a new one goes with any change."""
    known = {provider["alias"]: provider for provider in live.get(*INSTANCES)}
    stated = {provider["alias"]: provider for provider in code.get("identityProviders", ())}
    for alias, provider in stated.items():
        subject = f"identity provider {alias}"
        if alias not in known:
            yield missing(subject, partial(live.post, *INSTANCES, body=provider))
        elif found := tuple(differences(provider, known[alias])):
            body = merge(known[alias], provider)
            yield Drift(subject, found, partial(live.put, *INSTANCES, alias, body=body))
        yield from _mappers(live, code, alias, alias in known)
    for alias in sorted(known.keys() - stated.keys()):
        mend = partial(live.delete, *INSTANCES, alias)
        yield unknown(f"identity provider {alias}", mend)


def _mappers(live: LiveRealm, code: Document, alias: str, there_is: bool) -> Iterator[Drift]:
    path = (*INSTANCES, alias, "mappers")
    stated = {
        mapper["name"]: mapper
        for mapper in code.get("identityProviderMappers", ())
        if mapper["identityProviderAlias"] == alias
    }
    known = {mapper["name"]: mapper for mapper in live.get(*path)} if there_is else {}
    found = (*differences(stated, known, "mappers"), *extra(stated, known, "mappers"))

    def mend() -> None:
        for name in known.keys() - stated.keys():
            live.delete(*path, known[name]["id"])
        for name, mapper in stated.items():
            if name not in known:
                live.post(*path, body=mapper)
            elif any(differences(mapper, known[name])):
                body = {**known[name], **mapper}
                live.put(*path, known[name]["id"], body=body)

    if found:
        yield Drift(f"identity provider {alias}", found, mend)
