"""The state of a session: what its entries say, and nothing else.

Every struct is frozen and carries exactly the data that is legal in it. `Session.tasks` and its siblings are persistent
maps, so that a batch can be folded speculatively without copying anything, and thrown away.

Phases of a task and the state a user sees:

    Pending ─▶ Ready ─▶ Dispatched ─▶ Running ─▶ Settled ─▶ Checking ─▶ Done
      │          ▲           │           │          │           │
      │          ├── Resting ◀───────────┴──────────┴───────────┤      (a timer: retrying or waiting)
      │          └── Stuck / Held ◀─────────────────────────────┤      (a person must answer: held)
      └─▶ Skipped, Cancelled                         Failing ─▶ Failed
"""

from typing import Literal

import msgspec
from immutables import Map

from marathond.domain.entries import About, Mode, Outcome, TimerKind, Usage, Verdict
from marathond.domain.plan import Plan


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all values here."""


# --- a task -----------------------------------------------------------------------------------------


class Pending(_Value, frozen=True):
    """Some of its needs are not done yet."""


class Ready(_Value, frozen=True):
    """It may start as soon as there is a slot."""

    mode: Mode = "fresh"
    why: str = "first"


class Dispatched(_Value, frozen=True):
    """An attempt is intended; whether it has started is not known yet."""


class Running(_Value, frozen=True):
    """The attempt's process lives."""

    pid: int
    started: int


class Settled(_Value, frozen=True):
    """The attempt's process is gone; what it left is yet to be judged."""


class Checking(_Value, frozen=True):
    """There is a candidate; its checks run, or its turn to move the tip is near."""


class Failing(_Value, frozen=True):
    """The attempt failed. `final` failures are not retried. `mode` is how the next one would start."""

    reason: str
    mode: Mode = "fresh"
    final: bool = False


class Resting(_Value, frozen=True):
    """It goes on when its timer fires, in `mode`. `cause`: the failure, the vendor's pool, or what the API said."""

    timer: str
    timer_kind: TimerKind
    due: int
    mode: Mode
    why: str
    cause: str = ""


class Stuck(_Value, frozen=True):
    """It has met the same trouble three times in a row; a question follows."""

    about: Literal["lost", "conflicts"]
    mode: Mode


class Held(_Value, frozen=True):
    """A person must answer `question`; *yes* goes on in `mode`."""

    question: str
    mode: Mode


class Done(_Value, frozen=True):
    """Its checks passed on its checkpoint."""


class Failed(_Value, frozen=True):
    """It will not be tried again unless a user says so."""

    reason: str


class Skipped(_Value, frozen=True):
    """It can never start, because `because` did not get done."""

    because: str


class Cancelled(_Value, frozen=True):
    """The session was aborted first."""


Phase = (
    Pending | Ready | Dispatched | Running | Settled | Checking | Failing | Resting | Stuck | Held | Done | Failed
    | Skipped | Cancelled
)  # fmt: skip
TERMINAL = (Done, Failed, Skipped, Cancelled)
LIVE = (Dispatched, Running)
OCCUPYING = (Dispatched, Running, Settled, Checking)


class Candidate(_Value, frozen=True):
    """The commit an attempt produced, on top of `parent`. `n` is its entry, `judged` the last entry about it: itself or a check."""

    commit: str
    tree: str
    parent: str
    changed_files: int
    empty: bool
    n: int
    judged: int


class CheckResult(_Value, frozen=True):
    """What one check said about the candidate."""

    ok: bool
    detail: str
    output: str | None = None


class Attempt(_Value, frozen=True):
    """The facts of one attempt, current or last."""

    number: int
    run: str
    mode: Mode
    agent: str
    start: str
    n: int
    pool: str = ""
    thread: str | None = None
    outcome: Outcome | None = None
    exit_code: int | None = None
    text: str = ""
    error: str = ""
    reset: int | None = None
    elapsed_ms: int = 0
    usage: Usage = Usage()
    transcript: str | None = None
    candidate: Candidate | None = None
    checks: Map[int, CheckResult] = Map()
    conflict_paths: tuple[str, ...] = ()
    patch: str | None = None
    refused: str | None = None


