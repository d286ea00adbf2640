"""The entries of the ledger: every fact that Marathon records, as frozen structs.

An entry is an envelope around a body. `kind` selects the body's type; `v` in the record is the version of that body.
Bodies hold strings, integers (below 2^53), booleans, null, lists and objects with ASCII keys: no floats. Durations end in
`_ms`, sizes in `_bytes`, money in `_microusd`, instants (`due`, `at`) are microseconds since the epoch unless they are text.

More kinds may come and bodies may gain fields with defaults; what a kind means never changes.
"""

from typing import Any, ClassVar, Final, Literal

import msgspec

SYSTEM: Final = "system"
RECORD_VERSION: Final = 1


def session_stream(session: str) -> str:
    """The name of a session's stream."""
    return f"session:{session}"


def session_of(stream: str) -> str | None:
    """The session that a stream belongs to; None for `system`."""
    return stream.removeprefix("session:") if stream.startswith("session:") else None


Outcome = Literal[
    "ok",
    "error",
    "quota",
    "rate_limit",
    "overloaded",
    "network",
    "auth",
    "billing",
    "context",
    "refused",
    "timeout",
    "idle",
    "crashed",
    "interrupted",
    "setup_failed",
    "not_started",
]
"""How an attempt ended. It never says that a task is done: only checks decide that."""

API_TROUBLE: Final = frozenset({"rate_limit", "overloaded", "network"})
"""Outcomes that blame the vendor's API: they cost no attempt, back off and go on in the thread."""

Mode = Literal["fresh", "continue", "cold"]
"""How an attempt starts: clean tree and a handoff; kept tree and thread; kept tree, no thread, a handoff."""

TimerKind = Literal["backoff", "api", "quota"]
About = Literal["wall", "deadline", "lost", "conflicts", "on_boot", "agent"]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens in four buckets and the cost in millionths of a US dollar, as the agent reported them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_microusd: int = 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the resume gate."""

    point: int
    verdict: Literal["pass", "fail", "not_evaluated"]
    detail: str


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all bodies."""

    kind: ClassVar[str]


# --- session ----------------------------------------------------------------------------------------


class SessionCreated(Body, frozen=True, kw_only=True):
    """A session exists: its contract is frozen and its base commit fixed. `tip` differs from `base` when it carries on from another session."""

    kind: ClassVar[str] = "session.created"
    session: str
    name: str
    contract: str
    repo: str
    base: str
    tip: str
    object_format: str = "sha1"
    key: str | None = None
    carried_from: str | None = None
    carried_tasks: list[str] = []
    unsandboxed: bool = False
    version: str = ""


class SessionCarried(Body, frozen=True, kw_only=True):
    """More tasks that are carried over, done, from the session that `session.created` names: it has room for the first thousand."""

    kind: ClassVar[str] = "session.carried"
    tasks: list[str]


class SessionReopened(Body, frozen=True, kw_only=True):
    """`retry`: a failed session goes on; `tasks` are given a new life (of many, the first thousand: `task.reopened` names all)."""

    kind: ClassVar[str] = "session.reopened"
    tasks: list[str]


class SessionHalted(Body, frozen=True, kw_only=True):
    """The user's halt took effect: no attempt of the session is alive. A check that was under way is ended too."""

    kind: ClassVar[str] = "session.halted"


class SessionResumed(Body, frozen=True, kw_only=True):
    """A user resumed the session: it is no longer halted, and backoffs are cut short. `now` also ends a quota wait."""

    kind: ClassVar[str] = "session.resumed"
    now: bool = False


class SessionAborted(Body, frozen=True, kw_only=True):
    """The user's abort took effect; the session has ended."""

    kind: ClassVar[str] = "session.aborted"
    branch: str | None = None


class SessionCompleted(Body, frozen=True, kw_only=True):
    """Every task is done; the session has ended."""

    kind: ClassVar[str] = "session.completed"
    branch: str | None = None


