"""Names of files side by side."""

from pathlib import PurePosixPath


class Names:
    """The names that were given out in one folder."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        """The name, or, where it is taken, with a number: `acte (2).pdf`. Two that differ by case
        alone are the same on some systems.
        """
        path, number, candidate = PurePosixPath(name), 1, name
        while candidate.casefold() in self._taken:
            number += 1
            candidate = f"{path.stem} ({number}){path.suffix}"
        self._taken.add(candidate.casefold())
        return candidate
