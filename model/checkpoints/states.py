"""States of a run in training: numbered folders of which two stay, and which of them counts.

A state's files are written first, their checksums after them, and last, in one piece, the name of
the folder: whatever is cut off, on a disk or in an object store, leaves the state before.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from absl import logging

import storage
from errors import UsageError

CHECKS = "checks.json"  # what commits a state: the SHA-256 of its files by their names
LATEST = "latest"  # names the folder that counts
NAME = r"\d{6,}"


def save(folder: Path, files: Mapping[str, Callable[[Path], None]], before: Path | None) -> Path:
    """Writes a state into a folder of its own and returns that.

    Args:
        folder: of the run's states.
        files: each one's name, and what writes it.
        before: the state that stays beside the new one; all others go.
    """
    state = folder / f"{max(map(number, states(folder)), default=0) + 1:06d}"
    try:
        write(state, files)
        with storage.replacing(folder / LATEST) as part:
            part.write_text(state.name)
    except OSError:
        storage.remove(state)  # on a full disk, the next one needs the room
        raise
    for other in states(folder):
        if other not in (state, before):
            storage.remove(other)
    return state


def write(state: Path, files: Mapping[str, Callable[[Path], None]]) -> None:
    """Writes a state's files, and last their checksums."""
    state.mkdir(parents=True)
    checks = {}
    for name, writer in files.items():
        with storage.replacing(state / name) as part:
            writer(part)
            checks[name] = digest(part)
    with storage.replacing(state / CHECKS) as part:
        part.write_text(json.dumps(checks))


def newest(folder: Path) -> Path | None:
    """The folder of the latest state that is whole, or None where none was ever written.

    Raises:
        UsageError: there are some, and all of them are damaged.
    """
    pointer = folder / LATEST
    counts = pointer.read_text(errors="replace") if pointer.is_file() else ""
    known = {state.name for state in states(folder) if (state / CHECKS).is_file()}  # else cut off
    known |= {counts} if re.fullmatch(NAME, counts) else set()
    for name in sorted(known, key=lambda name: (name == counts, int(name)), reverse=True):
        damage = fault(folder / name)
        if damage is None:
            return folder / name
        logging.warning("%s: %s; the state before it is tried", folder / name, damage)
    if known:
        raise UsageError(f"{folder}: no state in it is whole; --fresh starts the run anew")
    return None


def fault(state: Path) -> str | None:
    """What is wrong with a state's files, if anything is."""
    try:
        checks = json.loads((state / CHECKS).read_text())
        for name, expected in checks.items():
            if digest(state / name) != expected:
                return f"{name} is damaged"
    except (OSError, ValueError, AttributeError) as error:
        return " ".join(str(error).split())
    return None


def states(folder: Path) -> list[Path]:
    """The folders of states, whole or not."""
    there = folder.iterdir() if folder.is_dir() else ()
    return [path for path in there if re.fullmatch(NAME, path.name)]


def number(state: Path) -> int:
    return int(state.name)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        found = hashlib.sha256()
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()


def tidy(folder: Path) -> None:
    """Removes what a cut left of files and states that were being written."""
    for part in folder.glob(".*"):
        part.unlink()
    for state in states(folder):
        if not (state / CHECKS).is_file():
            storage.remove(state)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, no other process has the run whose states are in a folder.

    An object store has no locks: there, nothing is held.

    Raises:
        UsageError: another has it.
    """
    if storage.is_remote(folder):
        yield
        return
    doing, cure = f"{folder.name} is being trained", ", or call this run something else: --name"
    with storage.locked(folder.with_name(f"{folder.name}.lock"), doing, cure):
        tidy(folder)
        yield
