"""Sends damaged files through the program, and finds which of them a process died of."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAIT = 600  # seconds without a word; a read that computes is ended earlier, see outcomes.SECONDS


@dataclass
class Found:
    """What came of the files: (what it was made of, "read", "refused" or "fault") -> how many;
    and of each fault a line."""

    counts: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, kind: str, seed: str, index: int, base: str, path: str, outcome: str) -> None:
        well = outcome in ("read", "refused")
        self.counts[base, outcome if well else "fault"] += 1
        if not well:
            again = f"python -m fuzz.worker {kind} {seed} {index} {index + 1} FOLDER"
            self.faults.append(f"{path} ({base}; again: {again}): {outcome}")

    def table(self) -> str:
        """How many of each format were read, refused and faulty."""
        kinds = sorted({base.split()[0] for base, _ in self.counts})
        lines = []
        for kind in kinds:
            numbers = [
                sum(n for (base, what), n in self.counts.items() if (base.split()[0], what) == key)
                for key in ((kind, "read"), (kind, "refused"), (kind, "fault"))
            ]
            lines.append(f"| {kind} | {sum(numbers)} | " + " | ".join(map(str, numbers)) + " |")
        return "\n".join(lines)


def run(kind: str, seed: str, count: int, folder: Path, wait: float = WAIT) -> Found:
    """Files 0..count-1 of a kind and seed, in as many processes as die of them, and one more."""
    found, start = Found(), 0
    while start < count:
        start = run_process(kind, seed, start, count, folder, wait, found)
    return found


def run_process(kind, seed, start, stop, folder, wait, found) -> int:
    """Files from `start` until all are done or the process dies; the index to go on from."""
    with Worker([kind, seed, str(start), str(stop), str(folder)]) as worker:
        begun = None
        while start < stop:
            line = worker.next_line(WAIT if begun is None else wait)
            if line is None:
                if begun is None:
                    raise RuntimeError(f"no file {start} of {kind} {seed}: {worker.ended()}")
                outcome = worker.ended() or worker.hung(wait)
                found.add(kind, seed, start, *begun, outcome)
                return start + 1
            event, *said = json.loads(line)
            if event == "begun":
                begun = said[1:]
            else:
                found.add(kind, seed, start, *begun, said[1])
                start, begun = start + 1, None
    return start


class Worker:
    """A process of fuzz.worker, whose lines can be waited for; it ends with the block."""

    def __init__(self, arguments: list[str]):
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        # One thread: BLAS asks for addresses for each of its own.
        environment = os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "fuzz.worker", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True
        )
        self.lines: queue.Queue = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def next_line(self, seconds: float) -> str | None:
        """A line, or None where it ended or said nothing for so long."""
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def hung(self, seconds: float) -> str:
        """Makes it say on stderr where it is, and end."""
        self.process.send_signal(signal.SIGABRT)
        self.process.wait()
        return f"hang: more than {seconds:.0f} s"

    def ended(self) -> str:
        """How it ended, "" where it is still there."""
        try:
            code = self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            return ""
        if code == -signal.SIGPROF:
            return "hang: it computes and comes to no end"
        return f"crash: {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"
