"""A step of `backbone partner check`, and how one fails."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """What was checked; `passed` is None when an earlier failure left nothing to check."""

    name: str
    passed: bool | None
    detail: str = ""
    mend: str = ""


class StepFailed(Exception):
    """What is wrong and its mend, free of secrets; `final`: no later step can be tried."""

    def __init__(self, detail: str, mend: str, *, final: bool = False) -> None:
        super().__init__(detail)
        self.detail, self.mend, self.final = detail, mend, final
