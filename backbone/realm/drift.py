"""A drift: where the live realm is not what the code says, and how it is brought back."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SECRET = re.compile("(secret|password)$", re.IGNORECASE)
# What Keycloak shows instead of a secret that it does not give back.
MASKED = "**********"
HIDDEN = "(hidden)"
ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: what the realm has, what the code says; None where one of them has none."""

    field: str
    live: Any
    code: Any

    @property
    def secret(self) -> bool:
        return bool(SECRET.search(self.field))

    def shown(self) -> tuple[str, str]:
        """Both sides for people; never a secret."""
        return self._text(self.live, self.code), self._text(self.code, self.live)

    def _text(self, value: Any, other: Any) -> str:
        if value is None:
            return ABSENT
        if self.secret:
            return HIDDEN
        if isinstance(value, list) and isinstance(other, list):
            # What the other side lacks comes first: a table has no room for a long list.
            value = sorted(value, key=lambda item: item in other)
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Drift:
    """An object of the realm that is not as the code says.

    `unknown`: the code does not have it, and `mend`, which deletes it, is for those who ask.
    """

    subject: str
    differences: tuple[Difference, ...]
    mend: Callable[[], object]
    unknown: bool = False


def missing(subject: str, mend: Callable[[], object]) -> Drift:
    """The code has it, the realm has not."""
    return Drift(subject, (Difference("", None, "present"),), mend)


def unknown(subject: str, mend: Callable[[], object]) -> Drift:
    """The realm has it, the code has not."""
    return Drift(subject, (Difference("", "present", None),), mend, unknown=True)


def differences(code: Any, live: Any, path: str = "") -> Iterator[Difference]:
    """What the code states and the realm has otherwise; what the code is silent about is not looked
    at. The order of a list says nothing.
    """
    if isinstance(code, dict):
        known = live if isinstance(live, dict) else {}
        found = [
            difference
            for key, value in code.items()
            for difference in differences(value, known.get(key), f"{path}.{key}" if path else key)
        ]
        if live is None and path and found:
            found = [Difference(path, None, "present")]
        yield from found
    elif live != MASKED and _normal(code) != _normal(live):
        yield Difference(path, live, code)


def extra(code: Mapping[str, Any], live: Mapping[str, Any], path: str) -> Iterator[Difference]:
    """What the realm has under names that the code does not know."""
    for name in sorted(live.keys() - code.keys()):
        yield Difference(f"{path}.{name}", "present", None)


def _normal(value: Any) -> Any:
    # Keycloak leaves out what is empty or false, and has numbers and booleans as text in `config`.
    if value in (None, False, "", "false", [], {}):
        return None
    if isinstance(value, list):
        return sorted(json.dumps(item, sort_keys=True) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
