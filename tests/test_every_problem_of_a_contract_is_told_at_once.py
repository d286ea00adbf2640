"""A refused contract tells all its problems, each with its key path, its line and the nearest right word."""

from pathlib import Path
from typing import Any

import pytest

from marathond.domain.errors import NO_SUCH_FILE, MarathonError
from marathond.planning.source import from_object, from_text, read_source
from tests.support.plans import AGENTS, git, make_repository, plan, plan_text, problems_of

GOOD = 'name = "x"\n[[task]]\nid = "one"\nprompt = "Do it."\n'


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with files that prompts may and may not come from."""
    top = make_repository(tmp_path_factory.mktemp("refusals") / "repo")
    outside = top.parent / "outside.md"
    outside.write_text("a secret plan")
    (top / "prompts").mkdir()
    (top / "prompts" / "ok.md").write_text("Do it.")
    (top / "prompts" / "empty.md").write_text(" \n")
    (top / "prompts" / "latin1.md").write_bytes("für".encode("latin-1"))
    (top / "prompts" / "big.md").write_text("x" * (256 * 1024 + 1))
    (top / "prompts" / "out.md").symlink_to(outside)
    (top / "prompts" / "git.md").symlink_to(top / ".git" / "config")
    (top / "link").symlink_to(top.parent)
    return top


def task(more: str, before: str = "") -> str:
    """A contract with one agent task that has `more` keys; the first of them stands in line 5."""
    return f'name = "x"\n{before}[[task]]\nid = "one"\nprompt = "Do it."\n{more}'


def check(keys: str) -> str:
    """A contract with one check; its first key stands in line 6."""
    return task(f"[[task.check]]\n{keys}")


def work(keys: str) -> str:
    """A contract whose only task has these keys; the first of them stands in line 4."""
    return f'name = "x"\n[[task]]\nid = "one"\n{keys}'


# what is written, and of the one problem: key path, line, a piece of the message, suggestion
REFUSED: list[tuple[str, str, str, int | None, str, str | None]] = [
    # keys
    ("unknown key", 'nmae = "y"\n' + GOOD, "nmae", 1, "not a key", "name"),
    ("unknown table", GOOD + "[limit]\n", "limit", 5, "not a key", "limits"),
    ("unknown key of a task", task('promt = "x"'), "task[0].promt", 5, "not a key", "prompt"),
    ("unknown key of a check", check('run = "x"\ntimout = "1s"'), "task[0].check[0].timout", 7, "not a key", "timeout"),
    ("unknown key of workspace", GOOD + '[workspace]\nbse = "x"', "workspace.bse", 6, "not a key", "base"),
    ("unknown key of defaults", GOOD + "[defaults]\nattempt = 3", "defaults.attempt", 6, "not a key", "attempts"),
    ("unknown key of delivery", GOOD + '[delivery]\nbrnch = "x"', "delivery.brnch", 6, "not a key", "branch"),
    ("nothing like a key", GOOD + "zzz = 1", "task[0].zzz", 5, "the keys here are id, needs", None),
    ("upper case key", task('Agent = "codex"'), "task[0].Agent", 5, "not a key", "agent"),
    # types
    ("name is a number", 'name = 7\n[[task]]\nid = "a"\nrun = "x"', "name", 1, "must be text, not an integer", '"7"'),
    ("goal is an array", GOOD.replace("[[", "goal = []\n[[", 1), "goal", 2, "must be text, not an array", None),
    ("attempts is a boolean", task("attempts = true"), "task[0].attempts", 5, "integer, not true or false", None),
    ("attempts is text", task('attempts = "3"'), "task[0].attempts", 5, "must be an integer, not text", "3"),
    ("attempts is a decimal", task("attempts = 3.0"), "task[0].attempts", 5, "not a decimal number", None),
    ("allow_empty is text", task('allow_empty = "True"'), "task[0].allow_empty", 5, "true or false", "true"),
    ("needs is text", task('needs = "two"'), "task[0].needs", 5, "must be an array, not text", '["…"]'),
    ("needs holds a number", task("needs = [1]"), "task[0].needs[0]", 5, "must be the id of a task", None),
    ("task is one table", '[task]\nid = "one"\nrun = "x"', "task", 1, "two brackets", "[[task]]"),
    ("check is one table", task('[task.check]\nrun = "x"'), "task[0].check", 5, "two brackets", "[[task.check]]"),
    ("limits is text", 'limits = "4h"\n' + GOOD, "limits", 1, "must be a table, not text", None),
    ("defaults is an array", GOOD + "[[defaults]]", "defaults", 5, "must be a table, not an array", "[defaults]"),
    ("setup is text", GOOD + '[workspace]\nsetup = "make"', "workspace.setup", 6, "must be an array", '["…"]'),
    ("variable is a number", GOOD + "[variables]\nn = 3", "variables.n", 6, "must be text", '"3"'),
    ("variable has a bad name", GOOD + '[variables]\n"a b" = ""', 'variables."a b"', 6, "is not a name", None),
    # bounds
    ("no attempts", task("attempts = 0"), "task[0].attempts", 5, "from 1 to 100", "1"),
    ("too many attempts", task("attempts = 101"), "task[0].attempts", 5, "from 1 to 100", "100"),
    ("too wide", GOOD + "[limits]\nparallel = 65", "limits.parallel", 6, "from 1 to 64", "64"),
    ("long name", f'name = "{"x" * 65}"\n' + GOOD[11:], "name", 1, "65 characters; 64 are allowed", None),
    ("two lines of name", 'name = "a\\nb"\n' + GOOD[11:], "name", 1, "one line", None),
    ("NUL", task('[[task.check]]\nrun = "a\\u0000b"'), "task[0].check[0].run", 6, "NUL", None),
    # durations and times
    ("no unit", task('timeout = "40"'), "task[0].timeout", 5, "'40' is not a duration", None),
    ("a space in it", task('timeout = "40 m"'), "task[0].timeout", 5, "not a duration", '"40m"'),
    ("seconds as a number", task("idle = 90"), "task[0].idle", 5, "not an integer", '"1m30s"'),
    ("no time at all", task('timeout = "0s"'), "task[0].timeout", 5, "out of range", None),
    ("over a year", GOOD + '[limits]\nwall = "400d"', "limits.wall", 6, "out of range", None),
    ("check's duration", check('run = "x"\ntimeout = "x"'), "task[0].check[0].timeout", 7, "not a duration", None),
    ("no time zone", GOOD + '[limits]\ndeadline = "2030-01-01T08:00"', "limits.deadline", 6, "zone", '"2030-01-01T08:00Z"'),
    ("no time", GOOD + '[limits]\ndeadline = "tomorrow"', "limits.deadline", 6, "must be a time", None),
    ("a date", GOOD + "[limits]\ndeadline = 2030-01-01", "limits.deadline", 6, "must be a time", None),
    # ids and the graph
    ("no id", 'name = "x"\n[[task]]\nrun = "x"', "task[0].id", 2, "is missing", None),
    ("bad id", 'name = "x"\n[[task]]\nid = "Step One"\nrun = "x"', "task[0].id", 3, "is not an id", "step-one"),
    ("same id twice", GOOD + '[[task]]\nid = "one"\nrun = "x"', "task[1].id", 6, "already the id of task[0] in line 2", None),
    ("dangling need", task('needs = ["two"]\n[[task]]\nid = "tow"\nrun = "x"'), "task[0].needs[0]", 5, "no task 'two'", "tow"),
    ("a need twice", task('needs = ["t", "t"]\n[[task]]\nid = "t"\nrun = "x"'), "task[0].needs[1]", 5, "twice", None),
    ("needs itself", task('needs = ["one"]'), "task[0].needs", 5, "circle: one needs one", None),
    ("a circle", task('needs = ["b"]\n[[task]]\nid = "b"\nneeds = ["one"]\nrun = "x"'), "task[0].needs", 5, "one needs b needs one", None),
    ("no task", 'name = "x"', "task", None, "is missing", "[[task]]"),
    ("empty tasks", 'name = "x"\ntask = []', "task", 2, "is empty", "[[task]]"),
    # what a task does
    ("empty prompt", work('prompt = " \\n"'), "task[0].prompt", 4, "must not be empty", None),
    ("nothing to do", work(""), "task[0]", 2, "nothing to do", None),
    ("prompt and run", work('prompt = "a"\nrun = "b"'), "task[0].run", 5, "stands beside prompt", None),
    ("prompt and file", work('prompt = "a"\nprompt_file = "prompts/ok.md"'), "task[0].prompt_file", 5, "beside prompt", None),
    ("unknown agent", task('agent = "cluade"'), "task[0].agent", 5, "no profile describes this agent", "claude"),
    ("unknown default agent", GOOD + '[defaults]\nagent = "codecs"', "defaults.agent", 6, "no profile", "codex"),
    ("agent of a command", work('run = "x"\nagent = "claude"'), "task[0].agent", 5, "a command task has no agent", None),
    ("prompt of a command", task('agent = "command"'), "task[0].prompt", 4, "would be run as a shell line", "run"),
    ("prompt of a default command", GOOD + '[defaults]\nagent = "command"', "task[0].prompt", 4, "as a shell line", "run"),
    ("model like an option", task('model = "--yolo"'), "task[0].model", 5, "does not begin with -", None),
    ("env with a value", task('env = ["A=1"]'), "task[0].env[0]", 5, "a name only", '"A"'),
    ("env of ours", task('env = ["MARATHON_ATTEMPT"]'), "task[0].env[0]", 5, "set by Marathon", None),
    ("our socket", task('env = ["MARATHON_SOCKET"]'), "task[0].env[0]", 5, "set by Marathon", None),
    # prompt files and paths
    ("file missing", work('prompt_file = "no.md"'), "task[0].prompt_file", 4, "there is no file no.md", None),
    ("file empty", work('prompt_file = "prompts/empty.md"'), "task[0].prompt_file", 4, "the file is empty", None),
    ("file too big", work('prompt_file = "prompts/big.md"'), "task[0].prompt_file", 4, "262,145 bytes", None),
    ("file not text", work('prompt_file = "prompts/latin1.md"'), "task[0].prompt_file", 4, "not UTF-8", None),
    ("a folder", work('prompt_file = "prompts"'), "task[0].prompt_file", 4, "not a regular file", None),
    ("file above", work('prompt_file = "../outside.md"'), "task[0].prompt_file", 4, "leaves the repository", None),
    ("file by link", work('prompt_file = "prompts/out.md"'), "task[0].prompt_file", 4, "leaves the repository", None),
    ("folder by link", work('prompt_file = "link/outside.md"'), "task[0].prompt_file", 4, "leaves the repository", None),
    ("link into .git", work('prompt_file = "prompts/git.md"'), "task[0].prompt_file", 4, ".git", None),
    ("absolute path", check('file = "/etc/passwd"'), "task[0].check[0].file", 6, "leaves the repository", None),
    ("path with dots", check('file = "a/../b"'), "task[0].check[0].file", 6, "leaves the repository", "b"),
    ("path in .git", check('file = "sub/.Git/config"'), "task[0].check[0].file", 6, "inside .git", None),
    ("path of a folder", check('file = "docs/"'), "task[0].check[0].file", 6, "must name a file", None),
    ("path at home", check('file = "~/x"'), "task[0].check[0].file", 6, "leaves the repository", None),
    # checks
    ("nothing to check", check("changed = true"), "task[0].check[0]", 5, "checks nothing", None),
    ("two checks in one", check('run = "x"\nfile = "y"'), "task[0].check[0].file", 7, "stands beside run", None),
    ("contains of a command", check('run = "x"\ncontains = "y"'), "task[0].check[0].contains", 7, "check of a file", None),
    ("timeout of a file", check('file = "x"\ntimeout = "1s"'), "task[0].check[0].timeout", 7, "runs a command", None),
    ("bad expression", check('file = "x"\nmatches = "("'), "task[0].check[0].matches", 7, "regular expression", None),
    # the workspace
    ("no folder", GOOD + '[workspace]\nrepo = "nowhere"', "workspace.repo", 6, "there is no folder", None),
    ("no repository", GOOD + '[workspace]\nrepo = "/"', "workspace.repo", 6, "not in a git repository", None),
    ("no commit", GOOD + '[workspace]\nbase = "v9"', "workspace.base", 6, "no commit 'v9'", None),
    ("base like an option", GOOD + '[workspace]\nbase = "--all"', "workspace.base", 6, "does not begin with -", None),
    ("sandbox", GOOD + '[workspace]\nisolation = "sandbox"', "workspace.isolation", 6, "not built yet", "worktree"),
    ("microvm", GOOD + '[workspace]\nisolation = "microvm"', "workspace.isolation", 6, "not built yet", "worktree"),
    ("isolation misspelt", GOOD + '[workspace]\nisolation = "worktre"', "workspace.isolation", 6, "one of none", "worktree"),
    # templates
    ("undefined name", work('prompt = "{{ modul }}"\n[variables]\nmodule = ""'), "task[0].prompt", 4, "not defined", "{{ module }}"),
    ("undefined task", work('prompt = "{{ task.two.text }}"\n[[task]]\nid = "tow"\nrun = "x"'), "task[0].prompt", 4, "no task 'two'", "{{ task.tow.text }}"),
    ("task not before", work('prompt = "{{ task.b.text }}"\n[[task]]\nid = "b"\nrun = "x"'), "task[0].prompt", 4, "need not be done", 'needs = ["b"]'),
    ("itself", work('prompt = "{{ task.one.text }}"'), "task[0].prompt", 4, "need not be done", None),
    ("not a name", work('prompt = "{{ .Values.x }}"'), "task[0].prompt", 4, "is not a name (write {{{{", None),
    ("not closed", work('prompt = "a {{ b"'), "task[0].prompt", 4, "is not closed", None),
    # delivery
    ("no branch name", GOOD + '[delivery]\nbranch = "a..b"', "delivery.branch", 6, "no name for a branch", "marathon/{name}"),
    ("unknown placeholder", GOOD + '[delivery]\nbranch = "{session}"', "delivery.branch", 6, "only {name} is", "marathon/{name}"),
    # secrets
    ("secret in a command", work(f'run = "T=ghp_{"a1B2" * 9} x"'), "task[0].run", 4, "looks like a secret (github-token)", None),
    ("secret in a variable", GOOD + '[variables]\napi_token = "q8Zk2Lw9Vx4Rt7Yb1Nc6"', "variables.api_token", 6, "looks like a secret", None),
    ("secret in a prompt", work(f'prompt = """a\nb sk-ant-{"a1B2" * 9}"""'), "task[0].prompt", 4, "in its line 2", None),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=[case[0] for case in REFUSED])
def test_refusal(case: tuple[str, str, str, int | None, str, str | None], repo: Path) -> None:
    """Each mistake is told once, where it is, with what was probably meant."""
    _, text, path, line, message, suggestion = case
    (problem,) = problems_of(lambda: plan_text(text, repo))
    assert (problem["path"], problem["line"], problem["suggestion"]) == (path, line, suggestion), problem
    assert message in problem["message"]


def test_all_at_once(repo: Path) -> None:
    """One look tells everything, in the order of the lines."""
    text = (
        'nam = "x"\n[workspace]\nbase = "v9"\n[[task]]\nid = "a"\nprompt = ""\n[[task]]\nid = "a"\nrun = "x"\n'
        'needs = ["b"]\n[delivery]\nbranch = "a b"\n'
    )
    problems = problems_of(lambda: plan_text(text, repo))
    assert [(p["path"], p["line"]) for p in problems] == [
        ("nam", 1),
        ("workspace.base", 3),
        ("task[0].prompt", 6),
        ("task[1].id", 8),
        ("task[1].needs[0]", 10),
        ("delivery.branch", 12),
    ]


def test_a_secret_is_never_repeated(repo: Path) -> None:
    """What is told about a secret does not contain it."""
    secret = "ghp_" + "a1B2" * 9
    for text in (
        work(f'prompt = "use {secret}"'),
        work(f'run = "x"\nenv = ["T={secret}"]'),
        task(f'agent = "{secret}"'),
    ):
        problems = problems_of(lambda text=text: plan_text(text, repo))  # type: ignore[misc]
        assert secret not in str(problems)


def test_secrets_are_allowed_by_a_word(repo: Path) -> None:
    """With `allow_secrets` a secret is a warning."""
    planned = plan_text(work(f'run = "T=ghp_{"a1B2" * 9}"'), repo, allow_secrets=True)
    assert planned.warnings == ["task[0].run (line 4): contains what looks like a secret (github-token)"]


def test_a_secret_in_a_prompt_file_is_found(repo: Path) -> None:
    """A prompt file is part of the contract, so it is searched too."""
    (repo / "prompts" / "key.md").write_text(f"one\ntwo ghp_{'a1B2' * 9}\n")
    (problem,) = problems_of(lambda: plan_text(work('prompt_file = "prompts/key.md"'), repo))
    assert problem["path"] == "task[0].prompt_file"
    assert "in its line 2" in problem["message"]


def test_a_prompt_file_beside_the_contract(repo: Path) -> None:
    """Paths start at the repository's top; one that was meant from the contract's folder is told how to be written."""
    (problem,) = problems_of(lambda: plan_text(work('prompt_file = "ok.md"'), repo / "prompts"))
    assert (problem["message"], problem["suggestion"]) == ("there is no file ok.md in the repository", "prompts/ok.md")


@pytest.mark.parametrize(
    ("text", "form", "line", "message"),
    [
        ('name = "x"\ntask = [', "toml", 2, "not TOML"),
        ('name = "x"\nname = "y"\n', "toml", 2, "not TOML"),
        ("a = " + "9" * 5000, "toml", None, "not TOML"),
        ("a = " + "[" * 100_000, "toml", None, "nested more than 16 levels"),
        ('{"name": "x",\n"task" }', "json", 2, "not JSON"),
        ('{"name": "x", "name": "y"}', "json", None, "written twice"),
        ('{"name": NaN}', "json", None, "NaN"),
        ("[1]", "json", 1, "a contract is an object"),
        ("[" * 100_000, "json", None, "nested more than 16 levels"),
    ],
)
def test_syntax(text: str, form: Any, line: int | None, message: str, tmp_path: Path) -> None:
    """A text that is no TOML or JSON is refused with the line of the mistake."""
    (problem,) = problems_of(lambda: from_text(text, form, root=tmp_path))
    assert problem["line"] == line
    assert message in problem["message"]


def test_json_has_lines_too(repo: Path) -> None:
    """A JSON contract's problems carry lines like a TOML contract's."""
    text = '{"name": "x",\n "task": [\n  {"id": "a",\n   "promt": "x", "run": "y"}]}'
    (problem,) = problems_of(lambda: plan(from_text(text, "json", root=repo), agents=AGENTS))
    assert problem == {
        "path": "task[0].promt",
        "line": 4,
        "message": "is not a key that Marathon knows",
        "suggestion": "prompt",
    }


def test_an_object_has_no_lines(repo: Path) -> None:
    """A contract sent as an object is refused by key path alone; half a surrogate pair is no text."""
    contract = {"name": "x", "task": [{"id": "a", "run": "\ud800"}]}
    (problem,) = problems_of(lambda: plan(from_object(contract, root=repo), agents=AGENTS))
    assert (problem["path"], problem["line"]) == ("task[0].run", None)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file is told as such; a folder and a file that is no text are refused."""
    with pytest.raises(MarathonError) as caught:
        read_source(tmp_path / "plan.toml")
    assert caught.value.kind is NO_SUCH_FILE
    assert "not a regular file" in problems_of(lambda: read_source(tmp_path))[0]["message"]
    (tmp_path / "latin.toml").write_bytes(b'name = "x"\ngoal = "\xfc"\n')
    (problem,) = problems_of(lambda: read_source(tmp_path / "latin.toml"))
    assert (problem["line"], problem["message"]) == (2, "the file is not UTF-8 text")


