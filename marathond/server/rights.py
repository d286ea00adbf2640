"""What a connection from inside an attempt may do.

Such a connection comes from a process that an agent started. It may read its own session and talk about its own attempt, nothing
else. This is a hurdle and not a boundary: an agent outside a sandbox has the user's account.
"""

from collections import Counter
from typing import Any

import msgspec

from marathond.domain.entries import session_stream
from marathond.domain.errors import NOT_PERMITTED, MarathonError
from marathond.server.method import Method, Params
from marathond.server.services import Inside, Services


def caller_inside(inside: Inside | None, method: str) -> Inside:
    """The attempt that calls. Raises NOT_PERMITTED for a caller outside of all attempts."""
    if inside is None:
        raise MarathonError(NOT_PERMITTED, reason=f"{method} is for processes of an attempt", hint="")
    return inside


def narrow(inside: Inside, params: Params) -> Params | None:
    """The params with every choice of a session narrowed to the attempt's own; None when they name another one."""
    changes: dict[str, Any] = {}
    named = getattr(params, "session", None)
    if named is not None and not inside.session.startswith(named):
        return None
    if (stream := getattr(params, "stream", None)) is not None:
        return params if stream == session_stream(inside.session) else None
    fields = params.__struct_fields__
    if "session" in fields:
        changes["session"] = inside.session
    if "cwd" in fields:
        changes["cwd"] = None
    return msgspec.structs.replace(params, **changes)


class Rights:
    """Judges calls from inside attempts. The first refusal per attempt and method is recorded, the rest are counted."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.refusals: Counter[tuple[Inside, str]] = Counter()

    async def check(self, inside: Inside | None, method: Method, params: Params) -> Params:
        """The params to go on with. Raises NOT_PERMITTED."""
        if inside is None:
            return params
        narrowed = narrow(inside, params) if method.inside else None
        if narrowed is not None:
            return narrowed
        self.refusals[inside, method.name] += 1
        if self.refusals[inside, method.name] == 1:
            await self._services.refused_inside(who=inside, method=method.name)
        raise MarathonError(
            NOT_PERMITTED,
            reason=f"{method.name} was called from inside attempt {inside.session}/{inside.task}/{inside.attempt}, "
            "which may only read its own session and report about itself",
            hint="Ask the user to do it.",
        )
