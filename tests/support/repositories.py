"""Real git repositories in temporary folders, as a user would have them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from marathond.places import Places, find_places
from marathond.workspace.candidate import Candidate, Refused, make_candidate
from marathond.workspace.isolation import Workspace
from marathond.workspace.opening import open_workspace
from marathond.workspace.refs import agent_ref, candidate_ref
from marathond.workspace.repository import Repository

AT = 1_800_000_000_000_000
"""The instant at which everything is committed, in microseconds."""

SESSION = "s00000000001"


@dataclass
class Project:
    """A user's repository and a state folder beside it."""

    root: Path
    places: Places
    repository: Repository

    def git(self, *args: str, cwd: Path | None = None, given: bytes | None = None) -> str:
        """What the user's own git says, without its last newline."""
        done = subprocess.run(["git", *args], cwd=cwd or self.root, input=given, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    def commit(self, files: dict[str, str], message: str = "more", cwd: Path | None = None) -> str:
        """Writes and commits files as the user; the commit's id."""
        for name, text in files.items():
            path = (cwd or self.root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A", cwd=cwd)
        self.git("commit", "-q", "--allow-empty", "-m", message, cwd=cwd)
        return self.git("rev-parse", "HEAD", cwd=cwd)

    def commit_object(self, files: dict[str, str], parent: str) -> str:
        """A commit of exactly `files` on `parent`, without touching anything the user sees."""
        lines = []
        for name, text in files.items():
            oid = self.git("hash-object", "-w", "--stdin", given=text.encode())
            lines.append(f"100644 blob {oid}\t{name}\n")
        tree = self.git("mktree", given="".join(lines).encode())
        return self.git("commit-tree", tree, "-p", parent, "-m", "made")

    def show(self, commit: str, path: str) -> str:
        """The text of a file in a commit."""
        return self.git("show", f"{commit}:{path}")

    def files(self, commit: str) -> list[str]:
        """All paths of a commit."""
        return [p for p in self.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0") if p]

    def workspace(self, task: str = "task", isolation: str = "worktree", session: str = SESSION) -> Workspace:
        """The workspace of a task, not yet made."""
        return open_workspace(isolation, self.repository, self.places, session, task)  # type: ignore[arg-type]

    async def made(self, commit: str, task: str = "task", isolation: str = "worktree") -> Workspace:
        """The workspace of a task, at `commit`."""
        workspace = self.workspace(task, isolation)
        await workspace.ensure(commit, f"marathon {SESSION}", AT)
        return workspace

    async def candidate(self, workspace: Workspace, start: str, task: str = "task", attempt: int = 1) -> Candidate:
        """The candidate of what the workspace holds."""
        made = await self.try_candidate(workspace, start, task, attempt)
        assert isinstance(made, Candidate), made
        return made

    async def try_candidate(
        self, workspace: Workspace, start: str, task: str = "task", attempt: int = 1, **more: object
    ) -> Candidate | Refused:
        """The same, which may be refused."""
        return await make_candidate(
            workspace,
            start,
            "What was done\n",
            ref=candidate_ref(SESSION, task, attempt),
            agent_ref=agent_ref(SESSION, task, attempt),
            at=AT,
            **more,  # type: ignore[arg-type]
        )


def configure_git(monkeypatch: pytest.MonkeyPatch, home: Path, **settings: str) -> None:
    """Gives this process a git user of its own: no configuration of the machine, and `settings` (`.` written `__`)."""
    home.mkdir(exist_ok=True)
    (home / "gitconfig").write_text("")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    settings = {"user__name": "Una User", "user__email": "una@example.org", "init__defaultBranch": "main"} | settings
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for k, (name, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{k}", name.replace("__", "."))
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{k}", value)


async def open_project(folder: Path, *init: str) -> Project:
    """A repository with one commit of `a.txt` (1 to 9, a line each), `sub/b.txt` and a `.gitignore` of `*.log`, `build/`."""
    root = folder / "project"
    root.mkdir()
    subprocess.run(["git", "init", "-q", *init, str(root)], check=True, capture_output=True)
    places = find_places({"MARATHON_STATE_DIR": str(folder / "state"), "HOME": str(folder)})
    project = Project(root, places, await Repository.open(root, places.state))
    numbers = "".join(f"{n}\n" for n in range(1, 10))
    project.commit({"a.txt": numbers, "sub/b.txt": "b\n", ".gitignore": "*.log\nbuild/\n"}, "first")
    return project


async def new_project(folder: Path, monkeypatch: pytest.MonkeyPatch, *init: str) -> Project:
    """A fresh project with a git user of its own."""
    configure_git(monkeypatch, folder / "home")
    return await open_project(folder, *init)
