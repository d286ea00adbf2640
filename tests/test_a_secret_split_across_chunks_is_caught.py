"""However output is cut into writes, no secret gets through, and ordinary text does."""

import base64
import json
import string
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marathond.attempt.redact import Redactor, find_secrets, secret_values

KEY = "Zk8-pL0q/Rw+7=xY"
TWO_LINES = 'first-line-of-it\nsecond "line" of it'
SECRETS = {"MY_API_KEY": KEY, "CERT_SECRET": TWO_LINES}

PEM_BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3)
PEM = f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----"
PREFIXED = {
    "anthropic-key": "sk-ant-" + "api03-aB3" * 8,
    "api-key": "sk-" + "proj-a1B2c3D4e5F6g7H8i9J0",
    "github-token": "ghp_" + "a1B2c3D4e5" * 4,
    "gitlab-token": "glpat-" + "a1B2c3D4e5_-a1B2c3D4",
    "aws-key-id": "AKIA" + "IOSFODNN7EXAMPLE",
    "slack-token": "xoxb-" + "123456789012-abcdefABCDEF",
    "google-key": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"[:35],
    "npm-token": "npm_" + "a1B2c3D4e5F6" * 3,
    "huggingface-token": "hf_" + "a1B2c3D4e5" * 4,
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "stripe-key": "sk_live_" + "a1B2c3D4e5F6g7H8",
}


def wrap(data: bytes, width: int, end: str) -> str:
    """As `base64` and `openssl` print it: lines of `width` characters."""
    whole = base64.b64encode(data).decode()
    return end.join(whole[at : at + width] for at in range(0, len(whole), width))


EXACT_FORMS = [
    KEY,
    json.dumps(KEY)[1:-1].replace("/", "\\/"),
    quote(KEY, safe=""),
    "Zk8-pL0q%2fRw%2b7%3dxY",
    KEY.encode().hex(),
    TWO_LINES,
    json.dumps(TWO_LINES)[1:-1],
    json.dumps(json.dumps(TWO_LINES))[3:-3],
]


def redact_in_chunks(data: bytes, cuts: list[int], **options: int) -> bytes:
    """The stream's result when the data arrives in the pieces between `cuts`."""
    redactor = Redactor(SECRETS, **options)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    out, start = b"", 0
    for end in ends:
        out += redactor.feed(data[start:end])
        start = end
    return out + redactor.flush()


PIECES = st.one_of(
    st.sampled_from(
        [*EXACT_FORMS, *PREFIXED.values(), PEM, PEM_BODY, "-----BEGIN PRIVATE KEY-----", "\n", "\n\n", "\\n", "\r\n"]
    ),
    st.sampled_from(
        [
            'api_key = "a1B2c3D4e5F6g7H8i9J0k"',
            "https://me:hunter2secret@host/",
            "Bearer a1B2c3D4e5F6g7H8i9J0",
            KEY[:7],
            TWO_LINES[:20],
        ]
    ),
    st.integers(30, 90).map(lambda n: wrap(b"u" * n + KEY.encode() + b"!", 64, "\n")),
    st.text(alphabet=string.printable + "ä€", max_size=40),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)
CUTS = st.lists(st.integers(0, 2000), max_size=12)


@settings(max_examples=300, deadline=None)
@given(TEXTS, CUTS)
def test_chunks_change_nothing(text: str, cuts: list[int]) -> None:
    """Fed in any pieces, a stream gives exactly what the whole gives."""
    data = text.encode()
    assert redact_in_chunks(data, cuts) == Redactor(SECRETS).redact_text(text).encode()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(PIECES, st.integers(1, 400).map(lambda n: "x" * n)), max_size=30).map("".join), CUTS)
def test_a_line_beyond_the_carry_leaks_nothing(text: str, cuts: list[int]) -> None:
    """Where a line is longer than what may be carried it is cut, but never through a handed-out secret."""
    out = redact_in_chunks(text.encode(), cuts, carry_bytes_max=64)
    redactor = Redactor(SECRETS)
    assert not redactor.contains_secret(out)
    whole = redactor.redact_text(text)
    assert not any(value.encode() in out for value in PREFIXED.values() if value not in whole)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    """What stands for a secret is never taken for one."""
    once = Redactor(SECRETS).redact_text(text)
    assert Redactor(SECRETS).redact_text(once) == once