class SessionFailed(Body, frozen=True, kw_only=True):
    """Nothing can go on and at least one task is not done; the session has ended until a `retry`."""

    kind: ClassVar[str] = "session.failed"
    reason: str
    branch: str | None = None


class RunStarted(Body, frozen=True, kw_only=True):
    """A daemon works on the session from here. `reason`: start, resume, retry, answer, amend, wake or boot."""

    kind: ClassVar[str] = "run.started"
    run: str
    reason: Literal["start", "resume", "retry", "answer", "amend", "wake", "boot"]
    boot_id: str = ""


class RunEnded(Body, frozen=True, kw_only=True):
    """The run is over. `cut_off` and `handover`: another daemon goes on; the rest is why nothing is left to do now."""

    kind: ClassVar[str] = "run.ended"
    run: str
    reason: Literal["done", "failed", "aborted", "halted", "waiting", "held", "handover", "cut_off", "quarantined"]


class RunStepped(Body, frozen=True, kw_only=True):
    """The wall clock moved by so much against the monotonic one while attempts were running, as when the machine was suspended.

    It is no time that they lived, so none of it counts against the `wall` budget.
    """

    kind: ClassVar[str] = "run.stepped"
    by_ms: int


class GatePassed(Body, frozen=True, kw_only=True):
    """All six points hold; the run named may start."""

    kind: ClassVar[str] = "gate.passed"
    run: str
    points: list[Verdict]


class GateRefused(Body, frozen=True, kw_only=True):
    """The resume gate refused; points 2, 3 and 5 quarantine the session."""

    kind: ClassVar[str] = "gate.refused"
    points: list[Verdict]
    quarantine: bool


class RequestHalt(Body, frozen=True, kw_only=True):
    """The user asked to halt. With `drain` live attempts finish first."""

    kind: ClassVar[str] = "request.halt"
    drain: bool = False


class RequestAbort(Body, frozen=True, kw_only=True):
    """The user asked to end the session for good."""

    kind: ClassVar[str] = "request.abort"


class RequestAnswer(Body, frozen=True, kw_only=True):
    """The user answered a question."""

    kind: ClassVar[str] = "request.answer"
    question: str
    answer: Literal["yes", "no"]


class RequestAmend(Body, frozen=True, kw_only=True):
    """The user raised or changed limits; `contract.amended` follows in the same commit."""

    kind: ClassVar[str] = "request.amend"
    wall_ms: int | None = None
    deadline: int | None = None
    parallel: int | None = None


class QuestionAsked(Body, frozen=True, kw_only=True):
    """The session needs a person. *yes* grants the same again, *no* fails what asked."""

    kind: ClassVar[str] = "question.asked"
    question: str
    about: About
    task: str | None = None
    text: str


class ContractAmended(Body, frozen=True, kw_only=True):
    """Revision `k` of the contract is in force."""

    kind: ClassVar[str] = "contract.amended"
    k: int
    hash: str
    prev: str


# --- attempts ---------------------------------------------------------------------------------------


class AttemptIntended(Body, frozen=True, kw_only=True):
    """The task's next attempt is about to start: written before anything is spawned."""

    kind: ClassVar[str] = "attempt.intended"
    task: str
    attempt: int
    run: str
    mode: Mode
    agent: str
    model: str | None = None
    thread: str | None = None
    start: str
    why: str = "first"
    pool: str = ""


class AttemptStarted(Body, frozen=True, kw_only=True):
    """The attempt's supervisor holds its lock and has written `start.json`."""

    kind: ClassVar[str] = "attempt.started"
    task: str
    attempt: int
    pid: int
    start_ticks: int
    boot_id: str
    agent_version: str | None = None
    thread: str | None = None


class AttemptAdopted(Body, frozen=True, kw_only=True):
    """A later daemon found the attempt alive and follows it; it belongs to `run` now."""

    kind: ClassVar[str] = "attempt.adopted"
    task: str
    attempt: int
    run: str


