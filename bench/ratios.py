"""Rounds of two or more sides in turn, and what their ratios say."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Side = Callable[[], float]


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the greatest of some figures."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, figures: list[float]) -> "Spread":
        return cls(min(figures), statistics.median(figures), max(figures))

    @property
    def figures(self) -> tuple[float, float, float]:
        return self.low, self.median, self.high


def interleaved(sides: Mapping[str, Side], rounds: int) -> dict[str, list[float]]:
    """The figure of each side in each round, after one round that only warms them up.

    Sides take turns, so that what else the machine does meanwhile (it is never idle) weighs on all
    of them.
    """
    for side in sides.values():
        side()
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            figures[name].append(side())
        told = ", ".join(f"{name} {figures[name][-1]:,.0f}" for name in sides)
        print(f"  round {number + 1}/{rounds}: {told}", flush=True)
    return figures


def ratio(ours: list[float], theirs: list[float]) -> Spread:
    """Ours over theirs, round by round."""
    return Spread.of([one / other for one, other in zip(ours, theirs, strict=True)])
