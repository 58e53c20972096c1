"""What may come of a damaged file: it is read, or refused in one line that names it."""

import signal
from pathlib import Path

SECONDS = 20  # of the processor that a read may take, however busy the machine is
MEMORY = 2**31  # bytes that a file may cost, resident


def expect(holds: bool, otherwise) -> None:
    """An assertion that no option of Python takes out."""
    if not holds:
        raise AssertionError(otherwise)


def tried(allowed: type, path: Path, do, *args):
    """What `do(*args)` gives; None where it raised an `allowed` error that is fit to be seen.

    Where it takes longer than SECONDS, the process ends.

    Raises:
        AssertionError: the error is not one printable line, or does not name the file, or hides
            that the memory was too small.
    """
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return do(*args)
    except allowed as error:
        said = str(error)
        expect(said.isprintable(), f"more than one printable line: {said!r}")
        expect(path.name in said, f"does not name the file: {said!r}")
        expect(not ran_out(error), f"asked for more memory than there may be: {said!r}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def ran_out(error: BaseException | None) -> bool:
    """Whether an error comes of one that says that there is no memory left."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False
