"""What was read of a corpus' files, kept in the run's cache by the digest of their bytes."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

import storage
from errors import UsageError
from formats import isolated
from formats.isolated import DAMAGED, Arrays

_folder: Path | None = None


def keep_in(folder: Path) -> None:
    """Have what is read from now on kept in a folder on disk, not for this process alone."""
    global _folder
    _folder = folder


def place(kind: str, *known: str) -> Path:
    """Return where something of a kind is kept, by all that it depends on."""
    digest = hashlib.blake2b(repr(known).encode(), digest_size=12).hexdigest()
    return (_folder or Path(_passing().name)) / kind / digest


def read(reader: Callable[..., Arrays], path: Path) -> Arrays:
    """Return what a reader makes of a file, in the process of readers where it was not read before.

    Raises:
        UsageError: there is none, or it is refused; names the file.
    """
    return kept(lambda: isolated.read(reader, path), reader.__name__, digest_of(path))


def read_all(reader: Callable[..., Arrays], paths: Sequence[Path]) -> Arrays:
    """Return columns that a reader makes of each file, one or more, under one another; `record` is
    the index of the path. Raises as read."""

    def joined() -> Arrays:
        parts = [isolated.read(reader, path) for path in tqdm(paths, disable=None, leave=False)]
        record = np.repeat(np.arange(len(parts)), [len(each["record"]) for each in parts])
        columns = {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}
        return columns | {"record": record}

    return kept(joined, reader.__name__, *map(digest_of, paths))


def kept(make: Callable[[], Arrays], *known: str) -> Arrays:
    """Return arrays from the cache, by all that they depend on beside the readers; made, and put
    there, where it has none that are whole."""
    entry = place("tables", _readers(), *known).with_suffix(".npz")
    with suppress(*DAMAGED):
        return isolated.arrays(entry.read_bytes())
    found = make()
    with suppress(OSError), storage.replacing(entry) as part:
        part.write_bytes(isolated.packed(found))
    return found


def digest_of(path: Path) -> str:
    """Return the digest of a file's bytes; raises UsageError where there is no such file."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    copy = storage.kept(path)
    stat = copy.stat()
    return _digest_of(copy, stat.st_size, stat.st_mtime_ns)


@lru_cache(2**16)
def _digest_of(path: Path, size: int, time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _readers() -> str:
    """Return the digest of the readers' code: what others made is read anew."""
    code = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()


@cache
def _passing() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="saliency-trainer-")
