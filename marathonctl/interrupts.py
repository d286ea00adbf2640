"""Ctrl-C and SIGTERM as one thing: KeyboardInterrupt, and never while a session is just being started."""

import signal
from types import FrameType, TracebackType
from typing import Self


class Interrupts:
    """While the block runs, SIGTERM interrupts like Ctrl-C, and the first of either is held back until `release`.

    So an interrupt that comes while `session/start` is on its way is acted on when the session's id is known. A second
    one is never held back.
    """

    def __init__(self) -> None:
        self._holding = True
        self._pending = False

    def __enter__(self) -> Self:
        """Installs the handlers."""
        self._before = {number: signal.signal(number, self._handle) for number in self._numbers()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Puts back what was there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def release(self) -> None:
        """From here interrupts come through; raises KeyboardInterrupt when one was held back."""
        self._holding = False
        if self._pending:
            raise KeyboardInterrupt

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._holding and not self._pending:
            self._pending = True
            return
        raise KeyboardInterrupt

    @staticmethod
    def _numbers() -> list[signal.Signals]:
        """SIGTERM, and SIGINT unless whoever started us asked for it to be ignored (a shell's `&`)."""
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return [signal.SIGTERM] if ignored else [signal.SIGTERM, signal.SIGINT]
