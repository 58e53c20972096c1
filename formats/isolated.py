"""What C libraries read, a process of its own reads: on damaged files SciPy's and HDF5's readers
crash, loop and fill the memory, and the process is limited in both.

A reader is a function of a module that takes a path and more, and returns arrays by name. The
process is this module, run: it answers one request after another, with arrays of nothing but
numbers and texts. One that a file did harm to is replaced before the next file.
"""

import atexit
import faulthandler
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock
from zipfile import BadZipFile

import numpy as np

import storage
from errors import UsageError, printable

ROOT = Path(__file__).parents[1]
SECONDS, SPEED = 30, 2**22  # that a read may take, and one more for each so many bytes of the file
MEMORY, TIMES = 2**31, 20  # bytes that it may take, and so many more for each byte of the file
LENGTH = struct.Struct("<Q")  # of the answer that follows
# What arrays of a file that is none raise; and a pipe that ends.
DAMAGED = (OSError, EOFError, ValueError, LookupError, NotImplementedError, OverflowError)
DAMAGED += (MemoryError, BadZipFile, struct.error, zlib.error)

Arrays = dict[str, np.ndarray]


def read(reader: Callable[..., Arrays], path: Path, *args) -> Arrays:
    """Return what a reader makes of a file, in the process of readers.

    Raises:
        UsageError: it refuses the file, or cannot be done with it; names the file.
    """
    with _lock:
        found = _ask(reader, storage.kept(path), args)
    for how, said in (("refused", "{}"), ("damaged", f"not a whole {path.suffix} file ({{}})")):
        if how in found:
            raise UsageError(f"{path}: {said.format(found[how])}")
    return found


def _ask(reader: Callable, path: Path, args: tuple) -> Arrays:
    """Return the answer of a process that is there, or is started."""
    global _process
    began, _process = time.monotonic(), _process or _start()
    request = json.dumps([f"{reader.__module__}.{reader.__qualname__}", str(path), *args])
    found = {"damaged": ""}
    try:
        with suppress(BrokenPipeError):
            _process.stdin.write(request.encode() + b"\n")
            _process.stdin.flush()
        (size,) = LENGTH.unpack(_process.stdout.read(LENGTH.size))
        found = arrays(_process.stdout.read(size))
    except DAMAGED:
        _process.kill()
        found = {"damaged": _death(-_process.wait(), time.monotonic() - began, path)}
    finally:
        if "damaged" in found:  # or interrupted: the next one would get this one's answer
            _end()
    return found


def _death(number: int, took: float, path: Path) -> str:
    """Return why a process gave no answer, by the number of the signal that ended it, and by the
    seconds that it took."""
    if took >= seconds(path):
        return f"to read it comes to no end, or takes more than {seconds(path)} s"
    names = {each.value: each.name for each in signal.Signals}
    return f"what reads it crashes: {names.get(number, f'exit code {-number}')}"


def arrays(content: bytes) -> Arrays:
    """Return the arrays of a .npz file, which may not hold objects; raises one of DAMAGED."""
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return dict(found)


def packed(arrays: Arrays) -> bytes:
    """Return the content of a .npz file."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def seconds(path: Path) -> int:
    """Return how long the read of a file may take."""
    return SECONDS + path.stat().st_size // SPEED


def _start() -> subprocess.Popen:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "formats.isolated"],  # -P: not what lies where one is
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for those who wait for it
    )


@atexit.register
def _end() -> None:
    global _process
    if _process is not None:
        _process.kill()
        _process.communicate()
    _process = None


_process: subprocess.Popen | None = None
_lock = Lock()


# in the process


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for line in sys.stdin.buffer:
        reader, path, *args = json.loads(line)
        faulthandler.dump_traceback_later(seconds(Path(path)), exit=True)
        _limit(Path(path).stat().st_size)
        content = _answer(reader, Path(path), args)
        faulthandler.cancel_dump_traceback_later()
        answers.write(LENGTH.pack(len(content)) + content)
        answers.flush()


def _limit(size: int) -> None:
    """Limit the memory for a file of a size; on systems without such limits, the time alone."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        wanted = MEMORY + TIMES * size
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_AS, (allowed, most))


def _answer(reader: str, path: Path, args: list) -> bytes:
    """Return the arrays of a file; or under "refused" why they are not what is needed, under
    "damaged" why there are none."""
    module, _, name = reader.rpartition(".")
    try:
        return packed(getattr(import_module(module), name)(path, *args))
    except UsageError as error:
        return packed({"refused": printable(error)})
    except MemoryError:
        return packed({"damaged": "to read it takes more memory than a file of its size may"})
    except Exception as error:
        return packed({"damaged": printable(error) or type(error).__name__})


if __name__ == "__main__":
    main()