class Task(_Value, frozen=True):
    """One task. `failures` counts against the contract's attempts; the streaks are of what does not."""

    phase: Phase
    missing: int = 0
    begun: int = 0
    failures: int = 0
    lost_in_a_row: int = 0
    conflicts_in_a_row: int = 0
    quota_in_a_row: int = 0
    api_in_a_row: int = 0
    thread: str | None = None
    attempt: Attempt | None = None
    checkpoint: str | None = None
    text: str = ""


# --- the session ------------------------------------------------------------------------------------


class Head(_Value, frozen=True):
    """The last entry of the stream, and its place in the whole ledger."""

    n: int
    hash: str
    seq: int
    link: str


class Run(_Value, frozen=True):
    """An open run."""

    id: str
    reason: str
    boot_id: str


class Question(_Value, frozen=True):
    """An open question."""

    id: str
    about: About
    task: str | None
    text: str


class Halt(_Value, frozen=True):
    """The user asked to halt; with `drain` live attempts finish first."""

    drain: bool


class Delivery(_Value, frozen=True):
    """The branch that is, was, or could not be made."""

    branch: str
    commit: str
    ending: Literal["done", "failed", "aborted"]
    n: int
    made: str | None = None
    failed: str | None = None

    @property
    def settled(self) -> bool:
        """Whether the outcome is known."""
        return self.made is not None or self.failed is not None


class End(_Value, frozen=True):
    """The session has ended."""

    state: Literal["done", "failed", "aborted"]
    at: int
    reason: str = ""
    branch: str | None = None


class Session(_Value, frozen=True):
    """Everything that is known about one session.

    `first` is the tip it began with: its base, or what it carried on from. `called` is the word of a person that the next run
    follows from.
    `passed` is the seq of the last gate that it passed. `live_since` is when the present stretch with a running attempt
    began, `live_until` the end of the latest attempt in it that is over.

    Three indexes keep each step cheap in a session of thousands of tasks: `frontier` has the tasks that are neither pending nor
    ready nor ended, `ready` the places of the ready ones in the contract, by agent and ascending, and `blocked` those that
    can never start. `shut` names for an agent at its vendor's limit the timer at which its ready tasks may start again.
    """

    id: str
    name: str
    plan: Plan
    revision: int
    repo: str
    base: str
    first: str
    tip: str
    unsandboxed: bool
    created: int
    head: Head
    key: str | None = None
    boot_id: str = ""

    run: Run | None = None
    runs: int = 0
    called: Literal["answer", "amend"] | None = None
    tasks: Map[str, Task] = Map()
    frontier: Map[str, None] = Map()
    ready: Map[str, tuple[int, ...]] = Map()
    shut: Map[str, str] = Map()
    blocked: Map[str, str] = Map()
    unfinished: int = 0
    flawed: int = 0

    questions: Map[str, Question] = Map()
    asked: int = 0
    halt: Halt | None = None
    halted: bool = False
    aborting: bool = False
    given_up: str | None = None
    quarantine: tuple[Verdict, ...] | None = None
    passed: int = 0
    delivery: Delivery | None = None
    delivered: Delivery | None = None
    end: End | None = None

    wall_used_ms: int = 0
    wall_granted_ms: int = 0
    deadline_moved: int | None = None
    live: int = 0
    live_since: int | None = None
    live_until: int = 0

    @property
    def limits_wall_ms(self) -> int | None:
        """The wall budget in force, with what answers granted; None without a limit."""
        wall = self.plan.contract.limits.wall_ms
        return None if wall is None else wall + self.wall_granted_ms

    @property
    def deadline(self) -> int | None:
        """The deadline in force as an instant; None without one."""
        return self.deadline_moved if self.deadline_moved is not None else self.plan.contract.limits.deadline

    @property
    def barred(self) -> bool:
        """Whether an open question of the session itself keeps every task from starting."""
        return any(q.task is None for q in self.questions.values())
