"""A JSON line that loses a secret is still a JSON line."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marathond.attempt.redact import Redactor

SECRETS = {"PIN_SECRET": "1234567890", "QUOTED_KEY": 'pa"ss\\wo/rd\n<é>&x', "PLAIN_TOKEN": "plainplainplain"}
LOOKS = [
    "sk-ant-api03-a1B2c3D4e5F6",
    "password: a1B2c3D4e5F6g7H8i9J0\n",
    "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 3,
]

STRINGS = st.lists(
    st.one_of(st.sampled_from([*SECRETS.values(), *LOOKS, "\\", '"', "\n", "\\n", "token="]), st.text(max_size=8)),
    max_size=5,
).map("".join)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(1234567890), st.just(-12345678901), STRINGS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(STRINGS, inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip


def strings_in(value: Any) -> list[str]:
    """Every string and number in a JSON value, as text."""
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in strings_in(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings_in(part)]
    return [str(value)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(STRINGS, VALUES, min_size=1, max_size=3), min_size=1, max_size=4), st.booleans())
def test_json_lines_stay_json_lines(records: list[dict[str, Any]], ascii_only: bool) -> None:
    """Whatever the strings around and inside it: each line parses, and no handed-out secret is in what it says."""
    text = "".join(json.dumps(record, ensure_ascii=ascii_only) + "\n" for record in records)
    redactor = Redactor(SECRETS)
    data = text.encode("utf-8", "surrogatepass")
    out = redactor.feed(data) + redactor.flush()
    lines = out.decode("utf-8", "surrogatepass").split("\n")
    assert len(lines) == len(records) + 1
    for line in lines[:-1]:
        said = strings_in(json.loads(line))
        assert not any(secret in text for secret in SECRETS.values() for text in said)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"pin":1234567890,"a":[true,null]}', {"pin": "[redacted:PIN_SECRET]", "a": [True, None]}),
        ('{"t":"\\u0070lainplain\\u0070lain"}', {"t": "[redacted:PLAIN_TOKEN]"}),
        ('{"t":"say \\"plainplainplain\\"!"}', {"t": 'say "[redacted:PLAIN_TOKEN]"!'}),
        ('{"plainplainplain":1}', {"[redacted:PLAIN_TOKEN]": 1}),
        ('{"in":"{\\"password\\": \\"a1B2c3D4e5F6g7H8i9J0\\"}"}', {"in": '{"password": "[redacted:high-entropy]"}'}),
    ],
)
def test_a_secret_is_found_however_json_writes_it(line: str, expected: object) -> None:
    """As a number, behind needless escapes, as a key, in JSON within JSON."""
    assert json.loads(Redactor(SECRETS).redact_text(line)) == expected


def test_lines_without_a_secret_are_not_rewritten() -> None:
    """A line that holds no secret passes byte for byte, odd spacing and escapes included."""
    line = '{ "a" : 1.0e5 ,  "b":"\\u003cb\\u003e \\u0041" }\n'
    assert Redactor(SECRETS).redact_text(line) == line
