"""Whether every picture of a corpus can be read, before the first epoch needs it."""

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from tqdm import tqdm

import storage
from config import UsageError
from data.decode import Picture, decode, decode_map, shape
from data.hdf5 import Stored

AT_ONCE = 32  # pictures of an object store, each of which is waited for


class Seen(NamedTuple):
    """A picture's height and width as a person sees it, whether all of it is black, the digest
    of its content, and of a map what it shows (see maps.Look)."""

    height: int
    width: int
    black: bool
    digest: str
    shows: list = []

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width


def check(
    pictures: Iterable[Picture], memory: Path, measure: Callable | None = None
) -> dict[Picture, Seen]:
    """What each picture is like, all of them decoded whole.

    `memory` is a JSON file that remembers results by a picture's size and time, so that only
    new or changed ones are decoded again. `measure` gives what one is like, or why it cannot be
    read; by default `of_stimulus`.

    Raises:
        UsageError: some cannot be read; says how many, the first of them and why.
    """
    pictures = list(pictures)
    known = recall(memory)
    marks = dict(zip(pictures, in_threads(mark, pictures), strict=True))
    todo = [path for path in pictures if known.get(str(path), [None])[0] != marks[path]]
    if todo:
        logging.info("checking %d pictures", len(todo))
    found = dict(zip(todo, in_threads(measure or of_stimulus, todo), strict=True))
    broken = {path: why for path, why in found.items() if isinstance(why, str)}
    for path in todo:
        if path not in broken:
            known[str(path)] = [marks[path], *found[path]]
    remember(memory, known)
    if broken:
        first, why = next(iter(broken.items()))
        raise UsageError(f"{len(broken)} pictures cannot be read, first '{first}': {why}")
    return {path: Seen(*known[str(path)][1:]) for path in pictures}


def in_threads(function: Callable, pictures: list[Picture]) -> list:
    """What a function makes of each picture, in order."""
    remote = any(storage.is_remote(file_of(picture)) for picture in pictures)
    with ThreadPoolExecutor(AT_ONCE if remote else os.cpu_count()) as pool:
        results = pool.map(function, pictures)
        return list(tqdm(results, total=len(pictures), disable=None, leave=False))


def of_stimulus(path: Picture) -> Seen | str:
    """What a picture, decoded whole, is like, or why it cannot be read."""
    try:
        picture = decode(path)
        # A faint map of 16 bits is black to the eye alone.
        black = not picture.any() and not decode_map(path).any()
        return Seen(*shape(path), black, digest(picture))
    except UsageError as error:
        return str(error).removeprefix(f"{path}: ")


def digest(picture: np.ndarray) -> str:
    """16 hex digits that tell a decoded picture from any other, whatever its file is like."""
    content = str(picture.shape).encode() + picture.tobytes()
    return blake2b(content, digest_size=8).hexdigest()


def mark(picture: Picture) -> str:
    """What tells that a picture's file is the one that was seen before."""
    stat = file_of(picture).stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def file_of(picture: Picture) -> Path:
    return picture.file if isinstance(picture, Stored) else picture


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
    with storage.replacing(memory) as part:
        part.write_text(json.dumps(known))
