"""Paths of files in one archive."""

from pathlib import PurePosixPath


class Names:
    """The paths that were given out."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        """The path, or, where it is taken, with a number: `2026/acte (2).pdf`. Two that differ by
        case alone are the same on some systems.
        """
        path, number, candidate = PurePosixPath(name), 1, name
        while candidate.casefold() in self._taken:
            number += 1
            candidate = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
        self._taken.add(candidate.casefold())
        return candidate
