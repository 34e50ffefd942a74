"""What the local stack says when it cannot do what was asked: one sentence, and one that says how
to mend it.
"""


class StackError(Exception):
    """A failure with its mend: `str(error)` is both, ready to print."""

    def __init__(self, problem: str, mend: str) -> None:
        self.problem = problem
        self.mend = mend
        super().__init__(f"{problem}\n  → {mend}")
