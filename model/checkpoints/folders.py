"""Checkpoints on disk: all that a run is at one moment, whole or not there.

A place, such as ckpts/best/<run>, has numbered folders, and in a file `latest` the name of the one
that counts. A checkpoint's files are written first, their checksums after them, and last, in one
piece, that name: whatever is cut off, on a disk or in an object store, leaves the one before.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from absl import logging

import storage
from errors import UsageError

WEIGHTS, RECORD, CENTRE_BIAS = "weights.h5", "run.json", "centre_bias.h5"
CHECKS = "checks.json"  # what commits a checkpoint: the SHA-256 of its files by their names
LATEST = "latest"
NUMBER = r"\d{6,}"
# Before checkpoints were folders: <run>.weights.h5 and these beside it; and in ckpts/latest/<run>.
FLAT = ".weights.h5", ".json", ".centerbias.h5"
STATE = "model.weights.h5", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """The files of a checkpoint: weights, the JSON that says what they are, and the centre bias
    that the network was told, which only some take."""

    weights: Path
    record: Path
    centre_bias: Path

    @property
    def folder(self) -> Path:
        return self.weights.parent

    def check(self) -> None:
        """Raise UsageError where the weights are not those that were written; of files that lie
        side by side this is not known."""
        if (self.folder / CHECKS).is_file() and (damage := fault(self.folder)):
            raise UsageError(f"{self.folder}: {damage}; train it again, or take another")


def within(folder: Path) -> Checkpoint:
    """Return the checkpoint in a numbered folder."""
    weights, record = STATE if (folder / STATE[1]).is_file() else (WEIGHTS, RECORD)
    return Checkpoint(folder / weights, folder / record, folder / CENTRE_BIAS)


def beside(weights: Path) -> Checkpoint:
    """Return the checkpoint whose files lie side by side, given its weights."""
    stem = weights.name.removesuffix(FLAT[0])
    return Checkpoint(weights, *(weights.with_name(stem + ending) for ending in FLAT[1:]))


def flat(place: Path) -> Checkpoint:
    """Return the checkpoint whose files lie side by side under the name of a place."""
    return beside(place.with_name(place.name + FLAT[0]))


def find(path: Path) -> Checkpoint | None:
    """Return the checkpoint at a place, in a folder, or of a file; None where there is none."""
    if path.is_file():
        return within(path.parent) if (path.parent / CHECKS).is_file() else beside(path)
    whole = [folder for folder in (path, *committed(path)) if (folder / CHECKS).is_file()]
    if whole:
        return within(whole[0])
    return flat(path) if path.name and flat(path).weights.is_file() else None


def record_of(path: Path | None) -> Path | None:
    """Return the JSON of a checkpoint where a path is its folder or place, else the path."""
    checkpoint = path and not path.is_file() and find(path)
    return checkpoint.record if checkpoint else path


def save(
    place: Path, files: Mapping[str, Callable[[Path], None]], before: Path | None = None
) -> Path:
    """Write a checkpoint into a folder of its own; return that.

    Args:
        files: each one's name, and what writes it.
        before: the folder that stays beside the new one; all others go.
    """
    tidy(place)
    folder = place / f"{max((int(old.name) for old in numbered(place)), default=0) + 1:06d}"
    try:
        write(folder, files)
        with storage.replacing(place / LATEST) as part:
            part.write_text(folder.name)
    except OSError:
        storage.remove(folder)  # on a full disk, the next one needs the room
        raise
    for other in numbered(place):
        if other not in (folder, before):
            storage.remove(other)
    for old in vars(flat(place)).values():
        if old.is_file():  # a run may be called so, too
            old.unlink()
    return folder


def write(folder: Path, files: Mapping[str, Callable[[Path], None]]) -> None:
    """Write a checkpoint's files, and last their checksums."""
    folder.mkdir(parents=True)
    checks = {}
    for name, writer in files.items():
        with storage.replacing(folder / name) as part:
            writer(part)
            checks[name] = digest(part)
    with storage.replacing(folder / CHECKS) as part:
        part.write_text(json.dumps(checks))


def tidy(place: Path) -> None:
    """Remove what a cut left of files and folders that were being written."""
    for part in place.glob(".*"):
        part.unlink(missing_ok=True)
    for folder in numbered(place):
        if not (folder / CHECKS).is_file():
            storage.remove(folder)


def newest(place: Path) -> Checkpoint | None:
    """Return the latest checkpoint that is undamaged, None where none was ever written.

    Raises:
        UsageError: there are some, and all of them are damaged.
    """
    folders = committed(place)
    for folder in folders:
        damage = fault(folder)
        if damage is None:
            return within(folder)
        logging.warning("%s: %s; the checkpoint before it is tried", folder, damage)
    if folders:
        raise UsageError(f"{place}: no checkpoint in it is whole; --fresh starts the run anew")
    return None


def committed(place: Path) -> list[Path]:
    """Return the folders that were written to their end, the one that counts first."""
    pointer = place / LATEST
    counts = pointer.read_text(errors="replace") if pointer.is_file() else ""
    names = {folder.name for folder in numbered(place) if (folder / CHECKS).is_file()}
    names |= {counts} if re.fullmatch(NUMBER, counts) else set()
    order = sorted(names, key=lambda name: (name == counts, int(name)), reverse=True)
    return [place / name for name in order]


def numbered(place: Path) -> list[Path]:
    """Return the folders of checkpoints, whole or not."""
    inside = place.iterdir() if place.is_dir() else ()
    return [path for path in inside if re.fullmatch(NUMBER, path.name)]


def fault(folder: Path) -> str | None:
    """Return what is wrong with the files of a checkpoint, None where nothing is."""
    try:
        checks = json.loads((folder / CHECKS).read_text())
        for name, expected in checks.items():
            if digest(folder / name) != expected:
                return f"{name} is damaged"
    except (OSError, ValueError, AttributeError) as error:
        return " ".join(str(error).split())
    return None


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Keep other processes, inside, from the run whose latest checkpoints are at a place.

    An object store has no locks: there, nothing is held.

    Raises:
        UsageError: another has it.
    """
    if storage.is_remote(place):
        yield
        return
    doing, cure = f"{place.name} is being trained", ", or call this run something else: --name"
    with storage.locked(place.with_name(f"{place.name}.lock"), doing, cure):
        yield
