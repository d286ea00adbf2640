"""From what a user wrote to a frozen contract: everything is looked at, all problems are told at once, defaults are filled in."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from marathond.domain.contract import (
    Check,
    Contract,
    Delivery,
    FileCheck,
    Frozen,
    Limits,
    RunCheck,
    Task,
    Workspace,
    freeze,
)
from marathond.domain.instants import format_instant
from marathond.domain.limits import (
    ATTEMPTS_DEFAULT,
    CHECK_TIMEOUT_DEFAULT_MS,
    CONTRACT_BYTES_MAX,
    IDLE_DEFAULT_MS,
    PARALLEL_DEFAULT,
    TIMEOUT_DEFAULT_MS,
)
from marathond.planning.branches import branch_name
from marathond.planning.draft import (
    CheckDraft,
    DefaultsDraft,
    DeliveryDraft,
    Draft,
    LimitsDraft,
    TaskDraft,
    WorkspaceDraft,
    read_draft,
)
from marathond.planning.graph import check_graph
from marathond.planning.problems import KeyPath, Problems
from marathond.planning.repository import FindRepository, RepositoryError, RepositoryFacts, find_repository
from marathond.planning.secrets import check_secrets, texts_of
from marathond.planning.source import Source
from marathond.planning.tasks import check_tasks, check_templates, read_prompts, warn_of_scripts

FORM_VERSION = 1
AGENT_DEFAULT = "claude"
BRANCH_DEFAULT = "marathon/{name}"
COMMAND_AGENT = "command"


class Planned(NamedTuple):
    """A contract that may be started.

    `repo` is the top folder of the user's checkout and `base` the full id of the commit that `workspace.base` names now;
    neither is part of the contract. `warnings` are sentences for the user.
    """

    frozen: Frozen
    repo: Path
    base: str
    warnings: list[str]


_NONE_WRONG: Final[Mapping[str, str]] = MappingProxyType({})


def plan(
    source: Source,
    *,
    agents: Collection[str],
    wrong_agents: Mapping[str, str] = _NONE_WRONG,
    allow_secrets: bool = False,
    now: int | None = None,
    find: FindRepository = find_repository,
) -> Planned:
    """Checks a contract in every respect and freezes it.

    `agents` are the names that profiles describe, `wrong_agents` say what is wrong with other profiles; `now`, in microseconds, lets a deadline in the past be noticed; `find`
    looks for the repository. Blocks on the file system and on git. Raises MarathonError CONTRACT_INVALID, whose
    `data["problems"]` lists every problem as `{path, line, message, suggestion}`.
    """
    problems = Problems(source.find_lines)
    draft = read_draft(source.data, problems)
    tasks = draft.tasks or ()
    check_tasks(draft, agents, wrong_agents, problems)
    graph = check_graph(tasks, problems)
    repository, base = _find_base(draft, source.root, find, problems)
    if repository is not None:
        read_prompts(tasks, repository.top, source.root, problems)
    check_templates(draft, graph, problems)
    warn_of_scripts(draft, problems)
    check_secrets(_texts(source, draft), problems, allowed=allow_secrets)
    name = _name(draft)
    branch = _branch(draft, name, problems)
    _warn_of_past_deadline(draft, now, problems)
    problems.raise_any()
    assert repository is not None  # its absence is a problem
    assert base is not None
    frozen = freeze(_contract(draft, name, branch))
    if len(frozen.text) > CONTRACT_BYTES_MAX:
        problems.add((), f"the contract has {len(frozen.text):,} bytes; {CONTRACT_BYTES_MAX:,} are allowed")
        problems.raise_any()
    return Planned(frozen, repository.top, base, problems.warnings)


def _find_base(
    draft: Draft, root: Path, find: FindRepository, problems: Problems
) -> tuple[RepositoryFacts | None, str | None]:
    """The repository that the contract works on, and the commit it starts from."""
    workspace = draft.workspace or WorkspaceDraft()
    if "repo" in workspace.given and workspace.repo is None:
        return None, None
    try:
        repository = find(root / Path(workspace.repo or ".").expanduser())
        if "base" in workspace.given and workspace.base is None:
            return repository, None
        base = repository.commit(workspace.base or "HEAD")
    except (RepositoryError, RuntimeError) as missing:  # RuntimeError: a ~user that does not exist
        problems.add(("workspace", "repo"), str(missing))
        return None, None
    if base is None and workspace.base in (None, "HEAD"):
        problems.add(("workspace", "base"), "the repository has no commit to start from")
    elif base is None:
        problems.add(("workspace", "base"), f"the repository has no commit {workspace.base!r}")
    return repository, base


def _texts(source: Source, draft: Draft) -> Iterator[tuple[KeyPath, str]]:
    """Every text that the contract would hold, with its place."""
    yield from texts_of(source.data)
    for task in draft.tasks or ():
        if task.prompt_file is not None and task.prompt is not None:
            yield (*task.path, "prompt_file"), task.prompt


def _name(draft: Draft) -> str:
    """The session's name: as written, else the id of the first task."""
    return draft.name or next((task.id for task in draft.tasks or () if task.id), "session")