class AttemptFinished(Body, frozen=True, kw_only=True):
    """The attempt's process is gone and its output is stored. `outcome` says how it ended, not whether the task is done.

    `elapsed_ms` is the agent's own time; `lived_ms` adds the workspace's setup and counts against the wall budget. Neither
    runs while the machine is suspended.
    """

    kind: ClassVar[str] = "attempt.finished"
    task: str
    attempt: int
    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None
    elapsed_ms: int = 0
    lived_ms: int = 0
    thread: str | None = None
    thread_lost: bool = False
    text: str = ""
    error: str = ""
    reset: int | None = None
    usage: Usage = Usage()
    transcript: str | None = None


class AttemptLost(Body, frozen=True, kw_only=True):
    """The attempt's supervisor died without a result: its lock is free and there is no exit record.

    `lived_ms` goes to its last sign of life, where nobody saw it die.
    """

    kind: ClassVar[str] = "attempt.lost"
    task: str
    attempt: int
    why: str
    lived_ms: int = 0
    thread: str | None = None


class AttemptNoted(Body, frozen=True, kw_only=True):
    """Something the attempt itself said through the socket, or was refused there: how far it is, a file, a forbidden method.

    It is the attempt's word, recorded as such; nothing is decided by it. `blob` holds an attached file. `withheld` is our own word:
    something that an attempt left is kept under no ref, because it contains a secret that was handed out.
    """

    kind: ClassVar[str] = "attempt.noted"
    task: str
    attempt: int
    what: Literal["progress", "attachment", "refused", "withheld"]
    text: str
    blob: str | None = None


class CandidateMade(Body, frozen=True, kw_only=True):
    """What the attempt left is a commit whose parent is `parent`, the session's tip when it was made."""

    kind: ClassVar[str] = "candidate.made"
    task: str
    attempt: int
    commit: str
    tree: str
    parent: str
    changed_files: int
    empty: bool


class CandidateConflicted(Body, frozen=True, kw_only=True):
    """The candidate does not replay onto the tip `onto`; the next attempt starts there with the old patch in its handoff."""

    kind: ClassVar[str] = "candidate.conflicted"
    task: str
    attempt: int
    onto: str
    paths: list[str]
    patch: str | None = None


class CandidateRefused(Body, frozen=True, kw_only=True):
    """The candidate may not be committed, for example because it contains a secret that was handed out."""

    kind: ClassVar[str] = "candidate.refused"
    task: str
    attempt: int
    reason: str


class CheckFinished(Body, frozen=True, kw_only=True):
    """One check ran on the candidate. `index` counts the task's checks from 0; `output` is a blob."""

    kind: ClassVar[str] = "check.finished"
    task: str
    attempt: int
    commit: str
    index: int
    ok: bool
    detail: str
    exit_code: int | None = None
    elapsed_ms: int = 0
    output: str | None = None


class CheckpointCommitted(Body, frozen=True, kw_only=True):
    """The candidate moved the session's tip. `blobs` is the digest of the stored list of file hashes that differ from the base."""

    kind: ClassVar[str] = "checkpoint.committed"
    task: str
    attempt: int
    commit: str
    parent: str
    ref: str
    revision: int
    blobs: str


class TaskDone(Body, frozen=True, kw_only=True):
    """The task's checks passed on its checkpoint. `text` is what later prompts see as `{{ task.ID.text }}`."""

    kind: ClassVar[str] = "task.done"
    task: str
    text: str = ""


class TaskFailed(Body, frozen=True, kw_only=True):
    """The task has no attempt left, or cannot be tried at all."""

    kind: ClassVar[str] = "task.failed"
    task: str
    reason: str


class TaskSkipped(Body, frozen=True, kw_only=True):
    """The task can never start, because `because` did not get done."""

    kind: ClassVar[str] = "task.skipped"
    task: str
    because: str


class TaskCancelled(Body, frozen=True, kw_only=True):
    """The session was aborted before the task ended."""

    kind: ClassVar[str] = "task.cancelled"
    task: str


