"""MATLAB's files as arrays, and a damaged one as one line."""

import zlib
from pathlib import Path

import numpy as np

from config import UsageError


def variable(path: Path, name: str) -> np.ndarray:
    """A variable of a MATLAB file up to version 7; structs and cells are arrays of objects.

    Raises:
        UsageError: a file that is damaged or has no such variable.
    """
    from scipy.io import loadmat, matlab

    damage = (OSError, KeyError, ValueError, TypeError, NotImplementedError, zlib.error)
    try:
        return loadmat(path, variable_names=[name])[name]
    except (*damage, matlab.MatReadError) as error:
        raise _damaged(path, name, error) from error


def cells(path: Path, name: str) -> list[np.ndarray]:
    """The cells of a cell array of a MATLAB file of version 7.3, which is HDF5.

    An M x 3 matrix lies transposed there: (3, M). An empty one is its two sizes, one-dimensional.

    Raises:
        UsageError: a file that is damaged or has no such variable.
    """
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            return [file[cell][...] for cell in np.ravel(file[name])]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, name, error) from error


def rows(values: np.ndarray, width: int) -> np.ndarray:
    """float64 (M, width) of a matrix with a row each; an empty one has any shape in MATLAB."""
    return floats(values).reshape(-1, np.shape(values)[-1] or width)[:, :width]


def floats(values) -> np.ndarray:
    """The same numbers in float64."""
    return np.asarray(values, np.float64)


def _damaged(path: Path, name: str, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())
    return UsageError(f"{path}: not a whole MATLAB file with the variable {name!r} ({reason})")
