"""One sentence for each kind of entry."""

from collections.abc import Callable, Mapping
from typing import Any

from marathonctl.render.text import clean, duration, instant, plural, short

Body = Mapping[str, Any]

_OUTCOMES = {
    "ok": "ended well",
    "error": "failed",
    "quota": "hit a quota",
    "rate_limit": "hit a rate limit",
    "overloaded": "found the API overloaded",
    "network": "could not reach the API",
    "auth": "was not let in",
    "billing": "has no credit",
    "context": "ran out of context",
    "refused": "was refused by the model",
    "timeout": "took too long",
    "idle": "was silent for too long",
    "crashed": "crashed",
    "interrupted": "was interrupted",
    "setup_failed": "failed while its workspace was set up",
    "not_started": "could not be started",
}
_MODES = {"fresh": "starts", "continue": "goes on", "cold": "goes on without its thread"}
_RUN_ENDS = {
    "handover": "handed over to the next daemon",
    "cut_off": "was cut off",
    "quarantined": "ended: the session is quarantined",
}
_WAITS = {"backoff": "tries again", "api": "waits for the API", "quota": "waits for its quota"}


def sentence(kind: str, body: Body) -> str:
    """What an entry says, in words; a kind from a newer Marathon is named as it is."""
    words = SENTENCES.get(kind)
    if words is None:
        return f"{kind} (a kind that this version does not know)"
    try:
        return clean(words(body))
    except (KeyError, TypeError, ValueError):
        return f"{kind} (in a form that this version does not know)"


def is_about_task(body: Body) -> str:
    """The task that an entry concerns; empty when it concerns the whole session."""
    task = body.get("task")
    return clean(task) if isinstance(task, str) else ""


def _more(text: str | None) -> str:
    return f": {text}" if text else ""


def _attempt(body: Body) -> str:
    return f"{body['task']}: attempt {body['attempt']}"


def _created(body: Body) -> str:
    carried = body.get("carried_from")
    came = f", carrying on from {carried}" if carried else ""
    return f"session {body['session']} ({body['name']}) was created on {short(body['base'])}{came}"


def _taken(name: str | None) -> str:
    return f" ({name} is taken by others)" if name else ""


def _on(branch: str | None) -> str:
    return f"; its branch is {branch}" if branch else "; no branch was made"


def _run_ended(body: Body) -> str:
    return f"run {body['run']} {_RUN_ENDS.get(body['reason'], 'ended: ' + body['reason'])}"


def _gate_refused(body: Body) -> str:
    failed = [f"{p['point']} ({p['detail']})" for p in body["points"] if p["verdict"] == "fail"]
    return f"the gate refused at point {', '.join(failed)}{'; quarantined' if body['quarantine'] else ''}"


def _amend(body: Body) -> str:
    parts = []
    if body.get("wall_ms") is not None:
        parts.append(f"wall {duration(body['wall_ms'])}")
    if body.get("deadline") is not None:
        parts.append(f"deadline {instant(body['deadline'])}")
    if body.get("parallel") is not None:
        parts.append(f"parallel {body['parallel']}")
    return f"you changed the limits: {', '.join(parts)}"


def _intended(body: Body) -> str:
    model = f" {body['model']}" if body.get("model") else ""
    why = "" if body.get("why", "first") == "first" else f" ({body['why']})"
    return f"{_attempt(body)} {_MODES.get(body['mode'], body['mode'])} with {body['agent']}{model}{why}"


def _finished(body: Body) -> str:
    outcome = _OUTCOMES.get(body["outcome"], body["outcome"])
    return f"{_attempt(body)} {outcome} after {duration(body.get('elapsed_ms', 0))}{_more(body.get('error'))}"


def _candidate(body: Body) -> str:
    changed = "without changes" if body["empty"] else f"changing {plural(body['changed_files'], 'file')}"
    return f"{_attempt(body)} made candidate {short(body['commit'])}, {changed}"


def _conflicted(body: Body) -> str:
    return f"{_attempt(body)} conflicts with what came before in {', '.join(body['paths'])}"


def _check(body: Body) -> str:
    return f"{body['task']}: check {body['index'] + 1} {'passed' if body['ok'] else 'failed'}{_more(body['detail'])}"


def _noted(body: Body) -> str:
    says = {"progress": "says", "attachment": "attached a file", "refused": "was refused"}
    return f"{_attempt(body)} {says.get(body['what'], body['what'])}{_more(body['text'])}"


def _timer(body: Body) -> str:
    return f"{body['task']} {_WAITS.get(body['timer_kind'], 'waits')} until {instant(body['due'])}"


