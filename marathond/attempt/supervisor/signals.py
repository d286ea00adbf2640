"""How a supervisor is told things: to stop, and that a child has ended."""

import os
import signal


class Signals:
    """The signals that a supervisor lives by, turned into something that can be polled.

    SIGTERM asks for the end of the job; SIGCHLD says that somebody ended. SIGHUP and SIGINT, which a daemon's terminal may send,
    are not meant for us.
    """

    def __init__(self) -> None:
        self.stop_requested = False
        self.wakeup, self._wakeup_end = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(self._wakeup_end, False)
        signal.set_wakeup_fd(self._wakeup_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._request_stop)
        for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)

    def clear(self) -> None:
        """Forgets the wake-ups so far."""
        try:
            while os.read(self.wakeup, 4096):
                pass
        except BlockingIOError:
            pass  # that is: all of them are read

    def _request_stop(self, *_: object) -> None:
        self.stop_requested = True
