"""`Deliver`: the session's checkpoints become a branch of the user's repository."""

from marathond.delivery.branch import deliver as deliver_branch
from marathond.domain import entries as e
from marathond.domain.effects import Deliver
from marathond.domain.errors import MarathonError
from marathond.domain.session import Session
from marathond.engine.effects.troubles import told
from marathond.engine.engine import Engine, Handle
from marathond.workspace.git import GitError


async def deliver(engine: Engine, session: Session, effect: Deliver, _handle: Handle) -> None:
    """Makes the branch, or moves the one that this session made before. What fails is recorded: the work stays under our refs."""
    previous = (session.delivered.made or "", session.delivered.commit) if session.delivered else None
    try:
        repository = await engine.rooms.repository(session)
        made = await deliver_branch(repository, effect.branch, effect.commit, previous)
    except (MarathonError, GitError, OSError) as error:
        await engine.append(session.id, e.DeliveryFailed(reason=await told(engine, session, None, str(error))))
        return
    await engine.append(
        session.id,
        e.DeliveryMade(branch=made.branch, commit=effect.commit, instead_of=effect.branch if made.renamed else None),
    )