def test_a_repository_without_commits(tmp_path: Path) -> None:
    """There must be a commit to start from, and a checkout."""
    git(tmp_path, "init", "-q")
    assert problems_of(lambda: plan_text(GOOD, tmp_path))[0]["message"] == "the repository has no commit to start from"
    git(tmp_path, "init", "-q", "--bare", "bare")
    assert "bare repository" in problems_of(lambda: plan_text(GOOD, tmp_path / "bare"))[0]["message"]


def test_warnings(repo: Path) -> None:
    """What is allowed and probably not meant is said: unused names, keys without effect, a deadline that is past."""
    text = (
        'name = "x"\n[variables]\nunused = ""\nused = ""\n[limits]\ndeadline = 2020-01-01T00:00:00Z\n'
        '[[task]]\nid = "one"\nrun = "echo {{ used }}"\nmodel = "m"\n[[task]]\nid = "two"\nprompt = "{{ used }}"\n'
        '[[task]]\nid = "three"\nagent = "scripted"\nprompt = "[[do]]\\nsya = 1"\n'
    )
    warnings = "\n".join(plan_text(text, repo, now=1_600_000_000_000_000).warnings)
    assert "variables.unused (line 3): no prompt uses this variable" in warnings
    assert "variables.used" not in warnings
    assert "limits.deadline (line 6): 2020-01-01T00:00:00.000000Z is past" in warnings
    assert "task[0].run (line 9): {{ used }} stays as it is" in warnings
    assert "task[0].model (line 10): has no effect" in warnings
    assert "task[2].prompt (line 17): do[0]: unknown action 'sya'" in warnings
