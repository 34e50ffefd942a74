"""The realm as code: `realm.json` is what runs in production, `development.json` what is added to
it on a laptop.

Both hold `${BACKBONE_…}` where a deployment has its own value: Keycloak fills those from its
environment at import, and `render` does the same for the local stack. No secret and no password is
written in either file.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
# Keycloak's own `${role_default-roles}` and `${client_id}` stay as they are: only ours are looked
# up.
PLACEHOLDER = re.compile(r"\$\{(BACKBONE_[A-Z0-9_]+)\}")
# What names an entry of a list of objects, in the order it is looked for.
KEYS = ("clientId", "username", "alias", "name")


def development_realm(values: Mapping[str, str]) -> dict[str, Any]:
    """The realm of a development machine: the overlay on the base, every placeholder replaced from
    `values`.
    """
    base = json.loads((FOLDER / "realm.json").read_text())
    overlay = json.loads((FOLDER / "development.json").read_text())
    realm: dict[str, Any] = render(merge(base, overlay), values)
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
    """`document` with each `${BACKBONE_X}` replaced by `values["BACKBONE_X"]`; KeyError names one
    that is missing.
    """
    if isinstance(document, dict):
        return {key: render(value, values) for key, value in document.items()}
    if isinstance(document, list):
        return [render(value, values) for value in document]
    if isinstance(document, str):
        return PLACEHOLDER.sub(lambda found: values[found.group(1)], document)
    return document


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict) and _name(entry) for entry in value
    )


def _name(entry: Mapping[str, Any]) -> str | None:
    return next((str(entry[key]) for key in KEYS if key in entry), None)
