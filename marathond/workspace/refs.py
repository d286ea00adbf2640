"""Names of the refs under which a session's commits live; nothing of the user's is among them."""


def session_refs(session: str) -> str:
    """The folder of all refs of a session."""
    return f"refs/marathon/{session}"


def begin_ref(session: str) -> str:
    """The commit the session began with, held for it as long as it may be asked about."""
    return f"refs/marathon/{session}/begin"


def tip_ref(session: str) -> str:
    """The session's tip: its last checkpoint."""
    return f"refs/marathon/{session}/tip"


def checkpoint_ref(session: str, task: str) -> str:
    """The checkpoint of a task."""
    return f"refs/marathon/{session}/checkpoints/{task}"


def candidate_ref(session: str, task: str, attempt: int) -> str:
    """The candidate of an attempt."""
    return f"refs/marathon/{session}/candidates/{task}/{attempt}"


def rescue_ref(session: str, task: str, attempt: int) -> str:
    """What the workspace held when an attempt was to start fresh."""
    return f"refs/marathon/{session}/rescue/{task}/{attempt}"


def agent_ref(session: str, task: str, attempt: int) -> str:
    """The last of the commits that the agent made itself."""
    return f"refs/marathon/{session}/agent/{task}/{attempt}"
