"""Whether every picture of a corpus can be read, before the first epoch needs it."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from tqdm import tqdm

from config import UsageError
from data.decode import Picture, decode, decode_map
from data.hdf5 import Stored


class Seen(NamedTuple):
    """A picture's height and width as a person sees it, whether all of it is black, and the digest
    of its file."""

    height: int
    width: int
    black: bool
    digest: str

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width


def check(pictures: Iterable[Picture], memory: Path) -> dict[Picture, Seen]:
    """What each picture is like, all of them decoded whole.

    `memory` is a JSON file that remembers results by a picture's size and time, so that only
    new or changed ones are decoded again.

    Raises:
        UsageError: some cannot be read; says how many, the first of them and why.
    """
    pictures = list(pictures)
    known = recall(memory)
    marks = {path: mark(path) for path in pictures}
    todo = [path for path in pictures if known.get(str(path), [None])[0] != marks[path]]
    if todo:
        logging.info("checking %d pictures", len(todo))
    found = dict(zip(todo, measured(todo), strict=True))
    broken = {path: why for path, why in found.items() if isinstance(why, str)}
    for path in todo:
        if path not in broken:
            known[str(path)] = [marks[path], *found[path]]
    remember(memory, known)
    if broken:
        first, why = next(iter(broken.items()))
        raise UsageError(f"{len(broken)} pictures cannot be read, first '{first}': {why}")
    return {path: Seen(*known[str(path)][1:]) for path in pictures}


def measured(pictures: list[Picture]) -> list[Seen | str]:
    """What each picture is like, or why it cannot be read."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(measure, pictures)
        return list(tqdm(results, total=len(pictures), disable=None, leave=False))


def measure(path: Picture) -> Seen | str:
    """What a picture, decoded whole, is like, or why it cannot be read."""
    try:
        picture = decode(path)
        # A faint map of 16 bits is black to the eye alone.
        black = not picture.any() and not decode_map(path).any()
        return Seen(*picture.shape[:2], black, digest(picture))
    except UsageError as error:
        return str(error).removeprefix(f"{path}: ")


def digest(picture: np.ndarray) -> str:
    """16 hex digits that tell a decoded picture from any other, whatever its file is like."""
    content = str(picture.shape).encode() + picture.tobytes()
    return blake2b(content, digest_size=8).hexdigest()


def mark(picture: Picture) -> str:
    """What tells that a picture's file is the one that was seen before."""
    stat = (picture.file if isinstance(picture, Stored) else picture).stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def recall(memory: Path) -> dict[str, list]:
    """What was found before; nothing where the file is absent, damaged or of an older form."""
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {path: row for path, row in known.items() if len(row) == 1 + len(Seen._fields)}


def remember(memory: Path, known: dict[str, list]) -> None:
    """Writes the memory anew, in one piece."""
    memory.parent.mkdir(parents=True, exist_ok=True)
    part = memory.with_suffix(f".{os.getpid()}.part")  # other runs may write theirs
    part.write_text(json.dumps(known))
    part.replace(memory)
