"""Names of branches: what a session's name becomes in one, and which names git takes.

The rules are those of git-check-ref-format(1), https://git-scm.com/docs/git-check-ref-format.
"""

import re
import unicodedata

from marathond.domain.limits import BRANCH_BYTES_MAX

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")


def slug(name: str) -> str:
    """A name in [a-z0-9-]: `Füge JSON hinzu!` gives `fuge-json-hinzu`. A name with nothing to keep gives `session`."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-") or "session"


def branch_name(pattern: str, name: str) -> str:
    """The branch that `pattern` means for a session called `name`. Raises ValueError, saying why git would refuse it."""
    for placeholder in _PLACEHOLDER.finditer(pattern):
        if placeholder[1].strip() != "name":
            raise ValueError(f"{placeholder[0]} is not known here; only {{name}} is")
    branch = _PLACEHOLDER.sub(slug(name), pattern)
    if fault := _fault(branch):
        raise ValueError(f"{branch!r} is no name for a branch: {fault}")
    return branch


def _fault(branch: str) -> str | None:
    if len(branch.encode()) > BRANCH_BYTES_MAX:
        return f"it has more than {BRANCH_BYTES_MAX} bytes"
    if branch.startswith("-") or branch in ("HEAD", "@"):
        return "git reads it as something else"
    if _FORBIDDEN.search(branch):
        return "it has a space, a control character or one of ~ ^ : ? * [ \\"
    if ".." in branch or "@{" in branch:
        return "it contains .. or @{"
    if branch.endswith("."):
        return "it ends with a dot"
    return _part_fault(branch)


def _part_fault(branch: str) -> str | None:
    for part in branch.split("/"):
        if not part:
            return "it begins or ends with / or has two in a row"
        if part.startswith("."):
            return "a part of it begins with a dot"
        if part.endswith(".lock"):
            return "a part of it ends with .lock"
    return None