def _slot(verb: str) -> Callable[[Body], str]:
    return lambda body: f"{body['session']}/{body['task']} {verb} for attempt {body['attempt']}"


def _limited(body: Body) -> str:
    how = "" if body["stated"] else " (a guess: no reset time was given)"
    return f"{body['pool']} is limited until {instant(body['until'])}{how}"


SENTENCES: dict[str, Callable[[Body], str]] = {
    "session.created": _created,
    "session.carried": lambda b: f"{len(b['tasks'])} more tasks are carried over, done",
    "session.reopened": lambda b: f"you reopened the session for {', '.join(b['tasks']) or 'all that failed'}",
    "session.halted": lambda b: "the session is halted; no process of it is left",
    "session.resumed": lambda b: "you resumed the session" + (" without waiting for the quota" if b.get("now") else ""),
    "session.aborted": lambda b: "the session is aborted" + _on(b.get("branch")),
    "session.completed": lambda b: "the session is done" + _on(b.get("branch")),
    "session.failed": lambda b: f"the session failed: {b['reason']}" + _on(b.get("branch")),
    "run.started": lambda b: f"run {b['run']} started ({b['reason']})",
    "run.ended": _run_ended,
    "run.stepped": lambda b: (
        f"the clock moved by {b['by_ms'] / 1000:.0f} s under it, which does not count against `wall`"
    ),
    "gate.passed": lambda b: f"the gate let run {b['run']} pass",
    "gate.refused": _gate_refused,
    "request.halt": lambda b: "you asked to halt" + (" when live attempts have finished" if b.get("drain") else ""),
    "request.abort": lambda b: "you asked to abort",
    "request.answer": lambda b: f"you answered {b['answer']} to question {b['question']}",
    "request.amend": _amend,
    "question.asked": lambda b: f"it asks you: {b['text']}",
    "contract.amended": lambda b: f"revision {b['k']} of the contract is in force ({short(b['hash'])})",
    "attempt.intended": _intended,
    "attempt.started": lambda b: f"{_attempt(b)} runs (pid {b['pid']})",
    "attempt.adopted": lambda b: f"{_attempt(b)} was found alive and is followed by run {b['run']}",
    "attempt.finished": _finished,
    "attempt.lost": lambda b: f"{_attempt(b)} was lost: {b['why']}",
    "attempt.noted": _noted,
    "candidate.made": _candidate,
    "candidate.conflicted": _conflicted,
    "candidate.refused": lambda b: f"{_attempt(b)} left something that may not be committed: {b['reason']}",
    "check.finished": _check,
    "checkpoint.committed": lambda b: f"{b['task']}: checkpoint {short(b['commit'])}",
    "task.done": lambda b: f"{b['task']} is done",
    "task.failed": lambda b: f"{b['task']} failed: {b['reason']}",
    "task.skipped": lambda b: f"{b['task']} is skipped, because {b['because']} did not get done",
    "task.cancelled": lambda b: f"{b['task']} is cancelled",
    "task.reopened": lambda b: f"{b['task']} is pending again",
    "timer.set": _timer,
    "timer.fired": lambda b: "the wait is over",
    "delivery.intended": lambda b: f"branch {b['branch']} is to be made at {short(b['commit'])}",
    "delivery.made": lambda b: f"branch {b['branch']} is at {short(b['commit'])}" + _taken(b.get("instead_of")),
    "delivery.failed": lambda b: f"the branch could not be made: {b['reason']}",
    "daemon.started": lambda b: f"daemon {b['version']} started (pid {b['pid']})",
    "daemon.stopped": lambda b: f"the daemon stopped: {b['reason']}",
    "slot.granted": _slot("got a slot"),
    "slot.returned": _slot("gave back its slot"),
    "pool.limited": _limited,
    "pool.opened": lambda b: f"{b['pool']} is open again",
    "clock.stepped": lambda b: f"the clock stepped by {b['by_ms']} ms",
    "system.summed": lambda b: "what still counts of the entries before is summed up, for a quick start",
    "backup.made": lambda b: f"a backup of {plural(b['entries'], 'entry')} was written to {b['path']}",
    "session.quarantined": lambda b: f"session {b['session']} is quarantined: its history cannot be trusted",
    "session.pruned": lambda b: f"session {b['session']} was exported and removed ({plural(b['entries'], 'entry')})",
    "head.accepted": lambda b: (
        f"you accepted that entries after {b['found_seq']} are lost (the head said {b['head_seq']})"
    ),
}
