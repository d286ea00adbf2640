"""The nearest right word. Standard library only."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, words: Iterable[str]) -> str:
    """A sentence that names the word that was probably meant, or some of the words there are."""
    known = list(words)
    if close := get_close_matches(word, known, n=1):
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(known[:10])}{' …' if len(known) > 10 else ''}." if known else ""
