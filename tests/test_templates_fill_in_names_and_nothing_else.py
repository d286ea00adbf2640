"""`{{ name }}` is filled in, everything else stays as it is, and an undefined name is an error."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marathond.planning.templates import TemplateError, escape, names, render

ANY_TEXT = st.text(st.sampled_from("{} ab.\n"), max_size=30)


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("a {{ x }} b", "a 1 b"),
        ("{{x}}{{  x\n}}", "11"),
        ("{{ task.plan-a_1.text }}", "2 {{ x }}"),
        ("{{{{ x }}", "{{ x }}"),
        ("{{{{{{ x }}", "{{1"),
        ("}} { } {x} %x $x", "}} { } {x} %x $x"),
        ("", ""),
    ],
)
def test_render(template: str, rendered: str) -> None:
    """Space inside the braces does not matter, values are not read again, four braces are two."""
    assert render(template, {"x": "1", "task.plan-a_1.text": "2 {{ x }}"}) == rendered


@pytest.mark.parametrize(
    "template", ["{{", "{{ x", "{{ }}", "{{}}", "{{ a b }}", "{{ .x }}", "{{{ x }}}", "{{ task.x }}", "{{ task.X.text }}", "{{ 1 }}"]
)  # fmt: skip
def test_what_is_no_template(template: str) -> None:
    """Braces around anything but a name are an error in both functions, which tells how to write them literally."""
    with pytest.raises(TemplateError, match=re.escape("write {{{{ for a literal {{")):
        names(template)
    with pytest.raises(TemplateError):
        render(template, {"x": "1"})


def test_undefined() -> None:
    """A name without a value is an error."""
    with pytest.raises(TemplateError, match=re.escape("{{ y }} is not defined")):
        render("{{ x }} {{ y }}", {"x": ""})


def test_names() -> None:
    """Each name is told once, in order."""
    assert names("{{ b }} {{ task.t.text }} {{ a }} {{ b }}") == ("b", "task.t.text", "a")


@given(ANY_TEXT)
def test_escape(text: str) -> None:
    """Escaped text renders to itself."""
    assert render(escape(text), {}) == text


@given(st.lists(st.tuples(ANY_TEXT, st.sampled_from(["a", "b-1", "task.t.text"]))), ANY_TEXT, ANY_TEXT)
def test_values_are_put_in_as_they_are(parts: list[tuple[str, str]], last: str, value: str) -> None:
    """However literal text and values look, each name becomes its value and the rest stays."""
    template = "".join(f"{escape(text)} {{{{ {name} }}}}" for text, name in parts) + escape(last)
    values = {"a": value, "b-1": "x", "task.t.text": "{{ a }}"}
    assert render(template, values) == "".join(f"{text} {values[name]}" for text, name in parts) + last
