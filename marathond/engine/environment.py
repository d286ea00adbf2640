"""Which environment values a session's attempts and checks see, and where they are kept.

Names are decided by allow-list: a base set, the agent's profile, the task's own `env`. Values come from the client that
started or resumed the session, else from the daemon itself and the `environment` file of the configuration. They are kept in
one 0600 file per unfinished session; the ledger holds names only.
"""

import os
from collections.abc import Mapping

import anyio.to_thread

from marathond.agents.profile import Profile
from marathond.attempt.environment import AttemptEnvironment, choose
from marathond.domain.contract import Contract
from marathond.domain.contract import Task as Spec
from marathond.domain.session import Session
from marathond.engine.engine import Engine


async def remember(engine: Engine, session: str, contract: Contract, env: Mapping[str, str] | None) -> None:
    """Stores what the session's attempts may see of `env`, or of the daemon's own environment."""
    registry = await anyio.to_thread.run_sync(engine.agents)
    source = dict(env) if env is not None else {**os.environ, **engine.environment}
    values = choose(
        source,
        profile_names=[n for agent in {t.agent for t in contract.tasks} for n in registry.get(agent).environment_names],
        task_names=[name for task in contract.tasks for name in task.env],
    ).values
    await anyio.to_thread.run_sync(engine.environments.write, session, values)


async def attempt_environment(
    engine: Engine, session: Session, spec: Spec, profile: Profile, extra: Mapping[str, str]
) -> AttemptEnvironment:
    """What an attempt of a task sees: the base set, the profile's names, the task's names, and `extra`."""
    stored = await anyio.to_thread.run_sync(engine.environments.read, session.id)
    return choose(
        stored,
        profile_names=profile.environment_names,
        task_names=spec.env,
        secret_names=profile.secret_env,
        extra=extra,
    )


async def check_environment(
    engine: Engine, session: Session, spec: Spec, extra: Mapping[str, str]
) -> AttemptEnvironment:
    """What a check sees: the base set and the task's names. No provider's keys."""
    stored = await anyio.to_thread.run_sync(engine.environments.read, session.id)
    return choose(stored, task_names=spec.env, extra=extra)


async def secrets_of(engine: Engine, session: Session, spec: Spec) -> Mapping[str, str]:
    """The secrets that a task's attempts were handed, by name; also those that the profile itself sets.

    Where the profile was removed or spoiled meanwhile, all that its names may have let through counts as secret.
    """
    profile = (await anyio.to_thread.run_sync(engine.agents)).find(spec.agent)
    if profile is None:
        stored = await anyio.to_thread.run_sync(engine.environments.read, session.id)
        open_names = {*choose(stored, task_names=spec.env).values}
        return choose(stored, profile_names=["*"], secret_names=stored.keys() - open_names).secrets
    return (await attempt_environment(engine, session, spec, profile, profile.env)).secrets