class TaskReopened(Body, frozen=True, kw_only=True):
    """The task is pending again, with all its attempts."""

    kind: ClassVar[str] = "task.reopened"
    task: str


class TimerSet(Body, frozen=True, kw_only=True):
    """The task goes on at `due` (microseconds since the epoch); if the timer is a quota's, so do the ready tasks of its agent."""

    kind: ClassVar[str] = "timer.set"
    timer: str
    timer_kind: TimerKind
    task: str
    due: int
    pool: str | None = None


class TimerFired(Body, frozen=True, kw_only=True):
    """The timer came due. `session.resumed` ends timers without this entry."""

    kind: ClassVar[str] = "timer.fired"
    timer: str


class DeliveryIntended(Body, frozen=True, kw_only=True):
    """The session is about to end as `ending` and its checkpoints are to be delivered as a branch."""

    kind: ClassVar[str] = "delivery.intended"
    branch: str
    commit: str
    ending: Literal["done", "failed", "aborted"]


class DeliveryMade(Body, frozen=True, kw_only=True):
    """The branch names the commit. It is called `branch` instead of `instead_of` when that name was taken by others."""

    kind: ClassVar[str] = "delivery.made"
    branch: str
    commit: str
    instead_of: str | None = None


class DeliveryFailed(Body, frozen=True, kw_only=True):
    """The branch could not be made; the checkpoints stay under `refs/marathon/<session>/`."""

    kind: ClassVar[str] = "delivery.failed"
    reason: str


# --- system -----------------------------------------------------------------------------------------


class DaemonStarted(Body, frozen=True, kw_only=True):
    """A daemon took the lock and opened the ledger. `mended` names triggers that it had to create again."""

    kind: ClassVar[str] = "daemon.started"
    version: str
    pid: int
    boot_id: str
    mended: list[str] = []


class DaemonStopped(Body, frozen=True, kw_only=True):
    """The daemon stopped in order."""

    kind: ClassVar[str] = "daemon.stopped"
    reason: str


class SlotInUse(msgspec.Struct, frozen=True, kw_only=True):
    """A slot, the attempt that has it, and its agent."""

    session: str
    task: str
    attempt: int
    agent: str


