"""The daemon's log: one line per event, `time level logger message key=value …`, on stderr or in a private file.

What programs say, such as git, ends up in messages and tracebacks, so each line passes a `clean` function that takes secrets out.
"""

import json
import logging
import logging.handlers
import os
import re
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from marathond.domain.instants import format_instant

_FILE_BYTES_MAX: Final = 8 * 1024 * 1024
_FILES_KEPT: Final = 1
_BARE: Final = re.compile(r"[^\s\"=\\]+")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class LineFormatter(logging.Formatter):
    """A record as one line; `extra` values follow the message, and the lines of a traceback are joined by ` | `."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        super().__init__()
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        parts = [
            format_instant(int(record.created * 1_000_000)),
            record.levelname.lower(),
            record.name,
            _one_line(record.getMessage()),
        ]
        parts += [f"{name}={_value(value)}" for name, value in vars(record).items() if name not in _STANDARD]
        if record.exc_info:
            parts.append(f"trace={_value(_one_line(self.formatException(record.exc_info)))}")
        return self._clean(" ".join(parts))


def log_to(target: Path | None, level: str, *, clean: Callable[[str], str], rotate: bool = False) -> None:
    """Sends all log records, as `clean` leaves them, to the file `target`, which is made with mode 0600, or to stderr.

    `rotate` keeps the file within its bound; only the process that holds the daemon's lock may do that.
    """
    handler: logging.Handler
    if target is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = _PrivateFile(target, maxBytes=_FILE_BYTES_MAX if rotate else 0, backupCount=_FILES_KEPT)
    handler.setFormatter(LineFormatter(clean))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("aiosqlite", "asyncio", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """Log files that only their owner may read, whatever the umask: agents inherit that one and need the user's."""

    def _open(self) -> TextIOWrapper:
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(fd, "a", encoding="utf-8")


def _one_line(text: str) -> str:
    return " | ".join(filter(None, map(str.strip, text.splitlines())))


def _value(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
