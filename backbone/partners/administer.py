"""What an operator does to partners: each step here leaves the realm and Kafka in agreement."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from backbone.partners.access import Access
from backbone.partners.partner import (
    Partner,
    PartnerError,
    State,
    checked,
    client_id_of,
    grantable,
)
from backbone.partners.registry import Registry


class Handover(Protocol):
    """What carries a partner's credentials to it."""

    def write(self, partner: Partner, secret: str, granted: Sequence[str], *, again: bool) -> None:
        """Whole or not at all; `again`: over what an interrupted run may have written.

        Raises:
            PartnerError: it cannot.
        """

    def remove(self) -> None:
        """Takes back what `write` wrote, if it did."""


@dataclass(frozen=True, slots=True)
class Row:
    """A partner, as `list` tells it."""

    client: str
    administration: str
    state: str
    topics: list[str]
    groups: list[str]
    consumer_byte_rate: int | None
    last_grant: str


class Partners:
    """Every method raises PartnerError with the mend where it cannot do what it promises."""

    def __init__(self, registry: Registry, access: Access) -> None:
        self._registry = registry
        self._access = access

    def add(
        self,
        alias: str,
        administration: str,
        granted: Sequence[str],
        byte_rate: int,
        handover: Handover,
    ) -> str:
        """Registers a partner, grants it topics and hands its credentials over: all, or nothing.

        One that was interrupted, or that was revoked, starts again with a new secret. The client
        is marked `adding` until its credentials are handed over, so that a run that was killed
        is finished by the next. Returns the secret.

        Raises:
            PartnerError: it exists already, a name or a topic is wrong, or a system refuses.
        """
        client_id, wanted = client_id_of(alias), [grantable(topic) for topic in granted]
        checked(administration, "administration")
        known = self._registry.find(client_id)
        if known and known.administration != administration:
            raise PartnerError(f"{client_id} acts for {known.administration}: choose another alias")
        if known and known.state is State.READY:
            raise PartnerError(
                f"{client_id} exists: `backbone partner grant`, `rotate` or `revoke` changes it"
            )
        # Kafka is asked before anything is written: away, it leaves nothing to undo.
        self._access.granted()
        partner = replace(known or Partner(client_id, administration), state=State.ADDING)
        secret = "" if known else self._registry.create(partner)
        try:
            if known:
                self._access.revoke(client_id)
                secret = self._registry.renew_secret(client_id)
                self._registry.update(partner)
            for topic in wanted:
                self._access.grant(client_id, topic)
            self._access.limit(client_id, byte_rate)
            again = known is not None and known.state is State.ADDING
            handover.write(partner, secret, wanted, again=again)
            last_grant = _now() if wanted else ""
            self._registry.update(replace(partner, state=State.READY, last_grant=last_grant))
        except BaseException as failure:  # an interruption leaves nothing behind either
            handover.remove()
            left = self._undo(client_id, known)
            if left and isinstance(failure, PartnerError):
                raise PartnerError(f"{failure}; {left}") from failure
            raise
        return secret

    def grant(self, client_id: str, topic: str) -> None:
        """Lets a partner read one more topic."""
        partner = self._ready(client_id)
        self._access.grant(client_id, grantable(topic))
        self._registry.update(replace(partner, last_grant=_now()))

    def revoke(self, client_id: str, topic: str | None = None) -> Partner | None:
        """Takes back one topic, or everything and the client's tokens.

        Kafka refuses the next read at once, on live connections as well. Without a topic, the
        realm gives no further token: what lives of the client ends with its last one.
        Returns the partner, None where Kafka alone still knew it.
        """
        partner = self._registry.find(client_id)
        has = self._access.granted().get(client_id, [])
        if partner is None and not has:
            raise PartnerError(f"{client_id} is no partner: see `backbone partner list`")
        if topic is not None and topic not in has:
            raise PartnerError(f"{client_id} has no access to {topic}; it has: {_listed(has)}")
        if topic is None and partner:
            self._registry.update(replace(partner, state=State.REVOKED))
        self._access.revoke(client_id, topic)
        if topic is None:
            self._access.limit(client_id, None)
        return partner

    def rotate(self, client_id: str) -> str:
        """A new secret; the old one gets no token from now on."""
        self._ready(client_id)
        return self._registry.renew_secret(client_id)

    def limit(self, client_id: str, byte_rate: int) -> None:
        """How many bytes per second it may read, on each broker."""
        self._ready(client_id)
        self._access.limit(client_id, byte_rate)

    def rows(self) -> list[Row]:
        """Every partner, and every client that Kafka alone still knows."""
        granted, limits = self._access.granted(), self._access.limits()
        groups = self._access.groups()
        partners = {partner.client_id: partner for partner in self._registry.all()}
        absent = Partner("", "", State.ABSENT)
        rows = []
        for client_id in sorted(partners.keys() | granted.keys()):
            partner = partners.get(client_id, absent)
            rows.append(
                Row(
                    client=client_id,
                    administration=partner.administration,
                    state=str(partner.state),
                    topics=granted.get(client_id, []),
                    groups=[name for name in groups if name.startswith(f"{client_id}.")],
                    consumer_byte_rate=limits.get(client_id),
                    last_grant=partner.last_grant,
                )
            )
        return rows

    def _ready(self, client_id: str) -> Partner:
        partner = self._registry.find(client_id)
        if partner is None:
            raise PartnerError(f"{client_id} is no partner: see `backbone partner list`")
        if partner.state is not State.READY:
            raise PartnerError(
                f"{client_id} is {partner.state}: `backbone partner add` lets it in again"
            )
        return partner

    def _undo(self, client_id: str, known: Partner | None) -> str:
        """Back to before `add`; what could not be undone, empty when everything was."""
        try:
            self._access.revoke(client_id)
            self._access.limit(client_id, None)
            # Last, since it is what the next `add` goes by.
            if known and known.state is State.REVOKED:
                self._registry.update(known)
            else:
                self._registry.delete(client_id)
        except PartnerError as error:
            return f"nor could it be undone ({error}): run the same again to finish it"
        return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
