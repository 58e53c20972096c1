"""The workers of one training as processes of this machine, which meet on loopback."""

import ctypes
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from errors import UsageError

MAIN = Path(__file__).parents[1] / "main.py"
GRACE = 60.0  # seconds that the others have to end by themselves after a worker has failed
SECOND = 5.0  # the same after a second signal
FINE = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # done; or stopped, with all saved
FORWARDED = (signal.SIGINT, signal.SIGTERM)
AS = "LAUNCHED_AS"  # the variable that tells a worker what was typed, to go on with the run
PARENT_DIES = 1  # prctl's number, in Linux


def launch(workers: int, command: Sequence[str]) -> int:
    """Run `main.py COMMAND` in so many processes; return the exit code of the first that failed.

    The chief's output is shown as it is, of the others what they write to stderr. Signals that come
    here go on to all. Where a worker fails, the others have GRACE seconds to end by themselves.

    Raises:
        UsageError: the command has no workers, or there are fewer GPUs than workers.
    """
    if command[:1] != ["train"]:
        command = command[0] if command else "nothing"
        raise UsageError(f"launch: only train has workers, not {command}; launch ... -- train ...")
    group, typed = Group(), shlex.join([Path(sys.executable).name, *sys.argv])
    handlers = {number: signal.signal(number, group.forward) for number in FORWARDED}
    try:
        for cluster, gpus in zip(meeting(workers), shared_gpus(workers), strict=True):
            group.start(command, {AS: typed, **cluster, **gpus})
        return group.wait()
    finally:
        group.kill()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def meeting(workers: int) -> list[dict[str, str]]:
    """Return TF_CONFIG for each worker, with ports of loopback that are free now."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = ["{}:{}".format(*server.getsockname()) for server in servers]
    for server in servers:
        server.close()
    tasks = [{"type": "worker", "index": index} for index in range(workers)]
    return [{"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": t})} for t in tasks]


def shared_gpus(workers: int) -> list[dict[str, str]]:
    """Return CUDA_VISIBLE_DEVICES for each worker, equally many; empty ones without GPUs.

    Raises:
        UsageError: there are fewer GPUs than workers.
    """
    gpus = visible_gpus()
    share = len(gpus) // workers
    if gpus and not share:
        raise UsageError(f"--workers {workers}: this machine has {len(gpus)} GPUs; each needs one")
    parts = [",".join(gpus[index * share : (index + 1) * share]) for index in range(workers)]
    return [{"CUDA_VISIBLE_DEVICES": part} if part else {} for part in parts]


def visible_gpus() -> list[str]:
    """Return the GPUs that a process started here would see, by the names that CUDA takes."""
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is not None:
        return [name for name in variable.split(",") if name not in ("", "-1")]
    try:
        lines = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    except OSError:
        return []
    count = sum(line.startswith("GPU ") for line in lines.splitlines())
    return [str(index) for index in range(count)]


class Group:
    """Processes that work together, the chief first."""

    def __init__(self):
        self.processes: list[subprocess.Popen] = []
        self.signals = 0
        self.deadline: float | None = None

    def start(self, command: Sequence[str], variables: dict[str, str]) -> None:
        """Start one in a session of its own: Ctrl-C in the terminal reaches it from here alone."""
        output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} if self.processes else {}
        process = subprocess.Popen(
            [sys.executable, str(MAIN), *command],
            # Where another is gone, TensorFlow adds pages to the line that says so.
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **variables},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent if sys.platform == "linux" else None,
            **output,
        )
        self.processes.append(process)

    def forward(self, number: int, _frame) -> None:
        """Send a signal on to all; from the second on, they have SECOND seconds to end."""
        self.signals += 1
        if self.signals > 1:
            self.deadline = time.monotonic() + SECOND
        for process in self.processes:
            process.send_signal(number)

    def wait(self) -> int:
        """Wait until all have ended; return the exit code of the first that failed, or 0."""
        pipes = [(index, p.stderr) for index, p in enumerate(self.processes) if p.stderr]
        readers = [threading.Thread(target=show, args=pipe, daemon=True) for pipe in pipes]
        for reader in readers:
            reader.start()
        first, running = 0, dict(enumerate(self.processes))
        while running:
            time.sleep(0.1)
            for index in [index for index, p in running.items() if p.poll() is not None]:
                code = self.ended(index, running.pop(index).returncode, bool(running))
                first = first or code
            if self.deadline and time.monotonic() > self.deadline:
                self.kill()
        for reader in readers:
            reader.join(1)
        return first

    def ended(self, index: int, code: int, others: bool) -> int:
        """Return the exit code of a worker that has ended; say how, where it could not do so
        itself or others are still to end."""
        if code in FINE:
            return code
        how, killed = f"ended with exit code {code}", code < 0
        if killed:
            how, code = f"was ended by {signal.Signals(-code).name}", 128 - code
        if others and not self.deadline:
            self.deadline = time.monotonic() + GRACE
            how += f"; the others have {GRACE:g} s to end"
        if others or killed:
            print(f"worker {index} {how}", file=sys.stderr, flush=True)
        return code

    def kill(self) -> None:
        """End those that still run at once."""
        for process in self.processes:
            process.kill()


def end_with_parent() -> None:
    """Have this process asked to end when the one that started it is gone, however it ended."""
    with suppress(AttributeError):  # Linux alone has it
        ctypes.CDLL(None).prctl(PARENT_DIES, signal.SIGTERM)


def show(index: int, lines) -> None:
    """Write a worker's lines to stderr as they come, its number in front."""
    with lines:
        for line in lines:
            text = line.decode(errors="replace").rstrip("\n")
            print(f"[worker {index}] {text}", file=sys.stderr, flush=True)
