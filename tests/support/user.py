"""A user of the world, and the world's mischief: verbs, clock jumps and crashes at random, and patience in the end."""

from marathond.domain import entries as e
from marathond.domain.outlook import may_open
from marathond.domain.reopen import to_reopen
from marathond.domain.session import Session
from marathond.planning.amend import amended
from tests.support.world import World

_HOUR_US = 3_600_000_000


class User:
    """Acts on a world. Each verb does what the daemon does with it: it is refused, or its entries are appended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.retries = 3

    # --- verbs ------------------------------------------------------------------------------------

    def halt(self, session: Session, *, drain: bool) -> None:
        """See `verbs.stop`."""
        over = session.end is not None or session.halted or session.aborting
        if not over and (session.halt is None or (session.halt.drain and not drain)):
            self.world.say(session.id, e.RequestHalt(drain=drain))

    def abort(self, session: Session) -> None:
        """See `verbs.stop`."""
        if session.end is None and not session.aborting:
            self.world.say(session.id, e.RequestAbort())

    def resume(self, session: Session, *, now: bool = False) -> None:
        """See `verbs.resume`; the gate is open."""
        if may_open(session, self.world.now, "resume") is None:
            started = e.RunStarted(run=f"{session.id}.{session.runs + 1}", reason="resume", boot_id="boot")
            self.world.open_gate(session, started, e.SessionResumed(now=now))

    def retry(self, session: Session) -> None:
        """See `verbs.resume`; a few times only, or nothing would ever end."""
        if self.retries and may_open(session, self.world.now, "retry") is None:
            self.retries -= 1
            failed = [i for i in to_reopen(session) if self.world.random.random() < 0.7]
            tasks = to_reopen(session, failed)
            started = e.RunStarted(run=f"{session.id}.{session.runs + 1}", reason="retry", boot_id="boot")
            self.world.open_gate(
                session, started, e.SessionReopened(tasks=tasks), *(e.TaskReopened(task=i) for i in tasks)
            )

    def answer(self, session: Session, answer: str) -> None:
        """See `verbs.answer`."""
        if session.questions:
            question = self.world.random.choice(sorted(session.questions))
            self.world.say(session.id, e.RequestAnswer(question=question, answer=answer))  # type: ignore[arg-type]

    def amend(self, session: Session) -> None:
        """See `verbs.answer`."""
        if session.end is None:
            random, now = self.world.random, self.world.now
            change = random.choice(
                [{"parallel": random.randrange(1, 4)}, {"wall_ms": random.randrange(1, 10_000)},
                 {"deadline": now + random.randrange(1, 10) * _HOUR_US}]
            )  # fmt: skip
            frozen = amended(session.plan.frozen, **change)
            self.world.kernel.learn(frozen)
            prev = session.plan.frozen.hash
            revision = e.ContractAmended(k=session.revision + 1, hash=frozen.hash, prev=prev)
            self.world.say(session.id, e.RequestAmend(**change), revision)

    # --- at random --------------------------------------------------------------------------------

    def meddle(self, session: Session) -> None:
        """One thing that users do, at a moment that nobody chose."""
        random = self.world.random
        match random.randrange(12):
            case 0:
                self.halt(session, drain=False)
            case 1:
                self.halt(session, drain=True)
            case 2:
                if random.random() < 0.1:
                    self.abort(session)
            case 3 | 4:
                self.resume(session, now=random.random() < 0.5)
            case 5 | 6:
                self.retry(session)
            case 7:
                self.amend(session)
            case 8 | 9:
                self.answer(session, random.choice(["yes", "yes", "no"]))
            case 10:
                self._let_time_pass(random.randrange(1, 40 * _HOUR_US))
            case 11:
                self.world.crash(rebooted=random.random() < 0.3)

    def _let_time_pass(self, by_us: int) -> None:
        """Awake or asleep; the daemon tells the sessions in which something lives that it was asleep."""
        if self.world.random.random() < 0.5:
            self.world.now += by_us
            for session in self.world.sessions.values():
                if session.end is None and session.live_since is not None:
                    self.world.say(session.id, e.RunStepped(by_ms=by_us // 1000))
        self.world.tick(self.world.now + by_us)

    def help(self, session: Session) -> bool:
        """Does what lets a session go on that waits for its user; whether there was anything to do."""
        if session.end is not None:
            return False
        before = len(self.world.entries)
        if session.quarantine is not None or session.halted:
            self.resume(session)
        elif session.questions:
            self.answer(session, "yes" if self.world.random.random() < 0.9 else "no")
        return len(self.world.entries) > before
