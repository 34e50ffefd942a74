"""The plan: every drift of the live realm from the code, in the order in which they are mended."""

from collections.abc import Iterator

from backbone.realm import clients, flows, general, providers, roles, scopes, seeds
from backbone.realm.code import Document, importable
from backbone.realm.drift import Drift, missing
from backbone.realm.live import LiveRealm

# What a thing refers to comes before it: flows before the realm that uses them, scopes before
# clients, clients before their accounts.
COMPARISONS = (
    flows.flows,
    general.settings,
    general.user_profile,
    scopes.scopes,
    scopes.default_scopes,
    clients.clients,
    roles.roles,
    clients.accounts,
    providers.providers,
    seeds.seeds,
)


def plan(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """Every drift; a realm that is not there is one. May raise RealmError."""
    if not live.exists():
        yield missing(f"realm {live.name}", lambda: live.create(importable(code)))
        return
    for compare in COMPARISONS:
        yield from compare(live, code)
