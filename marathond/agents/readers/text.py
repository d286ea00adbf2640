"""The reader for programs that print text: the exit code is all that they say about how it went."""

from collections import deque

from marathond.agents.profile import Profile
from marathond.agents.readers.base import Conclusion, Ending, Event, Reader, ResultSeen, Said
from marathond.agents.readers.fields import clip
from marathond.domain.entries import Outcome, Usage
from marathond.domain.limits import FINAL_TEXT_BYTES_MAX


class TextReader(Reader):
    """Everything on stdout is text; of long output the end is kept, where programs say what came of it."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._lines: deque[str] = deque()
        self._bytes = 0

    def feed(self, line: str) -> list[Event]:
        """The line, as text."""
        kept = clip(line, FINAL_TEXT_BYTES_MAX - 1)
        self._lines.append(kept)
        self._bytes += len(kept.encode()) + 1
        while self._bytes > FINAL_TEXT_BYTES_MAX:
            self._bytes -= len(self._lines.popleft().encode()) + 1
        return [Said(line)]

    def conclude(self, ending: Ending, errors_tail: str = "", *, previous: Usage | None = None) -> Conclusion:
        """As every reader's; the exit code stands for the terminal event that such programs do not have."""
        text = "\n".join(self._lines).strip()
        if ending.cause == "exit" and ending.exit_code is not None:
            error = errors_tail or text
            self.result = ResultSeen(
                ending.exit_code == 0, text=text, error=f"{error}\n(exit code {ending.exit_code})".lstrip()
            )
        self._said = text
        self._final_error = (errors_tail.splitlines() or [""])[-1]
        return super().conclude(ending, errors_tail, previous=previous)

    def _kind_by_text(self, error: str, ending: Ending) -> tuple[Outcome | None, int | None]:
        # the last line of stderr is the program's own error; the rest may be what its tools printed
        return super()._kind_by_text(self._final_error, ending)