@pytest.mark.parametrize("size", [60_000, 65_536 - 10, 65_536, 70_000, 131_072 - 8, 200_000])
def test_a_secret_over_the_cut_of_a_long_line_is_caught(size: int) -> None:
    """In lines around and beyond the real carry of 64 KiB no secret gets through where the line is cut."""
    for secret in (KEY, *PREFIXED.values()):
        data = (b"x " * size)[: size - len(secret) // 2] + b" " + secret.encode() + b" " + b"y" * 5000 + b"\n"
        out = redact_in_chunks(data, list(range(0, len(data), 4096)))
        assert secret.encode() not in out
        assert out.count(b"[redacted:") == 1
        assert len(out) == len(data) - len(secret) + len(out[out.index(b"[redacted:") : out.index(b"]") + 1])


def test_a_secret_longer_than_the_carry_is_swallowed() -> None:
    """A token or a PEM block without end is not let through because it does not fit."""
    token = b"sk-ant-" + b"a1B2" * 50_000
    assert redact_in_chunks(b"see " + token + b" end\n", []) == b"see [redacted:anthropic-key] end\n"
    block = b"-----BEGIN PRIVATE KEY-----\n" + b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\n" * 4000
    out = redact_in_chunks(block + b"-----END PRIVATE KEY-----\n", list(range(0, 200_000, 1000)))
    assert out.startswith(b"[redacted:private-key]")
    assert b"MIIE" not in out


@pytest.mark.parametrize(("name", "secret"), PREFIXED.items())
@pytest.mark.parametrize(
    "around", ["{}", "key is {}.", '{{"out":"a\\n{}\\nb"}}', "x%3D{}", "\x1b[32m{}\x1b[0m", "A={};B", "({})"]
)
def test_vendors_keys_are_told_by_their_looks(name: str, secret: str, around: str) -> None:
    """A key that nobody handed out is caught wherever it stands: after escapes, colours, in JSON."""
    out = Redactor().redact_text(around.format(secret))
    assert secret[4:] not in out
    assert f"[redacted:{name}]" in out


def test_every_alignment_of_base64_is_caught() -> None:
    """A secret inside a longer Base64 text is caught at each of the three places it can have in a group."""
    redactor = Redactor(SECRETS)
    for before in ("", "a", "ab", "user:", "x-token:"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            out = redactor.redact_text(encode((before + KEY + "tail").encode()).decode())
            assert "[redacted:MY_API_KEY]" in out
            neighbours = len(encode((before + "tail").encode()))
            assert len(out.replace("[redacted:MY_API_KEY]", "")) <= neighbours + 3


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=150),
    st.sampled_from([KEY, "sk-ant-api03-" + "Qz7-b_" * 16]),
    st.binary(max_size=80),
    st.sampled_from([60, 64, 76]),
    st.sampled_from(["\n", "\r\n", "\n    "]),
    CUTS,
)
def test_base64_that_is_broken_into_lines_is_caught(
    before: bytes, secret: str, after: bytes, width: int, end: str, cuts: list[int]
) -> None:
    """Wherever in an encoded text a secret stands, plain and inside JSON, in any chunks: it cannot be read back; the rest stays."""
    lines = wrap(before + secret.encode() + after, width, end)
    quoted = json.dumps({"out": lines})
    text = f"before\n{lines}\nafter\n{quoted}\n{json.dumps(quoted)}\n".encode()
    redactor = Redactor({"MY_API_KEY": secret})
    assert redactor.contains_secret(text)
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    out = b"".join(redactor.feed(text[a:b]) for a, b in pairwise([0, *ends])) + redactor.flush()
    assert out == Redactor({"MY_API_KEY": secret}).redact_text(text.decode()).encode()
    assert not redactor.contains_secret(out)
    assert out.count(b"[redacted:MY_API_KEY]") == 3
    left = out.split(b"\nafter\n")[0].removeprefix(b"before\n").replace(b"[redacted:MY_API_KEY]", b"")
    whole = base64.b64encode(before + secret.encode() + after)
    assert len(b"".join(left.split())) <= len(whole) - len(secret) * 8 // 6 + 2, "nothing but its edges is left of it"
    assert "redacted" in json.loads(out.splitlines()[-2])["out"]
    assert "redacted" in json.loads(json.loads(out.splitlines()[-1]))["out"]


