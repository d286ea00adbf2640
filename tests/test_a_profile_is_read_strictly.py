"""Users' agent profiles: what is wrong is told at once and in plain words, and spoils nothing else."""

import ast
from pathlib import Path

import pytest

import marathond
from marathond.agents import registry
from marathond.agents.profile import AsRoot, LimitRule, Profile, Stop, UsageRule, check, merge
from marathond.domain.errors import MarathonError

BUILT_IN = ["claude", "codex", "command", "scripted"]


def load(tmp_path: Path, **profiles: str) -> registry.Registry:
    folder = tmp_path / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in profiles.items():
        (folder / f"{name}.toml").write_text(text)
    return registry.load(tmp_path)


def test_the_built_in_profiles_are_right() -> None:
    """The built-in profiles pass the check that users' pass, and are all there without a configuration."""
    agents = registry.load(None)
    assert agents.names() == BUILT_IN
    assert agents.problems == []
    for name in BUILT_IN:
        file = registry.BUILT_IN_FOLDER / f"{name}.toml"
        assert check(registry._read(file), str(file)) == []
        assert agents.get(name).name == name


@pytest.mark.parametrize(
    ("text", "key", "message", "suggestion"),
    [
        ('comand = ["x"]', "comand", "unknown key", "command"),
        ('command = "x"', "command", "Expected list, got str", None),
        ("command = []", "command", "needs the program to start", None),
        ('prompt = "sdtin"', "prompt", "'sdtin' is none of stdin, argv, file", "stdin"),
        ('reader = "codex-json"', "reader", "is none of", "codex-jsonl"),
        ('parser = "claude-stream"', "reader", "is none of", "claude-stream-json"),
        ("max_concurrent = 0", "max_concurrent", "at least 1", None),
        ("max_concurrent = true", "max_concurrent", "got bool", None),
        ('start = ["{promt}"]', "start", "unknown placeholder {promt}", "prompt"),
        ('env = {A = "{proxy}/m"}', "env.A", "unknown placeholder {proxy}", None),
        ("env = {A = 1}", "env", "Expected str, got int", None),
        ('env = {"A B" = "1"}', "env.A B", "is no name of a variable", None),
        ('pass_env = ["FOO_*_X"]', "pass_env", "neither a variable's name", None),
        ('[stop]\nsignal = ["TERM"]', "stop.signal", "unknown key", "signals"),
        ('[stop]\nsignals = ["SIGTERM"]', "stop.signals", "Invalid enum value", None),
        ("[stop]\ngrace_s = -1", "stop.grace_s", "from 0 to 86400", None),
        ('[usage]\nscope = "proces"', "usage.scope", "is none of", "process"),
        ('[[limits]]\nkind = "quota"', "limits[0].where", "missing", None),
        ('[[limits]]\nwhere = "final_eror"\nregex = "x"', "limits[0].where", "is neither", "final_error"),
        ('[[limits]]\nwhere = "final_error"', "limits[0].regex", "missing", None),
        ('[[limits]]\nwhere = "final_error"\nregex = "("', "limits[0].regex", "no regular expression", None),
        ('[[limits]]\nwhere = "event:x"\nregex = "x"', "limits[0].regex", "only a rule over final_error", None),
        ('[[limits]]\nwhere = "event:x"\nkind = "qouta"', "limits[0].kind", "is none of", "quota"),
        ('extends = "cluade"', "extends", "there is no agent 'cluade'", "claude"),
        ("extends = 5", "extends", "there is no agent 5", None),
        ('name = "other"\ncommand = ["x"]', "name", "must be 'mine'", "mine"),
        ('start = ["-p"]', "command", "missing", None),
        ('extends = "command"', "command", "missing", None),
        ("command = [", "", "cannot be read", None),
    ],
)
def test_every_mistake_is_told(tmp_path: Path, text: str, key: str, message: str, suggestion: str | None) -> None:
    """Each kind of mistake is told with its key, what is wrong and the nearest right word; the others stay usable."""
    agents = load(tmp_path, mine=text, other='command = ["other"]')
    assert len(agents.problems) == 1, agents.problems
    problem = agents.problems[0]
    assert problem.file.endswith("mine.toml")
    assert problem.key == key
    assert message in problem.message
    assert problem.suggestion == suggestion
    assert agents.names() == sorted([*BUILT_IN, "other"])
    with pytest.raises(MarathonError) as caught:
        agents.get("mine")
    assert caught.value.kind.slug == "agent_unusable"
    assert "its profile is wrong" in caught.value.message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """A profile with several mistakes names them all."""
    agents = load(tmp_path, mine='comand = ["x"]\nprompt = "mail"\nenv = {A = 1}\nlimits = [{regex = 5}]')
    assert [problem.key for problem in agents.problems] == [
        "comand",
        "prompt",
        "env",
        "limits[0].regex",
        "limits[0].where",
    ]


