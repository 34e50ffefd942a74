"""The accounts and organizations that a layer seeds: made where they are missing, and never looked
at once they are there.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from backbone.realm.code import Document
from backbone.realm.drift import Drift, missing
from backbone.realm.live import LiveRealm


def seeds(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """People and organizations that the code has and the realm has not."""
    for user in code.get("users", ()):
        name = user["username"]
        if "serviceAccountClientId" not in user and _account(live, name) is None:
            body = {"ifResourceExists": "SKIP", "users": [user]}
            yield missing(f"account {name}", partial(live.post, "partialImport", body=body))
    if "organizations" in code:
        known = {each["alias"] for each in live.get("organizations", max=10_000)}
        for organization in code["organizations"]:
            if organization["alias"] not in known:
                subject = f"organization {organization['alias']}"
                yield missing(subject, partial(_found, live, organization))


def _found(live: LiveRealm, organization: dict[str, Any]) -> None:
    body = {key: value for key, value in organization.items() if key != "members"}
    identifier = live.post("organizations", body=body)
    for member in organization.get("members", ()):
        live.post("organizations", identifier, "members", body=_account(live, member["username"]))


def _account(live: LiveRealm, username: str) -> str | None:
    found = live.get("users", username=username, exact="true")
    return str(found[0]["id"]) if found else None
