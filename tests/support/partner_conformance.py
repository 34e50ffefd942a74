"""What every `Registry` and every `Access` does: one body, for the fakes and the real ones."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from backbone.partners.access import Access
from backbone.partners.partner import Partner, PartnerError, State
from backbone.partners.registry import Registry
from tests.support.polling import eventually

TOPIC = "public.documents.v1.Document"


class RegistryConformance:
    """Subclass it with fixtures `registry`, `client_id` (of this test alone) and `accepts`."""

    @pytest.fixture
    def partner(self, registry: Registry, client_id: str) -> Iterator[Partner]:
        yield Partner(client_id, "essai-sud", State.ADDING)
        registry.delete(client_id)

    def test_what_is_registered_is_found_as_it_was_given(
        self, registry: Registry, partner: Partner
    ) -> None:
        assert registry.find(partner.client_id) is None
        registry.create(partner)
        assert registry.find(partner.client_id) == partner
        assert partner in registry.all()

    def test_a_name_is_taken_once(self, registry: Registry, partner: Partner) -> None:
        registry.create(partner)
        with pytest.raises(PartnerError, match="already"):
            registry.create(replace(partner, administration="essai-nord"))
        assert registry.find(partner.client_id) == partner

    def test_a_new_secret_takes_the_place_of_the_old_one(
        self, registry: Registry, partner: Partner, accepts: Callable[[str, str], bool]
    ) -> None:
        first = registry.create(partner)
        assert accepts(partner.client_id, first)
        second = registry.renew_secret(partner.client_id)
        assert not accepts(partner.client_id, first)
        assert accepts(partner.client_id, second)

    def test_who_is_revoked_gets_no_token_until_it_is_ready_again(
        self, registry: Registry, partner: Partner, accepts: Callable[[str, str], bool]
    ) -> None:
        secret = registry.create(partner)
        for state, accepted in ((State.REVOKED, False), (State.READY, True)):
            changed = replace(partner, state=state, last_grant="2026-11-24T12:00:00+00:00")
            registry.update(changed)
            assert registry.find(partner.client_id) == changed
            assert accepts(partner.client_id, secret) is accepted

    def test_what_is_deleted_is_gone_and_deleting_again_is_nothing(
        self, registry: Registry, partner: Partner
    ) -> None:
        registry.create(partner)
        registry.delete(partner.client_id)
        assert registry.find(partner.client_id) is None
        registry.delete(partner.client_id)

    def test_nobody_changes_a_partner_that_is_not_there(
        self, registry: Registry, partner: Partner
    ) -> None:
        with pytest.raises(PartnerError, match=partner.client_id):
            registry.update(partner)
        with pytest.raises(PartnerError, match=partner.client_id):
            registry.renew_secret(partner.client_id)


class AccessConformance:
    """Subclass it with fixtures `access` and `client_id` (of this test alone)."""

    @pytest.fixture(autouse=True)
    def nothing_left(self, access: Access, client_id: str) -> Iterator[None]:
        yield
        for client in (client_id, f"{client_id}-2"):
            access.revoke(client)
            access.limit(client, None)

    def test_a_topic_is_granted_once_and_taken_back(self, access: Access, client_id: str) -> None:
        assert client_id not in access.granted()
        access.grant(client_id, TOPIC)
        access.grant(client_id, TOPIC)
        assert access.granted()[client_id] == [TOPIC]
        access.revoke(client_id, TOPIC)
        assert client_id not in access.granted()

    def test_taking_back_leaves_a_client_whose_name_begins_alike(
        self, access: Access, client_id: str
    ) -> None:
        access.grant(client_id, TOPIC)
        access.grant(f"{client_id}-2", TOPIC)
        access.revoke(client_id)
        access.revoke(client_id)
        assert client_id not in access.granted()
        assert access.granted()[f"{client_id}-2"] == [TOPIC]

    def test_a_limit_is_kept_changed_and_lifted(self, access: Access, client_id: str) -> None:
        for rate in (4096, 8192):
            access.limit(client_id, rate)
            # It is kept by the controller first, and told by the broker a moment later.
            eventually(lambda: access.limits().get(client_id) == rate)  # noqa: B023
        access.limit(client_id, None)
        eventually(lambda: client_id not in access.limits())
        access.limit(client_id, None)

    def test_groups_are_named(self, access: Access, client_id: str) -> None:
        assert f"{client_id}.nothing" not in access.groups()
