"""`open_effects(session)`: the intents without an outcome, as things to do in the outside world.

Each has a key made of the entry that opened it. The engine starts the effects that are not yet running and stops those that
are no longer open; so crashes, restarts and repeated looks are all the same to it.
"""

from typing import NamedTuple

from marathond.domain.judgement import checks_pending, judge, wants_candidate
from marathond.domain.outlook import asks_after_boot, in_order, is_checkpointed, moving_tip, wants_run
from marathond.domain.session import LIVE, Checking, Session, Settled


class DriveAttempt(NamedTuple):
    """Start the attempt or follow the one that lives; its outcome is `attempt.finished` or `attempt.lost`. `stop` ends it early."""

    n: int
    task: str
    attempt: int
    stop: bool

    @property
    def key(self) -> tuple[object, ...]:
        """The same effect with another `stop` is still the same effect."""
        return ("attempt", self.n)


class MakeCandidate(NamedTuple):
    """Commit what the attempt left, on top of the tip `onto`."""

    n: int
    task: str
    attempt: int
    onto: str

    @property
    def key(self) -> tuple[object, ...]:
        """The same effect also when the tip has moved meanwhile: what it makes is then fitted onto the new one."""
        return ("candidate", self.n)


class RunChecks(NamedTuple):
    """Run the checks that have no result yet, on `commit`."""

    n: int
    task: str
    attempt: int
    commit: str
    indexes: tuple[int, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """One effect per candidate, however many checks are left."""
        return ("checks", self.n)


class MoveTip(NamedTuple):
    """Move the session's tip from `parent` to `commit` by compare-and-swap."""

    n: int
    task: str
    attempt: int
    commit: str
    parent: str

    @property
    def key(self) -> tuple[object, ...]:
        """One effect per candidate."""
        return ("tip", self.n)


class Deliver(NamedTuple):
    """Make the branch."""

    n: int
    branch: str
    commit: str

    @property
    def key(self) -> tuple[object, ...]:
        """One effect per delivery."""
        return ("deliver", self.n)


class OpenRun(NamedTuple):
    """Take the session through the resume gate and start run number `number`."""

    number: int

    @property
    def key(self) -> tuple[object, ...]:
        """One effect per run."""
        return ("run", self.number)


Effect = DriveAttempt | MakeCandidate | RunChecks | MoveTip | Deliver | OpenRun


def open_effects(session: Session, now: int) -> list[Effect]:
    """What has to be done, in the contract's order of tasks. Nothing for an ended session."""
    if session.end is not None:
        return []
    stop = _stopping(session)
    drives: list[Effect] = [e for i in in_order(session) if (e := _drive(session, i, stop=stop))]
    if session.quarantine is not None:
        return drives if stop else []
    if session.aborting:
        return [*drives, *(_move(session) if session.run is not None else []), *_delivery(session)]
    if _halting(session):
        return drives  # to stop a process needs no run and no gate
    if session.run is None:
        return [OpenRun(session.runs + 1)] if wants_run(session, now) else []
    if session.given_up is not None:
        return [*drives, *_move(session), *_delivery(session)]
    return [*drives, *_judgements(session), *_move(session), *_delivery(session)]


def _stopping(session: Session) -> bool:
    """Whether live attempts are to be ended: abort, halt, a budget that is spent, a session given up."""
    if session.quarantine is not None:
        return session.aborting or session.halt is not None
    return session.aborting or _halting(session) or session.barred or session.given_up is not None


def _halting(session: Session) -> bool:
    """Whether a halt is under way that waits for nothing. A session that was given up ends instead."""
    return session.halt is not None and not session.halt.drain and session.given_up is None


def _drive(session: Session, task_id: str, *, stop: bool) -> DriveAttempt | None:
    task = session.tasks[task_id]
    if not isinstance(task.phase, LIVE) or task.attempt is None:
        return None
    return DriveAttempt(task.attempt.n, task_id, task.attempt.number, stop)


def _judgements(session: Session) -> list[Effect]:
    """Candidates and checks. None while the question stands whether to go on after a boot: checks are the user's programs."""
    out: list[Effect] = []
    if asks_after_boot(session):
        return out
    for task_id in in_order(session):
        task, spec = session.tasks[task_id], session.plan.tasks[task_id]
        attempt = task.attempt
        if attempt is None:
            continue
        if isinstance(task.phase, Settled) and wants_candidate(spec, attempt):
            out.append(MakeCandidate(attempt.n, task_id, attempt.number, session.tip))
        elif isinstance(task.phase, Checking) and attempt.candidate is not None and judge(spec, task) is None:
            candidate = attempt.candidate
            if is_checkpointed(task):
                continue
            if candidate.parent != session.tip:
                out.append(MakeCandidate(attempt.n, task_id, attempt.number, session.tip))
            elif pending := checks_pending(spec, attempt):
                out.append(RunChecks(candidate.n, task_id, attempt.number, candidate.commit, pending))
    return out


def _move(session: Session) -> list[Effect]:
    """The tip moves for one task at a time, first in the contract's order."""
    task_id = moving_tip(session)
    if task_id is None:
        return []
    attempt = session.tasks[task_id].attempt
    assert attempt is not None
    assert attempt.candidate is not None
    return [MoveTip(attempt.candidate.n, task_id, attempt.number, attempt.candidate.commit, attempt.candidate.parent)]


def _delivery(session: Session) -> list[Effect]:
    delivery = session.delivery
    if delivery is None or delivery.settled:
        return []
    return [Deliver(delivery.n, delivery.branch, delivery.commit)]
