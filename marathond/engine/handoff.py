"""The words an attempt starts with: the task's prompt, and before it, where there was an earlier attempt, what happened.

Built by code from recorded facts, never by a model. An attempt that continues in its thread is told only what is new to it;
one that starts without the conversation gets the whole prompt and a handoff.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from marathond.domain.contract import Task as Spec
from marathond.domain.entries import Mode
from marathond.domain.session import Attempt

_OUTPUT_CHARS_MAX = 4000
_PATCH_CHARS_MAX = 24_000


class Past(NamedTuple):
    """What an earlier attempt left: its facts, its failed checks' output by index, its patch after a conflict.

    `why` is the recorded reason for the attempt that follows it.
    """

    attempt: Attempt
    outputs: Mapping[int, str]
    patch: str
    why: str


def opening(spec: Spec, prompt: str, mode: Mode, past: Past | None) -> str:
    """The words that open a new conversation: the whole prompt, already rendered, and a handoff if there was an attempt before."""
    if past is None:
        return prompt
    return f"{prompt.rstrip()}\n\n---\n\n{_handoff(spec, mode, past.why, past)}"


def continuation(spec: Spec, past: Past | None) -> str | None:
    """What an agent that goes on in its thread is told: just what still fails. None: it was only interrupted, and its
    profile knows what to say to that.
    """
    if past is None or past.why != "failed":
        return None
    return (
        "Your work was checked. Some checks passed; these still fail:\n\n"
        f"{_failures(spec, past)}\n\nMend just what still fails, and keep what works."
    )


def _handoff(spec: Spec, mode: Mode, why: str, past: Past) -> str:
    tree = (
        "Its changes are still in the working tree: look at them first."
        if mode == "cold"
        else "Its changes were set aside; the working tree is clean."
    )
    lines = [f"This is a new attempt. Attempt {past.attempt.number} came before it. {tree}"]
    if why == "conflict":
        paths = ", ".join(past.attempt.conflict_paths)
        lines.append(
            f"Its work conflicted with work that was finished meanwhile (in {paths}). The working tree holds that newer work:"
            " do the task again on top of it. The earlier patch, for reference:\n\n"
            + _fenced(past.patch, _PATCH_CHARS_MAX)
        )
    elif past.attempt.refused is not None:
        lines.append(f"Its work was not accepted: {past.attempt.refused}.")
    elif failures := _failures(spec, past):
        lines.append(f"It did not pass these checks:\n\n{failures}")
    elif past.attempt.candidate is not None and past.attempt.candidate.empty and not spec.checks:
        lines.append("It changed no file, and this task is not done without a change.")
    elif past.attempt.error:
        lines.append(f"It ended with: {past.attempt.outcome or 'lost'} ({past.attempt.error})")
    elif past.attempt.outcome:
        lines.append(f"It ended with: {past.attempt.outcome}")
    if past.attempt.text and why != "conflict":
        lines.append("Its last words were:\n\n" + _fenced(past.attempt.text, _OUTPUT_CHARS_MAX))
    return "\n\n".join(lines)


def _failures(spec: Spec, past: Past) -> str:
    parts = []
    for index in sorted(past.attempt.checks):
        result = past.attempt.checks[index]
        if result.ok:
            continue
        text = f"- {spec.checks[index].title}: {result.detail}"
        if output := past.outputs.get(index, "").strip():
            text += "\n\n" + _fenced(output, _OUTPUT_CHARS_MAX)
        parts.append(text)
    return "\n\n".join(parts)


def _fenced(text: str, chars: int) -> str:
    """The end of a text inside a fence longer than any in it, so that the text cannot close it."""
    text = text[-chars:] if len(text) > chars else text
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text.strip()}\n{fence}"
