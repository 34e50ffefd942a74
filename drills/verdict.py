"""What a drill concludes, in the words of Jepsen's checkers."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Verdict:
    """Counts of a drill. It passes when nothing is lost, invented, done twice or out of
    order, and when there was something to lose.
    """

    drill: str
    seed: int
    faults: int = 0
    attempted: int = 0
    acknowledged: int = 0
    # Acknowledged, and not there afterwards.
    lost: list[str] = field(default_factory=list)
    # There, and never attempted.
    phantom: list[str] = field(default_factory=list)
    # One effect, more than once.
    duplicate: list[str] = field(default_factory=list)
    # There, and not what was sent.
    corrupt: list[str] = field(default_factory=list)
    # After a later one of its key.
    inversions: list[str] = field(default_factory=list)
    # Sent to Kafka again, which consumers tell by the event's id: counted, and no failure.
    wire_duplicates: int = 0
    # What this drill cannot show, said beside its figures.
    limits: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        faults = (self.lost, self.phantom, self.duplicate, self.corrupt, self.inversions)
        clean = not any(faults)
        return clean and self.faults > 0 and self.acknowledged > 0

    def told(self) -> str:
        """The verdict for people, in a few lines."""
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        return (
            f"{self.drill} (seed {self.seed}): {'passed' if self.passed else 'FAILED'}\n"
            f"  {self.faults} faults, {self.acknowledged}/{self.attempted} acknowledged;"
            f" lost {len(self.lost)}, phantom {len(self.phantom)}, duplicate {len(self.duplicate)},"
            f" corrupt {len(self.corrupt)}, inversions {len(self.inversions)};"
            f" duplicates on the wire {self.wire_duplicates}\n"
            f"  {figures}\n"
            f"  not shown: {self.limits}"
        )

    def save(self, folder: Path) -> Path:
        """Writes the verdict as JSON; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.drill}.json"
        path.write_text(json.dumps({**asdict(self), "passed": self.passed}, indent=2) + "\n")
        return path
