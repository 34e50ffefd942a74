"""A `Registry` and an `Access` in memory, for unit tests alone."""

import itertools
from collections import defaultdict
from dataclasses import replace

from backbone.partners.partner import Partner, PartnerError, State


class MemoryRegistry:
    def __init__(self) -> None:
        self.partners: dict[str, Partner] = {}
        self.secrets: dict[str, str] = {}
        self._numbers = itertools.count()

    def all(self) -> list[Partner]:
        return [self.partners[client_id] for client_id in sorted(self.partners)]

    def find(self, client_id: str) -> Partner | None:
        return self.partners.get(client_id)

    def create(self, partner: Partner) -> str:
        if partner.client_id in self.partners:
            raise PartnerError(f"the realm has a client {partner.client_id} already")
        self.partners[partner.client_id] = partner
        return self.renew_secret(partner.client_id)

    def update(self, partner: Partner) -> None:
        known = self._known(partner.client_id)
        self.partners[partner.client_id] = replace(
            known, state=partner.state, last_grant=partner.last_grant
        )

    def renew_secret(self, client_id: str) -> str:
        self._known(client_id)
        self.secrets[client_id] = f"secret{next(self._numbers)}"
        return self.secrets[client_id]

    def delete(self, client_id: str) -> None:
        self.partners.pop(client_id, None)
        self.secrets.pop(client_id, None)

    def accepts(self, client_id: str, secret: str) -> bool:
        """Whether the realm would give a token."""
        known = self.partners.get(client_id)
        revoked = known is None or known.state is State.REVOKED
        return not revoked and self.secrets[client_id] == secret

    def _known(self, client_id: str) -> Partner:
        if client_id not in self.partners:
            raise PartnerError(f"the realm has no client {client_id}")
        return self.partners[client_id]


class MemoryAccess:
    def __init__(self) -> None:
        self.topics: dict[str, set[str]] = defaultdict(set)
        self.known_groups: list[str] = []
        self.rates: dict[str, int] = {}

    def granted(self) -> dict[str, list[str]]:
        return {client: sorted(names) for client, names in self.topics.items() if names}

    def grant(self, client_id: str, topic: str) -> None:
        self.topics[client_id].add(topic)

    def revoke(self, client_id: str, topic: str | None = None) -> None:
        if topic is None:
            self.topics.pop(client_id, None)
        else:
            self.topics[client_id].discard(topic)

    def groups(self) -> list[str]:
        return self.known_groups

    def limits(self) -> dict[str, int]:
        return dict(self.rates)

    def limit(self, client_id: str, bytes_per_second: int | None) -> None:
        self.rates.pop(client_id, None)
        if bytes_per_second is not None:
            self.rates[client_id] = bytes_per_second
