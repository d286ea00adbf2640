"""`open_effects(session)`: the intents without an outcome, as things to do in the outside world.

Each has a key made of the entry that opened it. The engine starts the effects that are not yet running and stops those that
are no longer open; so crashes, restarts and repeated looks are all the same to it.
"""

from typing import NamedTuple

from marathond.domain.decide import in_order, wants_run
from marathond.domain.judgement import accepted, checks_pending, judge, wants_candidate
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
        """A moved tip makes it another effect."""
        return ("candidate", self.n, self.onto)


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
    if session.aborting:
        return drives if session.quarantine is not None else [*drives, *_delivery(session)]
    if session.quarantine is not None:
        return []
    if session.halt is not None and not session.halt.drain:
        return drives  # to stop a process needs no run and no gate
    if session.run is None:
        return [OpenRun(session.runs + 1)] if wants_run(session, now) else []
    return [*drives, *_judgements(session), *_delivery(session)]


def _stopping(session: Session) -> bool:
    """Whether live attempts are to be ended: abort, halt, a budget that is spent, a session given up."""
    halting = session.halt is not None and not session.halt.drain
    return session.aborting or halting or session.barred or session.given_up is not None


def _drive(session: Session, task_id: str, *, stop: bool) -> DriveAttempt | None:
    task = session.tasks[task_id]
    if not isinstance(task.phase, LIVE) or task.attempt is None:
        return None
    return DriveAttempt(task.attempt.n, task_id, task.attempt.number, stop)


def _judgements(session: Session) -> list[Effect]:
    """Candidates, checks and the tip. The tip moves for one task at a time, first in the contract's order."""
    out: list[Effect] = []
    moving = False
    for task_id in in_order(session):
        task, spec = session.tasks[task_id], session.plan.tasks[task_id]
        attempt = task.attempt
        if attempt is None:
            continue
        if isinstance(task.phase, Settled) and wants_candidate(spec, attempt):
            out.append(MakeCandidate(attempt.n, task_id, attempt.number, session.tip))
        elif isinstance(task.phase, Checking) and attempt.candidate is not None and judge(spec, task) is None:
            candidate = attempt.candidate
            if task.checkpoint == candidate.commit:
                continue
            if candidate.parent != session.tip:
                out.append(MakeCandidate(attempt.n, task_id, attempt.number, session.tip))
            elif accepted(spec, task):
                if not moving:
                    out.append(MoveTip(candidate.n, task_id, attempt.number, candidate.commit, candidate.parent))
                moving = True
            else:
                pending = checks_pending(spec, attempt)
                out.append(RunChecks(candidate.n, task_id, attempt.number, candidate.commit, pending))
    return out


def _delivery(session: Session) -> list[Effect]:
    delivery = session.delivery
    if delivery is None or delivery.settled:
        return []
    return [Deliver(delivery.n, delivery.branch, delivery.commit)]
