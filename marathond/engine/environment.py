"""Which environment values a session's attempts and checks see, and where they are kept.

Names are decided by allow-list: a base set, the agent's profile, the task's own `env`. Values come from the client that
started or resumed the session, else from the daemon itself and the `environment` file of the configuration. They are kept in
one 0600 file per unfinished session; the ledger holds names only.

A secret that a refresh replaced is still one: an agent's memory, a file in the workspace may hold it. It is kept until the session
ends and looked for in whatever comes out, but no attempt is handed it again.
"""

import logging
import os
from collections.abc import Mapping

import anyio.to_thread

from marathond.agents.profile import Profile
from marathond.attempt.environment import AttemptEnvironment, choose
from marathond.attempt.redact import Redactor
from marathond.attempt.secret_values import secret_values
from marathond.domain.contract import Contract
from marathond.domain.contract import Task as Spec
from marathond.domain.errors import ENVIRONMENT_UNREADABLE, MarathonError
from marathond.domain.session import Session
from marathond.engine.engine import Engine
from marathond.store.environments import Environment
from marathond.workspace.leaks import Forbidden

log = logging.getLogger(__name__)


async def remember(engine: Engine, session: str, contract: Contract, env: Mapping[str, str] | None) -> None:
    """Stores what the session's attempts may see of `env`, or of the daemon's own environment.

    In place of a file that cannot be read, too: what it held is then forgotten.
    """
    registry = await anyio.to_thread.run_sync(engine.agents)
    profiles = [registry.get(agent) for agent in dict.fromkeys(task.agent for task in contract.tasks)]
    source = dict(env) if env is not None else {**os.environ, **engine.environment}
    values = choose(
        source,
        profile_names=[name for profile in profiles for name in profile.environment_names],
        task_names=[name for task in contract.tasks for name in task.env],
    ).values
    secret_names = [name for profile in profiles for name in profile.secret_env]

    def store() -> None:
        try:
            before = engine.environments.read(session)
        except MarathonError as error:
            log.warning("session %s: %s", session, error.message)
            before = Environment()
        formerly = dict(before.formerly)
        for name, old in secret_values(before, secret_names).items():
            if values.get(name) != old and old not in formerly.get(name, ()):
                formerly[name] = (*formerly.get(name, ()), old)
        engine.environments.write(session, Environment(values, formerly))

    await anyio.to_thread.run_sync(store)


async def stored(engine: Engine, session: Session) -> Environment:
    """What is stored for a session; nothing once it has ended. Raises ENVIRONMENT_UNREADABLE, also where it is gone too early."""
    found = await anyio.to_thread.run_sync(engine.environments.read, session.id)
    if not found and session.end is None:  # it holds a PATH at least
        raise MarathonError(ENVIRONMENT_UNREADABLE, session=session.id, reason="its file is missing")
    return found


async def attempt_environment(
    engine: Engine, session: Session, spec: Spec, profile: Profile, extra: Mapping[str, str]
) -> AttemptEnvironment:
    """What an attempt of a task sees: the base set, the profile's names, the task's names, and `extra`."""
    return _for_attempt(await stored(engine, session), spec, profile, extra)


async def check_environment(
    engine: Engine, session: Session, spec: Spec, extra: Mapping[str, str]
) -> AttemptEnvironment:
    """What a check sees: the base set and the task's names. No provider's keys."""
    found = await stored(engine, session)
    return _with_former(choose(found, task_names=spec.env, extra=extra), found)


async def secrets_of(engine: Engine, session: Session, *specs: Spec) -> Mapping[str, str]:
    """The secrets that the attempts of these tasks were handed, by name; also those that the profile itself sets.

    Where the profile was removed or spoiled meanwhile, all that its names may have let through counts as secret.
    """
    registry = await anyio.to_thread.run_sync(engine.agents)
    found = await stored(engine, session)
    secrets: dict[str, str] = {}
    for spec in specs:
        profile = registry.find(spec.agent)
        if profile is None:
            open_names = {*choose(found, task_names=spec.env).values}
            seen = _with_former(choose(found, profile_names=["*"], secret_names=found.keys() - open_names), found)
        else:
            seen = _for_attempt(found, spec, profile, profile.env)
        secrets |= seen.secrets
    return secrets


async def all_secrets(engine: Engine, session: Session) -> Mapping[str, str]:
    """The secrets that any task of a session was handed."""
    alike = {(spec.agent, spec.env): spec for spec in session.plan.tasks.values()}
    return await secrets_of(engine, session, *alike.values())


async def forbidden_in(engine: Engine, session: Session) -> Forbidden | None:
    """Tells bytes that no ref may hold, since a secret of the session is in them; None where it has none."""
    return forbidding(await all_secrets(engine, session))


def forbidding(secrets: Mapping[str, str]) -> Forbidden | None:
    """Tells bytes in which one of the secrets is; None where there are none."""
    return Redactor(secrets).contains_secret if secrets else None


def _for_attempt(found: Environment, spec: Spec, profile: Profile, extra: Mapping[str, str]) -> AttemptEnvironment:
    chosen = choose(
        found,
        profile_names=profile.environment_names,
        task_names=spec.env,
        secret_names=profile.secret_env,
        extra=extra,
    )
    return _with_former(chosen, found)


def _with_former(chosen: AttemptEnvironment, found: Environment) -> AttemptEnvironment:
    """The same variables, and among the secrets those that a refresh has replaced."""
    former = {f"{name}.formerly.{n}": old for name, all_ in found.formerly.items() for n, old in enumerate(all_, 1)}
    return AttemptEnvironment(chosen.values, {**chosen.secrets, **former})