class PoolShut(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's pool that is shut until `until`, microseconds since the epoch."""

    pool: str
    until: int
    stated: bool


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Where in `system` a session was last granted a slot."""

    session: str
    n: int


class SystemSummed(Body, frozen=True, kw_only=True):
    """All that still counts of the entries of `system` before this one, so that a start reads on from here.

    `turns` are the latest; `verdicts` are the numbers (seq) of the entries `session.quarantined` that hold.
    """

    kind: ClassVar[str] = "system.summed"
    boot_id: str
    slots: list[SlotInUse]
    pools: list[PoolShut]
    turns: list[Turn]
    verdicts: list[int]


class SlotGranted(Body, frozen=True, kw_only=True):
    """An attempt may use one of the box's slots; committed together with its `attempt.intended`."""

    kind: ClassVar[str] = "slot.granted"
    session: str
    task: str
    attempt: int
    agent: str


class SlotReturned(Body, frozen=True, kw_only=True):
    """The attempt no longer needs its slot."""

    kind: ClassVar[str] = "slot.returned"
    session: str
    task: str
    attempt: int


class PoolLimited(Body, frozen=True, kw_only=True):
    """A vendor's limit was hit; nothing is sent to the pool until `until`. `stated` tells a reset that the vendor gave from a guess."""

    kind: ClassVar[str] = "pool.limited"
    pool: str
    until: int
    stated: bool
    session: str
    task: str
    attempt: int


class PoolOpened(Body, frozen=True, kw_only=True):
    """The pool's limit is over: its time came, or a call succeeded."""

    kind: ClassVar[str] = "pool.opened"
    pool: str


class ClockStepped(Body, frozen=True, kw_only=True):
    """The wall clock moved against the monotonic clock by `by_ms`."""

    kind: ClassVar[str] = "clock.stepped"
    by_ms: int


class BackupMade(Body, frozen=True, kw_only=True):
    """A verified copy of the ledger was written."""

    kind: ClassVar[str] = "backup.made"
    path: str
    entries: int
    head: str


class SessionQuarantined(Body, frozen=True, kw_only=True):
    """A session whose own chain is broken may not be worked on; recorded here because its stream cannot be trusted."""

    kind: ClassVar[str] = "session.quarantined"
    session: str
    points: list[Verdict]


class SessionPruned(Body, frozen=True, kw_only=True):
    """The tombstone of a session that was exported and removed; `seqs` are the removed rows' numbers as ranges `[first, last]`."""

    kind: ClassVar[str] = "session.pruned"
    session: str
    entries: int
    seqs: list[list[int]]
    last_hash: str


class HeadAccepted(Body, frozen=True, kw_only=True):
    """A person accepted that entries after `found_seq` are lost; the head kept outside had said `head_seq`."""

    kind: ClassVar[str] = "head.accepted"
    head_seq: int
    head_link: str
    found_seq: int
    found_link: str


SESSION_KINDS: Final[dict[str, type[Body]]] = {
    t.kind: t
    for t in (
        SessionCreated,
        SessionCarried,
        SessionReopened,
        SessionHalted,
        SessionResumed,
        SessionAborted,
        SessionCompleted,
        SessionFailed,
        RunStarted,
        RunEnded,
        RunStepped,
        GatePassed,
        GateRefused,
        RequestHalt,
        RequestAbort,
        RequestAnswer,
        RequestAmend,
        QuestionAsked,
        ContractAmended,
        AttemptIntended,
        AttemptStarted,
        AttemptAdopted,
        AttemptFinished,
        AttemptLost,
        AttemptNoted,
        CandidateMade,
        CandidateConflicted,
        CandidateRefused,
        CheckFinished,
        CheckpointCommitted,
        TaskDone,
        TaskFailed,
        TaskSkipped,
        TaskCancelled,
        TaskReopened,
        TimerSet,
        TimerFired,
        DeliveryIntended,
        DeliveryMade,
        DeliveryFailed,
    )
}
SYSTEM_KINDS: Final[dict[str, type[Body]]] = {
    t.kind: t
    for t in (
        DaemonStarted,
        DaemonStopped,
        SystemSummed,
        SlotGranted,
        SlotReturned,
        PoolLimited,
        PoolOpened,
        ClockStepped,
        BackupMade,
        SessionQuarantined,
        SessionPruned,
        HeadAccepted,
    )
}
KINDS: Final[dict[str, type[Body]]] = SESSION_KINDS | SYSTEM_KINDS


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is hashed: the fields of the stored text, with the body still undecoded."""

    v: int
    stream: str
    n: int
    at: str
    wall: str
    kind: str
    body: msgspec.Raw
    prev: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger, decoded. `record` holds the exact bytes that `hash` is over; `at` and `wall` are microseconds."""

    seq: int
    hash: str
    link: str
    link_prev: str
    record: bytes
    stream: str
    n: int
    at: int
    wall: int
    kind: str
    body: Body
    prev: str


class Draft(msgspec.Struct, frozen=True):
    """An entry that is to be appended: which stream, which body. The store gives it its place, time and hashes."""

    stream: str
    body: Body


def decode_body(kind: str, version: int, raw: bytes | msgspec.Raw) -> Body:
    """The body of a stored record.

    Old versions are lifted by `UPCASTERS`. Raises KeyError for a kind this version does not know and
    `msgspec.ValidationError` for a body that does not fit its kind.
    """
    while (kind, version) in UPCASTERS:
        lifted = UPCASTERS[kind, version](msgspec.json.decode(raw))
        raw, version = msgspec.json.encode(lifted), version + 1
    return msgspec.json.decode(raw, type=KINDS[kind])


UPCASTERS: Final[dict[tuple[str, int], Any]] = {}
"""(kind, version) → function from that version's plain body to the next version's. None is needed yet."""
