"""What the keys of one task must be to each other: one thing to do, checks that check one thing, names that are defined."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from marathond.agents import script
from marathond.planning.draft import CheckDraft, Draft, TaskDraft
from marathond.planning.graph import Graph
from marathond.planning.paths import PathError, read_prompt
from marathond.planning.problems import KeyPath, Problems
from marathond.planning.templates import Name, parse

_WORK = ("prompt", "prompt_file", "run")
_AGENT_ONLY = ("model", "allow_empty")
_FILE_ONLY = ("contains", "matches", "changed")


def check_tasks(draft: Draft, agents: Collection[str], wrong: Mapping[str, str], problems: Problems) -> None:
    """Looks at each task by itself; `agents` are the names that profiles describe, `wrong` says what ails other profiles."""
    if "task" not in draft.given:
        problems.add(("task",), "is missing: a contract has at least one task", "[[task]]")
    for task in draft.tasks or ():
        _one_thing_to_do(task, problems)
        _agent_is_known(task, agents, wrong, problems)
        _prompt_is_no_shell_line(task, draft, problems)
        for index, check in enumerate(task.checks or ()):
            _one_thing_to_check(check, (*task.path, "check", index), problems)
    defaults = draft.defaults
    if defaults is not None and defaults.agent is not None:
        _known(defaults.agent, ("defaults", "agent"), agents, wrong, problems)


def read_prompts(tasks: Iterable[TaskDraft], top: Path, root: Path, problems: Problems) -> None:
    """Puts the text of each `prompt_file` where a `prompt` would stand.

    `top` is the repository's folder, which the paths are relative to; `root` is the contract's, which they may have been
    meant to be relative to.
    """
    for task in tasks:
        if task.prompt_file is None or "prompt" in task.given:
            continue
        path = (*task.path, "prompt_file")
        try:
            task.prompt = read_prompt(top, task.prompt_file)
        except PathError as refusal:
            problems.add(path, str(refusal), _from_top(task.prompt_file, top, root))
            continue
        if not task.prompt.strip():
            problems.add(path, "the file is empty")


def check_templates(draft: Draft, graph: Graph, problems: Problems) -> None:
    """Every name in a prompt is a variable or the text of a task that is done before; every variable is used."""
    variables = draft.variables or {}
    declared = "variables" not in draft.given or draft.variables is not None
    used: set[str] = set()
    for task in draft.tasks or ():
        if task.prompt is None:
            _warn_of_lookalikes(task, variables, problems)
            continue
        path: KeyPath = (*task.path, "prompt_file" if task.prompt_file is not None else "prompt")
        template = parse(task.prompt)
        for fault in template.faults:
            problems.add(path, fault)
        for name in template.names:
            used.add(name.text)
            if name.task is not None:
                _task_is_done_before(name.task, task, path, graph, problems)
            elif name.text not in variables and declared:
                _refuse_undefined(name, variables, path, problems)
    for unused in variables.keys() - used:
        problems.warn(("variables", unused), "no prompt uses this variable")


def warn_of_scripts(draft: Draft, problems: Problems) -> None:
    """A prompt for the scripted agent is a script; one that cannot be played will fail every attempt."""
    default = draft.defaults.agent if draft.defaults is not None else None
    for task in draft.tasks or ():
        if task.prompt is None or (task.agent or default) != "scripted":
            continue
        template = parse(task.prompt)
        if not template.names:  # what names will stand for is not known yet
            key = "prompt_file" if task.prompt_file is not None else "prompt"
            for fault in _script_faults("".join(str(part) for part in template.parts)):
                problems.warn((*task.path, key), fault)


def _script_faults(text: str) -> list[str]:
    try:
        return script.problems(text)
    except (ValueError, RecursionError):
        return ["the script is nested too deeply, or has a number that is too long"]


def _from_top(written: str, top: Path, root: Path) -> str | None:
    """How a file that was named from the contract's folder is called from the repository's."""
    home, beside = os.path.realpath(top), os.path.realpath(root / written)
    if (top / written).exists() or not os.path.isfile(beside) or not beside.startswith(f"{home}/"):  # noqa: PTH113
        return None
    return os.path.relpath(beside, home)


def _one_thing_to_do(task: TaskDraft, problems: Problems) -> None:
    given = [key for key in _WORK if key in task.given]
    if not given:
        problems.add(task.path, "has nothing to do: it needs a prompt, a prompt_file or a run")
    elif len(given) > 1:
        problems.add((*task.path, given[1]), f"stands beside {given[0]}: a task has one of {', '.join(_WORK)}")
    elif given == ["run"]:
        for key in _AGENT_ONLY:
            if key in task.given:
                problems.warn((*task.path, key), "has no effect: a command task has no agent")


def _agent_is_known(task: TaskDraft, agents: Collection[str], wrong: Mapping[str, str], problems: Problems) -> None:
    if task.agent is None:
        return
    path = (*task.path, "agent")
    if "run" not in task.given:
        _known(task.agent, path, agents, wrong, problems)
    elif task.agent != "command":
        problems.add(path, "a command task has no agent: write prompt instead of run, or leave the agent out")


def _prompt_is_no_shell_line(task: TaskDraft, draft: Draft, problems: Problems) -> None:
    """The agent `command` would run a prompt in a shell, together with what other agents wrote into it."""
    default = draft.defaults.agent if draft.defaults is not None else None
    if (task.agent or default) == "command":
        for key in {"prompt", "prompt_file"} & task.given:
            what = "would be run as a shell line by the agent command: write run, or name an agent that extends it"
            problems.add((*task.path, key), what, "run" if key == "prompt" else None)


def _known(agent: str, path: KeyPath, agents: Collection[str], wrong: Mapping[str, str], problems: Problems) -> None:
    if agent in wrong and agent not in agents:
        problems.add(path, f"the profile of this agent is wrong ({wrong[agent]})")
    elif agent not in agents:
        known = ", ".join(sorted(agents)) or "none"
        problems.add(path, f"no profile describes this agent; known are {known}", problems.nearest(agent, agents))


def _one_thing_to_check(check: CheckDraft, path: KeyPath, problems: Problems) -> None:
    match "run" in check.given, "file" in check.given:
        case False, False:
            problems.add(path, "checks nothing: it needs a run or a file")
        case True, True:
            problems.add((*path, "file"), "stands beside run: a check has one of run, file")
        case True, False:
            for key in _FILE_ONLY:
                if key in check.given:
                    problems.add((*path, key), "belongs to a check of a file")
        case _:
            if "timeout" in check.given:
                problems.add((*path, "timeout"), "belongs to a check that runs a command")


def _task_is_done_before(earlier: str, task: TaskDraft, path: KeyPath, graph: Graph, problems: Problems) -> None:
    shown = f"{{{{ task.{earlier}.text }}}}"
    if earlier not in graph:
        nearest = problems.nearest(earlier, graph.ids, but=task.id)
        meant = f"{{{{ task.{nearest}.text }}}}" if nearest else None
        problems.add(path, f"{shown} is not defined: there is no task {earlier!r}", meant)
    elif task.id is not None and task.id in graph and not graph.comes_before(earlier, task.id):
        problems.add(
            path,
            f"{shown} is not defined: {earlier!r} need not be done before this task",
            f'needs = ["{earlier}"]' if earlier != task.id else None,
        )


def _refuse_undefined(name: Name, variables: Mapping[str, str], path: KeyPath, problems: Problems) -> None:
    nearest = problems.nearest(name.text, variables)
    meant = f"{{{{ {nearest} }}}}" if nearest else None
    problems.add(path, f"{{{{ {name.text} }}}} is not defined: [variables] has no such name", meant)


def _warn_of_lookalikes(task: TaskDraft, variables: Mapping[str, str], problems: Problems) -> None:
    if task.run is not None and "{{" in task.run:
        for name in parse(task.run).names:
            if name.task is not None or name.text in variables:
                problems.warn((*task.path, "run"), f"{{{{ {name.text} }}}} stays as it is: only prompts are filled in")
