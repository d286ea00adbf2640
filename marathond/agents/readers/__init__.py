"""Readers: what an agent's output means.

`make(profile)` gives the reader for a profile; `read_conclusion` runs one over the stored output of a finished attempt.
"""

from pathlib import Path
from typing import Final

from marathond.agents.profile import Profile
from marathond.agents.readers.base import Conclusion, Ending, Event, Reader, render
from marathond.agents.readers.claude import ClaudeReader
from marathond.agents.readers.codex import CodexReader
from marathond.agents.readers.files import error_tail, lines
from marathond.agents.readers.scripted import ScriptedReader
from marathond.agents.readers.text import TextReader
from marathond.domain.entries import Usage

__all__ = ["READERS", "Conclusion", "Ending", "Event", "Reader", "make", "read_conclusion", "render"]

READERS: Final[dict[str, type[Reader]]] = {
    "claude-stream-json": ClaudeReader,
    "codex-jsonl": CodexReader,
    "text": TextReader,
    "scripted": ScriptedReader,
}


def make(profile: Profile) -> Reader:
    """A fresh reader for one attempt of the profile's agent."""
    return READERS[profile.reader](profile)


def read_conclusion(
    profile: Profile, output: Path, errors: Path, ending: Ending, *, previous: Usage | None = None
) -> Conclusion:
    """What a finished attempt came to, from its stored output and errors; files that are missing count as empty.

    `previous` is the usage of the earlier attempts in the same thread, together; it is subtracted where the agent counts
    over the whole thread. Blocks while it reads: call it in a thread.
    """
    reader = make(profile)
    for line in lines(output):
        reader.feed(line)
    return reader.conclude(ending, error_tail(errors), previous=previous)
