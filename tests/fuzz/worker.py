"""Makes damaged files and puts each through the program, in a process that may die of it.

Run as `python -m fuzz.worker KIND SEED START STOP FOLDER`, with the checkout and tests/ on
PYTHONPATH; says on stdout, a line of JSON each, which file is begun and what came of it. A file
that is neither read nor refused as it must be stays in FOLDER.
"""

import faulthandler
import importlib
import json
import logging as standard_logging
import os
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path
from random import Random

from fuzz import outcomes
from fuzz.mutations import mutated

from formats import isolated

ADDRESSES = 3 * 2**31  # bytes that a process may ask for: a fault must not take the machine down


def main(kind: str, seed: str, start: str, stop: str, folder: str) -> None:
    fuzzed = importlib.import_module(f"fuzz.{kind}")
    answers, noise = os.fdopen(os.dup(1), "w"), quiet()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    isolated.SECONDS = 3  # what is whole takes a hundredth
    bases = list(fuzzed.bases(Path(folder)).items())
    for index in range(int(start), int(stop)):
        base, whole = bases[index % len(bases)]
        path = Path(folder) / f"{kind}-{seed}-{index}{fuzzed.ending(base)}"
        random = Random(f"{kind} {seed} {index}")
        path.write_bytes(mutated(whole, fuzzed.form(base), random))
        print(json.dumps(["begun", index, base, str(path)]), file=answers, flush=True)
        outcome = watched(fuzzed.check, path, noise)
        if outcome in ("read", "refused"):
            path.unlink()
        print(json.dumps(["done", index, outcome]), file=answers, flush=True)


def quiet() -> int:
    """Sends what is written to stdout and stderr to a file; its descriptor.

    What the process dies of, and where it was, still goes to stderr.
    """
    last_words = os.dup(2)
    faulthandler.enable(last_words)
    faulthandler.register(signal.SIGPROF, last_words, chain=True)
    sys.excepthook = lambda *error: os.write(
        last_words, "".join(traceback.format_exception(*error)).encode()
    )
    noise = os.memfd_create("noise")
    for stream in (1, 2):
        os.dup2(noise, stream)
    return noise


def watched(check, path: Path, noise: int) -> str:
    """ "read" or "refused", or the fault."""
    said = Said()
    standard_logging.getLogger().handlers = [said]
    os.ftruncate(noise, 0)
    os.lseek(noise, 0, os.SEEK_SET)
    before = reset_peak()
    try:
        with warnings.catch_warnings(record=True) as warned:
            outcome = "read" if check(path) else "refused"
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    if warned:
        outcome = f"warning: {warned[0].message} ({Path(warned[0].filename).name})"
    if any(not line.isprintable() for line in said.lines):
        outcome = f"a notice that is not one printable line: {said.lines}"
    if os.fstat(noise).st_size:
        outcome = f"wrote to stderr: {os.pread(noise, 500, 0).decode('utf-8', 'replace')}"
    if peak() - before > outcomes.MEMORY:
        outcome = f"memory: {peak() - before:,} bytes"
    return outcome


class Said(standard_logging.Handler):
    """Notices of the program, which are meant to be there."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record) -> None:
        self.lines.append(record.getMessage())


def reset_peak() -> int:
    """Bytes resident now, from where the peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most bytes that were resident."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