def test_a_line_of_letters_is_held_no_longer_than_it_may_go_on() -> None:
    """A line that ends like wrapped Base64 waits for the one after it; what ends like ordinary text does not wait."""
    redactor = Redactor({"MY_API_KEY": KEY})
    begun = base64.b64encode(b"x" * 51 + KEY.encode())[:76]
    assert redactor.feed(b"see src/marathond/engine/effects/candidates.py\n") != b""
    assert redactor.feed(begun + b"\n") == b""
    assert redactor.feed(b"no more of it\n") == begun + b"\nno more of it\n"


def test_pem_blocks_are_caught_however_they_are_shown() -> None:
    """A private key is caught plain, in JSON, with line numbers, and when its end is missing."""
    numbered = "\n".join(f"{n:6}\t{line}" for n, line in enumerate(PEM.splitlines(), 1))
    for shown in (
        PEM,
        json.dumps({"text": PEM}),
        json.dumps(json.dumps({"text": PEM})),
        numbered,
        PEM[:150],
        numbered.replace("\t", "→"),
    ):
        assert "MIIEvQ" not in Redactor().redact_text(shown), shown
    public = PEM.replace("RSA PRIVATE", "PUBLIC")
    assert Redactor().redact_text(public) == public


@pytest.mark.parametrize(
    "text",
    [
        "task-implement-the-json-export sk-learn is scikit-learn; see ask-before-you-run-this-command-twice",
        'if "-----BEGIN PRIVATE KEY-----" in text:\n    return find_the_end_of_it(text)',
        "key = settings.get_the_primary_key_of_the_table_2\ntokens: 123456789012345678901234",
        '{"input_tokens":12345,"session_id":"0b5f5c1e-8d7c-4a57-9c3e-111111111111","uuid":"0b5f5c1e-8d7c-4a57"}',
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "https://example.com:8080/path@v2 https://user@host/ eyJhbGciOiJIUzI1NiJ9",
        "self.private_key = x25519.X25519PrivateKey.generate()",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Words, code, ids and hashes are not taken for secrets."""
    assert Redactor(SECRETS).redact_text(text) == text


def test_random_text_counts_only_beside_a_telling_word() -> None:
    """The same random text is a secret after `password:` and a hash elsewhere."""
    lot = "9f8Gh2Kd03jfLq7ZpW4x"
    redactor = Redactor()
    for before in ("api_key=", 'API-KEY: "', "password: '", "client_secret := ", 'token" : "', '\\"auth_token\\": \\"'):
        assert lot not in redactor.redact_text(before + lot)
    assert redactor.redact_text(f"etag {lot}") == f"etag {lot}"


def test_the_names_that_tell_secrets() -> None:
    """Secret are variables that are called so, and those that a profile lists, from 8 bytes on."""
    env = {
        "OPENAI_API_KEY": "12345678", "my_token": "abcdefgh", "DB_PASSWORD": "1234567", "APP_SECRET_1": "ÄÖÜäöü", "PATH": "/usr/bin:/bin",
        "LOGIN_URL": "https://x.example", "TOKENIZERS_KEY": "disabled", "COOKIE_A": "abcdefghij",
    }  # fmt: skip
    assert set(secret_values(env)) == {"OPENAI_API_KEY", "my_token", "APP_SECRET_1"}
    assert set(secret_values(env, ["COOKIE_*", "LOGIN_URL"])) >= {"COOKIE_A", "LOGIN_URL"}


def test_found_secrets_are_told_by_line_and_kind() -> None:
    """The finder for plans says where a secret is and what it looks like, without the secret."""
    found = find_secrets(f"name = 'x'\nprompt = 'use {PREFIXED['github-token']}'\n\n{PEM}")
    assert [(finding.line, finding.name) for finding in found] == [(2, "github-token"), (4, "private-key")]


def test_only_handed_out_secrets_make_a_candidate_unfit() -> None:
    """A file is refused for a secret that was handed out, in any of its forms, and not for what merely looks like one."""
    redactor = Redactor(SECRETS)
    assert all(redactor.contains_secret(b"a " + form.encode() + b" b") for form in EXACT_FORMS)
    assert not redactor.contains_secret(PREFIXED["jwt"].encode())