def _branch(draft: Draft, name: str, problems: Problems) -> str:
    pattern = (draft.delivery or DeliveryDraft()).branch or BRANCH_DEFAULT
    try:
        return branch_name(pattern, name)
    except ValueError as error:
        problems.add(("delivery", "branch"), str(error), BRANCH_DEFAULT)
        return pattern


def _warn_of_past_deadline(draft: Draft, now: int | None, problems: Problems) -> None:
    deadline = draft.limits.deadline if draft.limits is not None else None
    if deadline is not None and now is not None and deadline <= now:
        when = format_instant(deadline)
        problems.warn(("limits", "deadline"), f"{when} is past: the session will be held before its first task")


def _contract(draft: Draft, name: str, branch: str) -> Contract:
    workspace = draft.workspace or WorkspaceDraft()
    limits = draft.limits or LimitsDraft()
    defaults = draft.defaults or DefaultsDraft()
    return Contract(
        v=FORM_VERSION,
        name=name,
        goal=draft.goal or "",
        workspace=Workspace(
            base=workspace.base or "HEAD",
            isolation="none" if workspace.isolation == "none" else "worktree",
            setup=workspace.setup or (),
        ),
        limits=Limits(parallel=limits.parallel or PARALLEL_DEFAULT, wall_ms=limits.wall_ms, deadline=limits.deadline),
        variables=draft.variables or {},
        tasks=tuple(_task(task, defaults) for task in draft.tasks or ()),
        delivery=Delivery(branch=branch),
    )


def _task(task: TaskDraft, defaults: DefaultsDraft) -> Task:
    by_agent = task.run is None
    default_agent = defaults.agent or AGENT_DEFAULT
    agent = task.agent or default_agent
    # one agent's model means nothing to another
    default_model = defaults.model if agent == default_agent else None
    env = task.env if task.env is not None else defaults.env
    return Task(
        id=cast("str", task.id),
        needs=task.needs or (),
        prompt=task.prompt,
        run=task.run,
        agent=agent if by_agent else COMMAND_AGENT,
        model=task.model or default_model if by_agent else None,
        attempts=task.attempts or defaults.attempts or ATTEMPTS_DEFAULT,
        timeout_ms=task.timeout_ms or defaults.timeout_ms or TIMEOUT_DEFAULT_MS,
        idle_ms=task.idle_ms or defaults.idle_ms or IDLE_DEFAULT_MS,
        allow_empty=bool(task.allow_empty) and by_agent,
        env=env or (),
        checks=tuple(_check(check) for check in task.checks or ()),
    )


def _check(check: CheckDraft) -> Check:
    if check.run is not None:
        return RunCheck(run=check.run, timeout_ms=check.timeout_ms or CHECK_TIMEOUT_DEFAULT_MS)
    return FileCheck(
        file=cast("str", check.file),
        contains=check.contains,
        matches=check.matches,
        changed=bool(check.changed),
    )
