"""Who may read a topic: Kafka's own rules, read as its authorizer reads them.

A rule that denies goes before one that allows; a pattern is a name, a beginning of one, or ``*``.
Rules for single hosts are about connections to Kafka and allow nothing here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

EVERYONE = "User:*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One ACL on topics that concerns reading."""

    principal: str
    name: str
    prefixed: bool
    allows: bool
    host: str = "*"

    def concerns(self, principal: str, topic: str) -> bool:
        if self.principal not in (principal, EVERYONE):
            return False
        if self.prefixed:
            return topic.startswith(self.name)
        return self.name in (topic, "*")


def may_read(rules: Iterable[Rule], client_id: str, topic: str) -> bool:
    """Whether a client may read a topic."""
    ours = [rule for rule in rules if rule.concerns(f"User:{client_id}", topic)]
    if any(not rule.allows for rule in ours):
        return False
    return any(rule.host == "*" for rule in ours)
