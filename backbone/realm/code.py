"""The realm as its files say it: layers of JSON over a base, each `${BACKBONE_…}` filled in.

Only the standard library: the image of Keycloak is built with this module alone.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Document = dict[str, Any]
BASE = "realm"
# Keycloak's own `${role_default-roles}` and `${client_id}` stay as they are: only ours are looked
# up.
PLACEHOLDER = re.compile(r"\$\{(BACKBONE_[A-Z0-9_]+)\}")
# What names an entry of a list of objects, in the order it is looked for.
KEYS = ("clientId", "username", "alias", "name")
PROFILE_PROVIDER = "org.keycloak.userprofile.UserProfileProvider"


class RealmCodeError(ValueError):
    """The realm as code cannot be read; the message names the layer or the variables."""


def read(folder: Path, layers: Sequence[str] = ()) -> Document:
    """`realm.json` of `folder` with each layer merged over it, in that order.

    Raises:
        RealmCodeError: a layer has no file.
    """
    realm: Document = {}
    for name in (BASE, *layers):
        path = folder / f"{name}.json"
        if not path.is_file():
            known = sorted(each.stem for each in folder.glob("*.json") if each.stem != BASE)
            raise RealmCodeError(f"{path} does not exist; layers of {folder}: {known}")
        realm = merge(realm, json.loads(path.read_text()))
    return realm


def merge(base: Any, overlay: Any) -> Any:
    """`overlay` over `base`: objects are merged key by key, lists of named objects entry by entry,
    the rest replaced.
    """
    if isinstance(base, dict) and isinstance(overlay, dict):
        merged = dict(base)
        for key, value in overlay.items():
            merged[key] = merge(base[key], value) if key in base else value
        return merged
    if _named(base) and _named(overlay):
        entries = {_name(entry): entry for entry in base}
        for entry in overlay:
            name = _name(entry)
            entries[name] = merge(entries[name], entry) if name in entries else entry
        return list(entries.values())
    return overlay


def render(document: Any, values: Mapping[str, str]) -> Any:
    """`document` with each `${BACKBONE_X}` replaced by `values["BACKBONE_X"]`.

    Raises:
        RealmCodeError: names every variable that is missing.
    """
    missing = sorted(set(placeholders(document)) - values.keys())
    if missing:
        raise RealmCodeError(f"the realm as code needs the variables {', '.join(missing)}")
    return _rendered(document, values)


def placeholders(document: Any) -> Iterator[str]:
    """The variables that a document asks for."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for value in document:
            yield from placeholders(value)
    elif isinstance(document, str):
        yield from PLACEHOLDER.findall(document)


def importable(realm: Document) -> Document:
    """The realm as Keycloak imports it: it wants the profile of its users as a component that holds
    JSON in a string.
    """
    imported = {key: value for key, value in realm.items() if key != "userProfile"}
    if "userProfile" in realm:
        profile = json.dumps(realm["userProfile"])
        component = {
            "providerId": "declarative-user-profile",
            "config": {"kc.user.profile.config": [profile]},
        }
        imported["components"] = {PROFILE_PROVIDER: [component]}
    return imported


def _rendered(document: Any, values: Mapping[str, str]) -> Any:
    if isinstance(document, dict):
        return {key: _rendered(value, values) for key, value in document.items()}
    if isinstance(document, list):
        return [_rendered(value, values) for value in document]
    if isinstance(document, str):
        return PLACEHOLDER.sub(lambda found: values[found.group(1)], document)
    return document


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict) and _name(entry) for entry in value
    )


def _name(entry: Mapping[str, Any]) -> str | None:
    return next((str(entry[key]) for key in KEYS if key in entry), None)
