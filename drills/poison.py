"""One event in a hundred is poison: the handler fails for ever, or at first; or it is no event.

Its key waits and nobody else's does; what cannot be applied ends as a dead letter with its cause.
"""

from collections import Counter, defaultdict

from deploy.local import Stack
from drills.ledger import Ledger, judge
from drills.parts import parts
from drills.scratch import scratch
from drills.verdict import Verdict
from drills.writers import Load, Writers

FACTS = 100_000
SHARE = 0.01
FACTS_OF_A_KEY = 20
CONSUMERS = 2
HELD_SECONDS = 5.0
# Twelve attempts over a quarter of an hour are the default: as many of each kind, sooner.
SETTINGS = {"BACKBONE_EVENT_ATTEMPTS": "10", "BACKBONE_EVENT_PAUSE": "0.05"}


def run(stack: Stack, seed: int, scale: float) -> Verdict:
    """So many facts, and how long their poison held a partition."""
    facts = round(FACTS * scale)
    verdict = Verdict("poison", seed, limits="handlers that fail at once, and not slowly")
    with scratch(stack) as place, parts(place) as programs:
        programs.relay()
        for _ in range(CONSUMERS):
            programs.consumer(**SETTINGS)
        load = Load(keys=max(100, facts // FACTS_OF_A_KEY), poison=SHARE)
        with Writers(place, seed, load, facts=facts) as writers:
            writers.wait()
        ledger = judge(verdict, place, writers)
    poison = [mark for mark, fact in ledger.facts.items() if fact.fails]
    verdict.faults = len(poison)
    verdict.lost += [f"{mark}: no cause" for mark, cause in ledger.dead.items() if not cause]
    held = _held(ledger)
    verdict.figures = {
        "poison": len(poison),
        "succeeded_later": len({effect.mark for effect in ledger.effects} & set(poison)),
        "dead_letters_by_cause": dict(Counter(ledger.dead.values())),
        "partition_held_seconds_max": round(max(held), 3),
        "partition_held_longer_than_5_s": sum(seconds > HELD_SECONDS for seconds in held),
    }
    return verdict


def _held(ledger: Ledger) -> list[float]:
    """Seconds from one effect of a partition to its next while that one waited on the topic, among
    the keys that have no poison.
    """
    facts = ledger.facts
    bad = {fact.key for fact in facts.values() if fact.fails}
    sent = {record.mark: record for record in reversed(ledger.sent)}
    effects: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for effect in ledger.effects:
        if effect.mark in sent and facts[effect.mark].key not in bad:
            record = sent[effect.mark]
            effects[record.partition].append((effect.time, record.time))
    return [
        after - max(before, waiting_since)
        for of in effects.values()
        for (before, _), (after, waiting_since) in zip(sorted(of), sorted(of)[1:], strict=False)
    ] or [0.0]
