"""What an attempt amounts to: whether it makes a candidate, whether the candidate is accepted, and how to go on if not.

Only checks decide that a task with checks is done: an agent that crashed at the end of good work has done good work. Where
there is no check, the outcome must be ok and, for an agent, something must have changed.
"""

from marathond.domain.contract import Task as Spec
from marathond.domain.entries import API_TROUBLE, Mode
from marathond.domain.limits import REASON_CHARS_MAX
from marathond.domain.session import Attempt, Checking, Failing, Settled, Task

_JUDGED_BY_CHECKS = frozenset({"ok", "error", "timeout", "idle", "crashed"})

_TITLE_CHARS_MAX = 500

_SENTENCES = {
    "error": "the agent reported an error",
    "timeout": "it ran longer than its timeout",
    "idle": "it said nothing for longer than its idle limit",
    "crashed": "it ended without a result",
    "auth": "the agent is not logged in",
    "billing": "the agent's account has a billing problem",
    "context": "the conversation no longer fits the model",
    "refused": "the model refused",
    "setup_failed": "the workspace's setup failed",
    "not_started": "the agent could not be started",
}


def going_on(spec: Spec, thread: str | None) -> Mode:
    """How to start again after something that is not the work's fault. A command has no memory: it starts clean."""
    if spec.run is not None:
        return "fresh"
    return "continue" if thread else "cold"


def paused(attempt: Attempt) -> bool:
    """Whether the attempt was cut short by a vendor: it rests and goes on, and no attempt is counted."""
    return attempt.outcome == "quota" or attempt.outcome in API_TROUBLE


def wants_candidate(spec: Spec, attempt: Attempt) -> bool:
    """Whether what a settled attempt left is worth a commit."""
    if attempt.refused is not None or attempt.candidate is not None:
        return False
    if spec.run is not None or not spec.checks:
        return attempt.outcome == "ok"
    return attempt.outcome in _JUDGED_BY_CHECKS


def checks_pending(spec: Spec, attempt: Attempt) -> tuple[int, ...]:
    """The checks, by index, that have no result for the current candidate yet."""
    return tuple(i for i in range(len(spec.checks)) if i not in attempt.checks)


def accepted(spec: Spec, task: Task) -> bool:
    """Whether the candidate may move the tip."""
    attempt = task.attempt
    if not isinstance(task.phase, Checking) or attempt is None or attempt.candidate is None:
        return False
    if checks_pending(spec, attempt) or not all(result.ok for result in attempt.checks.values()):
        return False
    return bool(spec.run is not None or spec.checks or spec.allow_empty or not attempt.candidate.empty)


def judge(spec: Spec, task: Task) -> Failing | None:
    """The failure that a task's attempt amounts to; None while it is open, paused, or accepted."""
    attempt = task.attempt
    if isinstance(task.phase, Failing):
        return task.phase
    if attempt is None:
        return None
    if attempt.refused is not None:
        return Failing(reason=attempt.refused)
    if isinstance(task.phase, Settled):
        return _judge_outcome(spec, task, attempt)
    if isinstance(task.phase, Checking):
        return _judge_checks(spec, task, attempt)
    return None


def _judge_outcome(spec: Spec, task: Task, attempt: Attempt) -> Failing | None:
    if paused(attempt) or wants_candidate(spec, attempt):
        return None
    what = _SENTENCES.get(attempt.outcome or "", str(attempt.outcome))
    error = attempt.error
    if spec.run is not None and attempt.outcome == "error":
        what = f"the command exited {attempt.exit_code}"
        error = error.removesuffix(f"(exit code {attempt.exit_code})").rstrip()  # it was just said
    error = error[:REASON_CHARS_MAX]
    mode: Mode = "cold" if attempt.outcome == "context" else "fresh"
    return Failing(reason=f"{what}: {error}" if error else what, mode=mode)


def _judge_checks(spec: Spec, task: Task, attempt: Attempt) -> Failing | None:
    if attempt.candidate is None or checks_pending(spec, attempt) or accepted(spec, task):
        return None
    failed = [i for i in sorted(attempt.checks) if not attempt.checks[i].ok]
    if not failed:
        return Failing(reason="the agent changed nothing (allow_empty = true would accept that)")
    reason = "; ".join(f"{spec.checks[i].title[:_TITLE_CHARS_MAX]}: {attempt.checks[i].detail}" for i in failed)
    if len(reason) > REASON_CHARS_MAX:
        reason = f"{reason[:REASON_CHARS_MAX]} … ({len(failed)} checks failed)"
    some_passed = len(failed) < len(attempt.checks)
    return Failing(reason=reason, mode=going_on(spec, task.thread) if some_passed else "fresh")
