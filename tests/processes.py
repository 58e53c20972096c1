"""The program in a process of its own: started, waited for by what it says, and sent signals."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATIENCE = 600  # seconds; a test fails after them, it does not hang
QUIET = "TF_CPP_MIN_LOG_LEVEL"  # of these tests' own process; a user sees what TensorFlow says


class Program:
    """`python main.py` with arguments; used with `with`, at whose end it is killed.

    Args:
        before: a command that starts it, such as a shell's.
        environment: variables beside those of this process.
    """

    def __init__(self, *argv, before=(), **environment: str):
        self.out: list[str] = []
        self.err: list[str] = []
        self.came = threading.Condition()
        user = {name: text for name, text in os.environ.items() if name != QUIET}
        # What a shell starts in the background ignores SIGINT, and so would what that starts.
        ours = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.process = subprocess.Popen(
                [*before, sys.executable, "main.py", *map(str, argv)],
                cwd=ROOT,
                env={**user, "PYTHONUNBUFFERED": "1", **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        finally:
            signal.signal(signal.SIGINT, ours)
        pipes = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self.readers = [threading.Thread(target=self._read, args=pipe) for pipe in pipes]
        for reader in self.readers:
            reader.start()

    def _read(self, pipe, lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self.came:
                    lines.append(line.rstrip("\n"))
                    self.came.notify_all()
        with self.came:
            self.came.notify_all()

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_) -> None:
        self.send(signal.SIGKILL)
        self.end()

    def said(self, pattern: str) -> list[re.Match]:
        """What of its lines, those of both streams, matches so far."""
        lines = [*self.out, *self.err]
        return [found for line in lines if (found := re.search(pattern, line))]

    def waits_for(self, pattern: str, count: int = 1) -> re.Match:
        """The match of the line that is the so-many-th to match, once it came; AssertionError where
        it cannot come any more."""
        give_up = time.monotonic() + PATIENCE
        with self.came:
            while len(found := self.said(pattern)) < count:
                over = not any(reader.is_alive() for reader in self.readers)
                assert not over, f"ended without {count} x {pattern!r}: {self.lines()}"
                assert time.monotonic() < give_up, f"no {count} x {pattern!r}: {self.lines()}"
                self.came.wait(1)
        return found[count - 1]

    def lines(self) -> str:
        return "\n".join([*self.out[-10:], *self.err])

    def send(self, number: int) -> None:
        """Sends a signal; nothing to one that ended."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Waits for its end; returns the exit code, of one that a signal ended -number."""
        code = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        return code

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None
