"""The drills in their short form: faults on the real stack, and nothing lost or done twice."""

from typing import Any

import pytest

from deploy.local.paths import LOCAL
from drills.__main__ import DRILLS, SEED

# Of the full form, which `make drill` runs: a few seconds each.
SHORT = {
    "kill-services": 0.015,
    "relay-race": 0.03,
    "late-commits": 0.02,
    "poison": 0.02,
    "rebalance": 0.08,
    "kill-broker": 0.2,
    "freeze-broker": 0.133,
    "vault-crash": 0.06,
}


@pytest.mark.parametrize("name", DRILLS)
def test_nothing_is_lost_invented_done_twice_or_out_of_order(
    stack: dict[str, Any], name: str
) -> None:
    verdict = DRILLS[name](stack, SEED, SHORT[name])
    verdict.save(LOCAL / "drills" / "short")
    assert verdict.passed, verdict.told()
