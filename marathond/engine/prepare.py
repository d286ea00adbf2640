"""Everything an attempt needs before it starts: its workspace in the right state, its words, its command, its environment."""

from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from marathond.agents import launch
from marathond.agents.launch import Launch
from marathond.agents.profile import Profile
from marathond.attempt.environment import AttemptEnvironment
from marathond.attempt.job import Job
from marathond.attempt.processes import ATTEMPT_MARKER
from marathond.attempt.records import write_durably
from marathond.attempt.redact import Redactor
from marathond.domain import entries as e
from marathond.domain.contract import Task as Spec
from marathond.domain.session import Attempt, Done, Session
from marathond.engine.effects.troubles import told
from marathond.engine.engine import Engine
from marathond.engine.environment import attempt_environment, check_environment, forbidden_in
from marathond.engine.handoff import Past, continuation, opening
from marathond.engine.past import past_of
from marathond.planning.templates import render
from marathond.store.files import make_folder
from marathond.workspace.isolation import Created, Workspace
from marathond.workspace.leaks import Forbidden
from marathond.workspace.refs import rescue_ref
from marathond.workspace.rescue import Rescued

SOCKET = "MARATHON_SOCKET"

_NAMED_MAX = 20


class Ready(NamedTuple):
    """An attempt that can be started."""

    job: Job
    environment: AttemptEnvironment
    stdin: bytes | None
    agent_version: str | None


async def prepare(engine: Engine, session: Session, task_id: str, attempt: Attempt, where: Path) -> Ready:
    """Prepares an attempt. Raises MarathonError, GitError or OSError when that is impossible."""
    spec = session.plan.tasks[task_id]
    registry = await anyio.to_thread.run_sync(engine.agents)
    profile = registry.get(spec.agent)
    told = spec.prompt is not None and profile.reader != "scripted"  # that one plays its list from the start, always
    past = await past_of(engine, session, task_id, attempt) if told or attempt.mode != "fresh" else None
    workspace = await _make_room(engine, session, task_id, attempt, past)
    built = _command(engine, session, spec, attempt, profile, where, str(workspace.path), past if told else None)
    id_ = f"{session.id}/{task_id}/{attempt.number}"
    common = {"PWD": str(workspace.path), ATTEMPT_MARKER: id_}
    # whatever places the daemon was started with, a client inside the attempt finds it
    reaching = {SOCKET: str(engine.places.socket)}
    environment = await attempt_environment(engine, session, spec, profile, {**built.env, **common, **reaching})
    # setup lines are the repository's code, as checks are: they get no provider's keys, and nothing to call
    public = await check_environment(engine, session, spec, common)
    launch.require(profile, environment.values["PATH"])
    for name, content in built.files.items():
        await anyio.to_thread.run_sync(_write, where, name, content)
    job = Job(
        id=id_,
        argv=built.argv,
        cwd=str(workspace.path),
        timeout_ms=spec.timeout_ms,
        idle_ms=max(spec.idle_ms, built.idle_floor_ms),
        grace_ms=built.grace_ms,
        stop_signals=tuple(name for name in built.stop_signals if name != "KILL"),
        setup=session.plan.contract.workspace.setup,
        setup_marker=str(setup_marker(engine, session.id, task_id)),
        setup_without=tuple(sorted(environment.values.keys() - public.values.keys())),
    )
    version = await anyio.to_thread.run_sync(engine.agents.version_of, profile, environment.values)
    return Ready(job, environment, built.stdin, version and Redactor(environment.secrets).redact_text(version))


def setup_marker(engine: Engine, session: str, task: str) -> Path:
    """The file that says that a workspace was set up; beside the workspace, where no agent has business."""
    return engine.places.workspaces / session / f"{task}.setup"


async def _make_room(engine: Engine, session: Session, task_id: str, attempt: Attempt, past: Past | None) -> Workspace:
    """The workspace as the attempt's mode wants it: clean at its start, or as the attempt before left it.

    What was judged is the candidate: where it failed, its files come back, whatever the checks have done to them since.
    """
    forbidden = await forbidden_in(engine, session)
    workspace, new = await room_at(engine, session, task_id, attempt.start, forbidden)
    if attempt.mode == "fresh" and not new:
        ref = rescue_ref(session.id, task_id, attempt.number)
        if forbidden is not None:  # what is withheld is recorded before it is gone
            kept = await workspace.rescue(ref, engine.clock.wall(), forbidden)
            if kept.withheld or kept.commits_withheld:
                await engine.append(session.id, await _withheld(engine, session, task_id, attempt, kept))
        await workspace.reset_fresh(attempt.start, ref, engine.clock.wall(), forbidden)
    elif past is not None and past.why == "failed" and past.attempt.candidate is not None:
        await workspace.checkout(past.attempt.candidate.commit, engine.clock.wall(), forbidden)
    return workspace


async def _withheld(engine: Engine, session: Session, task_id: str, attempt: Attempt, kept: Rescued) -> e.AttemptNoted:
    what = ["its own commits"] if kept.commits_withheld else []
    what += [*kept.withheld[:_NAMED_MAX], *([f"{n} more"] if (n := len(kept.withheld) - _NAMED_MAX) > 0 else [])]
    text = f"of what was in the workspace this is not kept, since it contains a secret that was handed out: {', '.join(what)}"
    clean = await told(engine, session, task_id, text)
    return e.AttemptNoted(task=task_id, attempt=attempt.number, what="withheld", text=clean)


async def room_at(
    engine: Engine, session: Session, task_id: str, commit: str, forbidden: Forbidden | None
) -> tuple[Workspace, bool]:
    """The task's workspace, and whether it had to be made, at `commit`; a new one is not set up yet."""
    workspace = await engine.rooms.workspace(session, task_id)
    made = await workspace.ensure(commit, f"marathon session {session.id}", engine.clock.wall(), forbidden)
    if isinstance(made, Created):
        await anyio.to_thread.run_sync(lambda: setup_marker(engine, session.id, task_id).unlink(missing_ok=True))
    return workspace, isinstance(made, Created)


def _command(
    engine: Engine,
    session: Session,
    spec: Spec,
    attempt: Attempt,
    profile: Profile,
    where: Path,
    cwd: str,
    past: Past | None,
) -> Launch:
    scripted = profile.reader == "scripted"  # words are no TOML
    prompt = asked(session, spec)
    return launch.build(
        profile,
        mode=attempt.mode,
        prompt=opening(spec, prompt, "cold" if attempt.mode == "continue" else attempt.mode, past),
        continuation=prompt if scripted else continuation(spec, past),
        session=session.id,
        task=spec.id,
        attempt=attempt.number,
        cwd=cwd,
        directory=str(where),
        model=spec.model,
        thread=attempt.thread,
        as_root=engine.as_root,
    )


def asked(session: Session, spec: Spec) -> str:
    """What a task's attempts are told to do: its command, or its prompt, in whose names are filled in the variables and the final
    words of the tasks that are done.
    """
    if spec.run is not None:
        return spec.run
    texts = {f"task.{i}.text": t.text for i, t in session.tasks.items() if isinstance(t.phase, Done)}
    return render(spec.prompt or "", {**session.plan.contract.variables, **texts})


def _write(where: Path, name: str, content: bytes) -> None:
    make_folder(where)
    write_durably(where / name, content)
