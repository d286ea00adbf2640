"""Prompts are templates: `{{ name }}` stands for a variable, `{{ task.ID.text }}` for the final words of a finished task.

Space inside the braces does not matter. `{{{{` writes a literal `{{`; `}}` needs no such care. Values are put in as they
are and never read as templates themselves. A frozen prompt keeps its names: they are filled in when a task is dispatched.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

ESCAPE = "{{{{"

_PLACE = re.compile(r"\{\{\{\{|\{\{((?:(?!\}\}|\{\{).)*)\}\}|\{\{", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TASK_TEXT = re.compile(r"task\.([a-z0-9][a-z0-9_-]{0,63})\.text")


class TemplateError(ValueError):
    """A template that cannot be read or filled in; the text says why."""


class Name(NamedTuple):
    """A name between braces. `task` is the id in `task.ID.text`, None for a variable."""

    text: str
    task: str | None


class Template(NamedTuple):
    """A template taken apart: literal text and names in order, and what is wrong with it."""

    parts: tuple[str | Name, ...]
    faults: tuple[str, ...]

    @property
    def names(self) -> tuple[Name, ...]:
        """Each name once, in order of appearance."""
        return tuple(dict.fromkeys(part for part in self.parts if isinstance(part, Name)))


def is_variable(text: str) -> bool:
    """Whether `text` can be the name of a variable."""
    return _VARIABLE.fullmatch(text) is not None


def parse(text: str) -> Template:
    """Takes a template apart; never raises."""
    parts: list[str | Name] = []
    faults: list[str] = []
    at = 0
    for place in _PLACE.finditer(text):
        parts.append(text[at : place.start()])
        at = place.end()
        inner = place[1]
        if inner is None and place[0] == ESCAPE:
            parts.append("{{")
        elif inner is None:
            faults.append(f"{{{{ is not closed by }}}} (write {ESCAPE} for a literal {{{{)")
        elif (name := _name(inner.strip())) is not None:
            parts.append(name)
        else:
            faults.append(f"{{{{ {_short(inner)} }}}} is not a name (write {ESCAPE} for a literal {{{{)")
    parts.append(text[at:])
    return Template(tuple(part for part in parts if part), tuple(dict.fromkeys(faults)))


def names(text: str) -> tuple[str, ...]:
    """The names in a template, each once: `("module", "task.plan.text")`. Raises TemplateError."""
    template = parse(text)
    if template.faults:
        raise TemplateError(template.faults[0])
    return tuple(name.text for name in template.names)


def render(text: str, values: Mapping[str, str]) -> str:
    """Fills in a template; `values` has one text for each of its `names`. Raises TemplateError for an undefined name."""
    template = parse(text)
    if template.faults:
        raise TemplateError(template.faults[0])
    for name in template.names:
        if name.text not in values:
            raise TemplateError(f"{{{{ {name.text} }}}} is not defined")
    return "".join(part if isinstance(part, str) else values[part.text] for part in template.parts)


def escape(text: str) -> str:
    """The template whose rendering is `text` itself."""
    return text.replace("{{", ESCAPE)


def _name(inner: str) -> Name | None:
    if (task := _TASK_TEXT.fullmatch(inner)) is not None:
        return Name(inner, task[1])
    return Name(inner, None) if is_variable(inner) else None


def _short(inner: str) -> str:
    line = " ".join(inner.split())
    return line if len(line) <= 40 else f"{line[:39]}…"
