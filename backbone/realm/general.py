"""What the realm itself has: lifespans, policies, languages, e-mail, flows in use, user profile."""

from collections.abc import Iterator

from backbone.realm.code import Document, merge
from backbone.realm.drift import Drift, differences, extra
from backbone.realm.live import LiveRealm

# Objects, which have comparisons of their own.
OBJECTS = {
    "authenticationFlows", "authenticatorConfig", "clients", "clientScopes", "defaultRole",
    "defaultDefaultClientScopes", "defaultOptionalClientScopes", "identityProviderMappers",
    "identityProviders", "organizations", "realm", "roles", "userProfile", "users",
}  # fmt: skip


def settings(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """The realm's own settings."""
    stated = {key: value for key, value in code.items() if key not in OBJECTS}
    found = tuple(differences(stated, live.get()))
    if found:
        yield Drift("realm", found, lambda: live.put(body=merge(live.get(), stated)))


def user_profile(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """The attributes that a person's account may have; one that is unknown to the code is drift."""
    if "userProfile" not in code:
        return
    stated, known = code["userProfile"], live.get("users", "profile")
    here = {each["name"]: each for each in stated["attributes"]}
    there = {each["name"]: each for each in known["attributes"]}
    policy = "unmanagedAttributePolicy"
    found = (
        *differences({policy: stated.get(policy)}, known),
        *differences(here, there, "attributes"),
        *extra(here, there, "attributes"),
    )
    if found:
        body = {"groups": known.get("groups", []), **stated}
        yield Drift("user profile", found, lambda: live.put("users", "profile", body=body))
