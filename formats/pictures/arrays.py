"""Arrays in .npy files that other programs wrote, trusted in nothing that they claim."""

from pathlib import Path
from tokenize import TokenError

import numpy as np

import storage
from errors import UsageError, printable

DAMAGED = (OSError, LookupError, TypeError, ValueError, ArithmeticError, MemoryError)
DAMAGED += (AttributeError, RuntimeError, SyntaxError, TokenError)
LONGEST = 1000  # bytes of a header, which is read as Python: one that is deep fills the stack


def read_array(path: Path) -> np.ndarray:
    """Return the numbers in a .npy file; nothing that it holds is run. Raise UsageError where it is
    missing, damaged, or holds something else than real numbers."""
    try:
        # Mapped into memory: a header that promises more than the file holds is refused unread.
        with np.errstate(over="raise"), storage.local(path) as file:
            values = np.lib.format.open_memmap(file, mode="r", max_header_size=LONGEST)
    except DAMAGED as error:
        reason = printable(error) or type(error).__name__
        raise UsageError(f"{path}: not a whole .npy file of numbers ({reason})") from None
    if values.dtype.kind not in "fiub":
        raise UsageError(f"{path}: holds {values.dtype}, must be real numbers")
    return np.array(values)


def plane(values: np.ndarray) -> np.ndarray:
    """Return an array (h, w) or (h, w, 1) as (h, w); any other as it is."""
    return values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values


def in_words(shape: tuple[int, ...]) -> str:
    """Return a shape for an error: height x width."""
    return "x".join(map(str, shape)) or "that of one number"
