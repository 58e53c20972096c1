"""What C libraries read, a process of its own reads: on damaged files SciPy's and HDF5's readers
crash, loop and fill the memory, and the process is limited in both.

A reader is a function of a module that takes a path and more, and returns arrays by name. This
module, run, answers one request after another, with arrays of nothing but numbers and texts. It
does so in a fork of itself, and in another one after a file that may have done harm.
"""

import atexit
import io
import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np

import storage
from errors import UsageError, printable

ROOT = Path(__file__).parents[1]
# Of the processor, that a read may take, and one more for each so many bytes of the file; and how
# many times as long it may take on the clock of a machine with much else to do.
SECONDS, SPEED, WAIT = 10, 2**22, 20
MEMORY, TIMES = 2**31, 20  # bytes that it may take, and so many more for each byte of the file
HARMED = 3  # what a fork exits with that a file may have harmed
LATE = "to read it takes more time than it may"
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
    copy = storage.kept(path)
    size = copy.stat().st_size
    seconds, memory = SECONDS + size // SPEED, MEMORY + TIMES * size
    request = [reader.__module__, reader.__qualname__, os.path.abspath(copy), *args]
    with _lock:
        found = _ask(request, seconds, WAIT * seconds, memory)
    if "damaged" in found:
        raise UsageError(f"{path}: not a whole {path.suffix} file ({found['damaged']})")
    if "refused" in found:
        raise UsageError(f"{path}: {found['refused']}")
    return found


def _ask(request: list, *limits: int) -> Arrays:
    """Return the answer of the server, which is started where there is none."""
    global _server
    if _server is None or _server.poll() is not None:
        _server = _start(request[0], "scipy.io" if request[2].endswith(".mat") else "h5py")
    try:
        _server.stdin.write(json.dumps([*limits, *request]).encode() + b"\n")
        _server.stdin.flush()
        (length,) = LENGTH.unpack(_server.stdout.read(LENGTH.size))
        return arrays(_server.stdout.read(length))
    except DAMAGED:
        _end()
        return {"damaged": "what reads it gives no answer"}
    except BaseException:  # an interrupt: the next one would get this one's answer
        _end()
        raise


def arrays(content: bytes) -> Arrays:
    """Return the arrays of a .npz file, which may not hold objects; raises one of DAMAGED."""
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return dict(found)


def packed(found: Arrays) -> bytes:
    """Return the content of a .npz file with arrays."""
    content = io.BytesIO()
    np.savez(content, **found)
    return content.getvalue()


def _start(*modules: str) -> subprocess.Popen:
    """Start a server that has imported modules already."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-P", "-m", "formats.isolated"]  # -P: not what lies where one is
    return subprocess.Popen(
        [*command, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for those who wait for it
    )


@atexit.register
def _end() -> None:
    global _server
    if _server is None:
        return
    if hasattr(os, "killpg") and _server.poll() is None:
        os.killpg(_server.pid, signal.SIGKILL)  # its fork too, which may come to no end
    _server.kill()
    for pipe in (_server.stdin, _server.stdout):
        with suppress(OSError):
            pipe.close()
    _server.wait()
    _server = None


_server: subprocess.Popen | None = None
_lock = Lock()


# in the server


def main() -> None:
    """Answer requests until there are no more."""
    for module in sys.argv[1:]:
        import_module(module)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    names = {-each.value: each.name for each in signal.Signals}
    while code := _answer_forked(answers):
        if code != HARMED:
            name = names.get(code, f"exit code {code}")
            late = name in ("SIGPROF", "SIGALRM")
            why = LATE if late else f"what reads it crashes: {name}"
            _send(packed({"damaged": why}), answers)


def _answer_forked(answers: BinaryIO) -> int:
    """Answer requests in a fork; return what it exited with: 0 where there are no more, HARMED
    where a file may have harmed it, else what it died of."""
    child = os.fork() if hasattr(os, "fork") else 0
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        harmed = any(_answer(*json.loads(line), answers=answers) for line in sys.stdin.buffer)
        code = HARMED if harmed else 0
    finally:
        os._exit(code)


def _answer(*request, answers: BinaryIO) -> bool:
    """Answer with the arrays of a file; or under "refused" why they are not what is needed, under
    "damaged" why there are none. Return whether the file may have done harm."""
    seconds, wait, memory, module, name, path, *args = request
    _limit_time(seconds, wait)
    _limit_memory(memory)
    try:
        found = getattr(import_module(module), name)(Path(path), *args)
        content, harmed = packed(found), False
    except UsageError as error:
        content, harmed = packed({"refused": printable(error)}), False
    except MemoryError:
        content, harmed = packed({"damaged": "to read it takes more memory than it may"}), True
    except Exception as error:
        content, harmed = packed({"damaged": printable(error) or type(error).__name__}), True
    _limit_time(0, 0)
    _send(content, answers)
    return harmed


def _send(content: bytes, answers: BinaryIO) -> None:
    answers.write(LENGTH.pack(len(content)))
    answers.write(content)
    answers.flush()


def _limit_time(seconds: int, wait: int) -> None:
    """Have a signal end this process after seconds of the processor or on the clock; 0: none. There
    are no such timers, and no such limits as below, on every system."""
    with suppress(AttributeError):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, wait)


def _limit_memory(memory: int) -> None:
    """Limit the bytes that may be asked for."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        allowed = memory if most == resource.RLIM_INFINITY else min(memory, most)
        resource.setrlimit(resource.RLIMIT_AS, (allowed, most))


if __name__ == "__main__":
    main()
