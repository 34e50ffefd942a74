"""Mandates: what may be offered, and the states from the offer to the end."""

from datetime import UTC, datetime, timedelta

import pytest

from backbone.errors import InvalidInput
from services.identity.domain.mandate import Offer, State, state

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ONE, OTHER = "a" * 8, "b" * 8


def asked(
    representative_id: str = OTHER, start_time: datetime | None = None, end: datetime = NOW + DAY
) -> Offer:
    return Offer.asked(ONE, representative_id, ["b", "a", "b"], start_time, end, NOW)


def test_an_offer_begins_now_unless_it_says_when() -> None:
    assert asked() == Offer(ONE, OTHER, ("a", "b"), NOW, NOW + DAY)
    assert asked(start_time=NOW + DAY / 2).start_time == NOW + DAY / 2


@pytest.mark.parametrize(
    ("offer", "field", "reason"),
    [
        ({"representative_id": ONE}, "representative_id", "ONESELF"),
        ({"representative_id": ONE.upper()}, "representative_id", "ONESELF"),
        ({"end": NOW}, "expire_time", "PAST"),
        ({"start_time": NOW + 2 * DAY}, "expire_time", "REVERSED"),
        ({"start_time": NOW + DAY}, "expire_time", "REVERSED"),
    ],
)
def test_an_offer_that_cannot_be_is_refused_by_its_field(
    offer: dict[str, object], field: str, reason: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        asked(**offer)  # type: ignore[arg-type]
    assert [(item.field, item.reason) for item in refused.value.fields] == [(field, reason)]


def test_a_mandate_is_offered_then_active_then_ended_by_someone_or_its_date() -> None:
    end = NOW + DAY
    assert state(end, None, None, NOW) is State.OFFERED
    assert state(end, NOW, None, NOW) is State.ACTIVE
    assert state(end, NOW, NOW, NOW) is State.ENDED
    assert state(end, None, NOW, NOW) is State.ENDED
    assert state(end, NOW, None, end) is State.ENDED
    assert state(end, None, None, end) is State.ENDED
