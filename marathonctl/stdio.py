"""Standard streams as a program meets them: closed, in an encoding that cannot show everything, or on a full disk."""

import io
import os
import sys
from typing import TextIO

from marathond.domain.errors import OUTPUT_UNWRITABLE, MarathonError


class _Output(io.TextIOWrapper):
    """Standard output that raises `output_unwritable` when it takes no more, so that no other OSError is taken for it."""

    def write(self, text: str, /) -> int:
        """See `io.TextIOWrapper`. A reader that went away is BrokenPipeError still."""
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritable(error) from error

    def flush(self) -> None:
        """See `io.TextIOWrapper`. A reader that went away is BrokenPipeError still."""
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritable(error) from error


def _unwritable(error: OSError) -> MarathonError:
    return MarathonError(OUTPUT_UNWRITABLE, reason=error.strerror or str(error))


def open_streams() -> None:
    """Whoever closed our streams (`>&-`) wants no output; what a terminal's encoding cannot show becomes a question mark."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    old = sys.stdout
    if type(old) is io.TextIOWrapper:  # not one that somebody captures us with
        through, by_line, encoding = old.write_through, old.line_buffering, old.encoding
        sys.stdout = _Output(old.detach(), encoding, "replace", line_buffering=by_line, write_through=through)


def discard(stream: TextIO) -> None:
    """Sends a stream that cannot be written to nowhere: the flush at exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