def test_files_that_are_no_profiles_are_told(tmp_path: Path) -> None:
    """Bad names, broken encodings, folders and giants are problems of their own file alone."""
    load(tmp_path)
    folder = tmp_path / "agents"
    (folder / "Bad Name.toml").write_text('command = ["x"]')
    (folder / "latin.toml").write_bytes(b'command = ["\xe4"]')
    (folder / "folder.toml").mkdir()
    (folder / "giant.toml").write_bytes(b"#" * (registry.PROFILE_BYTES_MAX + 1))
    agents = registry.load(tmp_path)
    assert agents.names() == BUILT_IN
    assert len(agents.problems) == 4


def test_an_unknown_agent_is_told_with_the_nearest() -> None:
    """A name that no profile has is refused with the one that was probably meant."""
    with pytest.raises(MarathonError) as caught:
        registry.load(None).get("cluade")
    assert caught.value.hint == "Did you mean 'claude'?"


def test_extending_changes_parts(tmp_path: Path) -> None:
    """What a profile says replaces the base's; tables merge, names are added, its own limit rules come first."""
    agents = load(
        tmp_path,
        mine='extends = "claude"\nmodel = ["-m", "{model}"]\npass_env = ["MINE"]\nenv = {CLAUDE_CODE_MAX_RETRIES = "3"}\n'
        'limits = [{where = "final_error", regex = "mine"}]\nstop = {grace_s = 9}',
        claude='extends = "claude"\nmax_concurrent = 2',
        deeper='extends = "mine"\npool = "other"',
    )
    assert agents.problems == []
    base, mine = registry.load(None).get("claude"), agents.get("mine")
    assert mine.start == base.start
    assert mine.model == ("-m", "{model}")
    assert mine.pass_env == ("MINE", *base.pass_env)
    assert mine.env == base.env | {"CLAUDE_CODE_MAX_RETRIES": "3"}
    assert mine.limits == (LimitRule(where="final_error", regex="mine"), *base.limits)
    assert mine.stop == Stop(grace_s=9)
    assert agents.get("claude").max_concurrent == 2
    assert agents.get("claude").start == base.start
    assert (agents.get("deeper").pool, agents.get("deeper").model) == ("other", mine.model)


def test_extending_a_profile_that_is_wrong_or_oneself_is_told(tmp_path: Path) -> None:
    """Circles and bases that are wrong themselves end with a problem each, not with a loop."""
    agents = load(tmp_path, a='extends = "b"', b='extends = "a"', c='extends = "c"', d='extends = "e"', e="x = 1")
    assert agents.names() == BUILT_IN
    assert {Path(problem.file).stem for problem in agents.problems} == {"a", "b", "c", "d", "e"}


def test_the_synonyms_are_understood(tmp_path: Path) -> None:
    """`parser` stands for `reader` and `session` for `thread`, also as a placeholder."""
    text = 'command = ["x"]\nparser = "codex-jsonl"\nsession = "chosen"\nstart = ["{session}"]'
    profile = load(tmp_path, mine=text).get("mine")
    assert (profile.reader, profile.thread) == ("codex-jsonl", "chosen")


def test_merging_never_changes_the_base() -> None:
    """Merging makes a new table; the base's is left as it was."""
    base = {"env": {"A": "1"}, "limits": [{"where": "final_error"}]}
    merge(base, {"env": {"B": "2"}, "limits": []})
    assert base == {"env": {"A": "1"}, "limits": [{"where": "final_error"}]}


def test_every_key_that_is_accepted_is_read() -> None:
    """No key is dead: for each there is code, outside the reading of profiles, that uses it."""
    root = Path(marathond.__file__).parent
    files = [file for file in root.rglob("*.py") if file.name != "profile.py"]
    used = {
        node.attr
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    used |= {"pass_env"}  # read through `environment_names`
    for struct in (Profile, AsRoot, Stop, UsageRule, LimitRule):
        assert set(struct.__struct_fields__) <= used, struct
