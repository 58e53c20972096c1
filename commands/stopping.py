"""What SIGTERM and SIGINT do to a training: the first ends it after its step, the next at once."""

import os
import signal
import sys
import threading
from contextlib import suppress

from errors import Ended

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Ended):
    """A run was stopped, and saved; `code` is what the process exits with."""

    def __init__(self, number: int, text: str):
        super().__init__(f"stopped by {signal.Signals(number).name} {text}")
        self.code = 128 + number


class Stop:
    """Whether this process was asked to stop inside a block; `signal` says by what.

    A step of TensorFlow keeps Python's own handlers waiting until it is over, so signals are read
    by a thread from a pipe that Python writes each of them to when it comes.
    """

    signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> "Stop":
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self.handlers = {number: signal.signal(number, ignore) for number in SIGNALS}
        self.wakeup = signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        threading.Thread(target=self.listen, args=[self.reading], daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        signal.set_wakeup_fd(self.wakeup)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        os.close(self.writing)  # which ends the thread

    def listen(self, reading: int) -> None:
        """Note the first signal that the pipe brings; end the process at the second."""
        with open(reading, "rb", buffering=0) as pipe:
            while byte := pipe.read(1):
                if (number := byte[0]) not in SIGNALS:
                    continue
                if self.signal is not None:
                    os._exit(128 + number)
                self.signal = number
                name = signal.Signals(number).name
                with suppress(OSError):  # whoever read the lines may have got the signal too
                    print(f"{name}: stops after this step; once more: at once", file=sys.stderr)


def ignore(*_) -> None:
    """Do nothing: without a handler, Python would not write to the pipe."""
