"""A partner administration, and the rules of its names."""

import re
from dataclasses import dataclass
from enum import StrEnum

from backbone.events import topics

PREFIX = "partner-"
# A client's id is the prefix of its consumer groups, and the alias of an administration is what
# documents are shared with: both are spelled as the contracts spell an administration.
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_NAME = 63
# A connection to Kafka, and any token, outlives a revocation by no more than this.
TOKEN_SECONDS = 120


class PartnerError(ValueError):
    """What was asked cannot be done; the message says why, and the mend. Never holds a secret."""


class State(StrEnum):
    ADDING = "adding"  # its secret was shown to nobody yet: `add` finishes it
    READY = "ready"
    REVOKED = "revoked"
    ABSENT = "no client"  # Kafka still knows a client that the realm no longer has


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner as the realm knows it."""

    client_id: str
    # Alias of the administration that it acts for: the claim `administration` of its tokens.
    administration: str
    state: State = State.READY
    # How long its tokens live; 0: the realm's own lifespan.
    token_seconds: int = TOKEN_SECONDS
    # RFC 3339; empty when it was granted nothing, or not by `backbone partner`.
    last_grant: str = ""


def client_id_of(alias: str) -> str:
    """The client of the partner called `alias`.

    Raises:
        PartnerError: it cannot be a name.
    """
    if alias.startswith(PREFIX):
        raise PartnerError(f"give the alias without `{PREFIX}`: {alias.removeprefix(PREFIX)}")
    return checked(PREFIX + alias, "alias")


def checked(name: str, what: str) -> str:
    """Raises:
    PartnerError: `name` is not in lower case letters, digits and single hyphens, or too long.
    """
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise PartnerError(
            f"{what} {name!r}: use lower case letters, digits and single hyphens,"
            f" {MAX_NAME} characters at most"
        )
    return name


def public_topics() -> list[str]:
    """What can be granted to a partner."""
    return [name for name in topics.all_topics() if name.startswith(topics.PUBLIC)]


def grantable(topic: str) -> str:
    """Raises:
    PartnerError: the contracts have no such public topic.
    """
    if topic not in public_topics():
        raise PartnerError(
            f"{topic} cannot be granted; public topics: {', '.join(public_topics())}"
        )
    return topic
