"""An attempt sees what it is allowed to see, and finds the agents that its user has installed."""

from pathlib import Path

import pytest

from marathond.attempt.environment import choose, complete_path, nvm_node_bin

SOURCE = {
    "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_TIME": "C", "LANG": "C.UTF-8", "TERM": "xterm",
    "ANTHROPIC_API_KEY": "sk-something-secret", "ANTHROPIC_BASE_URL": "http://127.0.0.1", "OPENAI_API_KEY": "other-secret",
    "SSH_AUTH_SOCK": "/tmp/agent", "GIT_DIR": "/x", "LD_PRELOAD": "/evil.so", "MY_SETTING": "long enough", "DATABASE_PASSWORD": "hunter2-hunter2",
}  # fmt: skip


def test_nothing_passes_because_it_happens_to_be_set() -> None:
    """Of everything that is set, an attempt sees the base set, its profile's names and its task's; a check no keys."""
    base = {"PATH", "HOME", "LC_TIME", "LANG", "TERM"}
    assert set(choose(SOURCE).values) == base
    attempt = choose(SOURCE, profile_names=["ANTHROPIC_*"], task_names=["MY_SETTING", "NOT_SET"], extra={"EXTRA": "1"})
    assert set(attempt.values) == base | {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "MY_SETTING", "EXTRA"}
    assert attempt.names == sorted(attempt.values)


def test_the_secret_ones_are_known() -> None:
    """Secret is what is called so or listed by the profile, among what the attempt sees."""
    chosen = choose(
        SOURCE, profile_names=["ANTHROPIC_*"], task_names=["DATABASE_PASSWORD", "MY_SETTING"], secret_names=["MY_*"]
    )
    assert set(chosen.secrets) == {"ANTHROPIC_API_KEY", "DATABASE_PASSWORD", "MY_SETTING"}


def test_a_bare_path_is_completed(tmp_path: Path) -> None:
    """The user's own order is kept; folders where agents are installed come after it, each once, if they exist."""
    for folder in (".local/bin", ".cargo/bin", ".nvm/versions/node/v20.1.0/bin"):
        (tmp_path / folder).mkdir(parents=True)
    path = complete_path({"HOME": str(tmp_path), "PATH": f"/opt/mine:{tmp_path}/.cargo/bin:/usr/bin"}).split(":")
    assert path[:3] == ["/opt/mine", f"{tmp_path}/.cargo/bin", "/usr/bin"]
    assert path[3:5] == [f"{tmp_path}/.local/bin", f"{tmp_path}/.nvm/versions/node/v20.1.0/bin"]
    assert len(path) == len(set(path))
    assert "/usr/bin" in complete_path({}).split(":")


def test_a_node_that_the_user_has_chosen_is_kept(tmp_path: Path) -> None:
    """When PATH already leads into nvm, no other Node.js is put beside it."""
    for version in ("v18.0.0", "v22.0.0"):
        (tmp_path / f".nvm/versions/node/{version}/bin").mkdir(parents=True)
    chosen = f"{tmp_path}/.nvm/versions/node/v18.0.0/bin"
    assert "v22" not in complete_path({"HOME": str(tmp_path), "PATH": chosen})


@pytest.mark.parametrize(
    ("aliases", "expected"),
    [
        ({}, "v22.9.0"),
        ({"default": "20"}, "v20.10.0"),
        ({"default": "v20.2.0"}, "v20.2.0"),
        ({"default": "lts/*", "lts/*": "lts/iron", "lts/iron": "v20.10.0"}, "v20.10.0"),
        ({"default": "node"}, "v22.9.0"),
        ({"default": "16"}, "v22.9.0"),
        ({"default": "default"}, "v22.9.0"),
    ],
)
def test_nvm_chooses_as_in_a_shell(tmp_path: Path, aliases: dict[str, str], expected: str) -> None:
    """The default alias is followed to a version; without one that is installed, the newest counts."""
    for version in ("v20.2.0", "v20.10.0", "v22.9.0", "system"):
        (tmp_path / "versions/node" / version / "bin").mkdir(parents=True)
    for name, content in aliases.items():
        (tmp_path / "alias" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "alias" / name).write_text(content + "\n")
    assert nvm_node_bin(tmp_path) == tmp_path / "versions/node" / expected / "bin"
    assert nvm_node_bin(tmp_path / "nothing") is None
