"""Whether every picture of a corpus can be read, before the first epoch needs it."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from tqdm import tqdm

import storage
from errors import UsageError
from formats.pictures.decode import decode, decode_map, shape

AT_ONCE = 32  # pictures of an object store, each of which is waited for
STATS = 1000  # files on a disk that a thread is asked about in one go


class Seen(NamedTuple):
    """A picture's height and width as a person sees it, whether all of it is black, the digest
    of its content, and of a map what it shows (see looks.Look)."""

    height: int
    width: int
    black: bool
    digest: str
    shows: list = []

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width


def check(
    pictures: Iterable[Path], memory: Path, measure: Callable | None = None
) -> dict[Path, Seen]:
    """What each picture is like, all of them decoded whole.

    `memory` is a file on disk that remembers results by a picture's size and time as they come, so
    that only new or changed ones are decoded again. `measure` gives what one is like, or why it
    cannot be read; by default `of_stimulus`.

    Raises:
        UsageError: some cannot be read; says how many, the first of them and why.
    """
    pictures = list(pictures)
    known = recall(memory)
    marks = dict(zip(pictures, marks_of(pictures), strict=True))
    how = f" by {measure.__module__}" if measure else ""  # a map may be drawn as a picture, too
    before = {path: known.get(f"{path}{how}") for path in pictures}
    seen = {path: row[1] for path, row in before.items() if row and row[0] == marks[path]}
    todo = [path for path in pictures if path not in seen]
    if not todo:
        return seen
    logging.info("checking %d pictures", len(todo))
    broken = {}
    with remembering(memory) as remember:
        results = in_threads(measure or of_stimulus, todo, any(map(storage.is_remote, todo)))
        for path, found in zip(todo, results, strict=True):
            if isinstance(found, Seen):
                seen[path] = found
                remember(f"{path}{how}", marks[path], found)
            else:
                broken[path] = found
    if broken:
        first, why = next(iter(broken.items()))
        raise UsageError(f"{len(broken)} pictures cannot be read, first '{first}': {why}")
    return seen


def in_threads(function: Callable, values: Sequence, remote: bool) -> Iterator:
    """What a function makes of each value, in order."""
    with ThreadPoolExecutor(AT_ONCE if remote else os.cpu_count()) as pool:
        yield from tqdm(pool.map(function, values), total=len(values), disable=None, leave=False)


def of_stimulus(path: Path) -> Seen | str:
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


def marks_of(pictures: Sequence[Path]) -> Iterator[str]:
    """Yields what tells that each picture's file is the one that was seen before."""
    remote = any(map(storage.is_remote, pictures))
    step = 1 if remote else STATS
    parts = [pictures[begin : begin + step] for begin in range(0, len(pictures), step)]
    return chain.from_iterable(in_threads(lambda part: [*map(mark, part)], parts, remote))


def mark(picture: Path) -> str:
    try:
        stat = picture.stat()
    except FileNotFoundError:
        raise UsageError(f"{picture}: is gone, or a link to what is not there") from None
    return f"{stat.st_size} {stat.st_mtime_ns}"


def recall(memory: Path) -> dict[str, tuple[str, Seen]]:
    """The mark of each picture that was seen before, and what it is like; nothing of what is
    damaged or was written by another version."""
    try:
        stat = memory.stat()
        return dict(recalled(memory, stat.st_size, stat.st_mtime_ns))
    except OSError:
        return {}


@lru_cache(maxsize=1)
def recalled(memory: Path, size: int, time: int) -> dict[str, tuple[str, Seen]]:
    """The same, read once for all that one command checks; `size` and `time` tell a file."""
    known = {}
    for line in memory.read_text(errors="replace").split("\n"):
        with suppress(ValueError, TypeError):
            path, mark, *found = json.loads(line) if line.startswith("[") else ()
            if len(found) == len(Seen._fields):
                known[path] = mark, Seen(*found)
    return known


@contextmanager
def remembering(memory: Path) -> Iterator[Callable[[str, str, Seen], None]]:
    """Gives what adds a picture to the memory, at once: a kill loses only what is being decoded.

    A line's end comes first, which parts it from one that was cut. Others may add theirs at the
    same time.
    """
    memory.parent.mkdir(parents=True, exist_ok=True)
    with memory.open("a") as file:

        def remember(picture: str, mark: str, found: Seen) -> None:
            file.write("\n" + json.dumps([picture, mark, *found]))
            file.flush()

        yield remember
