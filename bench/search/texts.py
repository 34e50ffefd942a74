"""Documents for the bench: words of French make, as often as words are (Zipf), always the same."""

import random
from collections.abc import Iterator

WORDS, LENGTH, SEED = 20_000, 120, 2026
_STARTS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "br",
    "cr",
    "dr",
    "fr",
    "gr",
    "pl",
    "pr",
    "tr",
    "ch",
]
_MIDDLES = ["a", "e", "i", "o", "u", "ai", "au", "ou", "oi", "an", "en", "on", "in", "é", "è"]
_ENDS = ["", "", "", "re", "te", "ment", "tion", "eur", "age", "el", "ée"]


def vocabulary() -> list[str]:
    """Words, the most common first."""
    chance, found = random.Random(SEED), dict[str, None]()
    while len(found) < WORDS:
        syllables = chance.randint(1, 3)
        stem = "".join(chance.choice(_STARTS) + chance.choice(_MIDDLES) for _ in range(syllables))
        word = stem + chance.choice(_ENDS)
        # Shorter ones may be words that are not looked for.
        if len(word) > 4:
            found.setdefault(word)
    return list(found)


def documents(words: list[str], count: int) -> Iterator[tuple[str, str]]:
    """Names and texts."""
    chance = random.Random(SEED)
    weights = [1 / (rank + 10) for rank in range(len(words))]
    for number in range(count):
        text = chance.choices(words, weights, k=LENGTH)
        yield f"{text[0]} {text[1]} {number}.pdf", " ".join(text)
