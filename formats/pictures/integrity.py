"""Whether every picture of a corpus can be read, before the first epoch needs it."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
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


Take = Callable[[Seen, np.ndarray], None]  # of a stimulus RGB (h, w, 3), of a map levels (h, w)


class Memory:
    """What pictures are like: in the process, and by their size and time in a file of a cache.

    cache: a folder, or None, where nothing outlasts the process. take: gets what is decoded, in
    whatever thread did it.
    """

    def __init__(self, cache: Path | None, take: Take | None = None):
        self.cache, self.take = cache, take
        self.found: dict[str, Seen | str] = {}  # or why it cannot be read

    @property
    def file(self) -> Path:
        return self.cache / "checked.json"

    @cached_property
    def stored(self) -> dict[str, tuple[str, Seen]]:
        """The mark of each picture that was seen before, and what it is like; nothing of what is
        damaged or was written by another version."""
        known, text = {}, ""
        with suppress(OSError):
            text = self.file.read_text(errors="replace") if self.cache else ""
        for line in text.split("\n"):
            with suppress(ValueError, TypeError):
                path, mark, *found = json.loads(line) if line.startswith("[") else ()
                if len(found) == len(Seen._fields):
                    known[path] = mark, Seen(*found)
        return known

    def recall(self, marks: Mapping[str, str | None]) -> None:
        """Finds those in the file whose mark is the same, and those whose file is gone."""
        for key, mark in marks.items():
            before = self.stored.get(key)
            if mark is None:
                self.found[key] = "is gone, or a link to what is not there"
            elif before and before[0] == mark:
                self.found[key] = before[1]

    def remember(self, key: str, mark: str, found: Seen | str) -> None:
        """Adds a picture to the file, at once: a kill loses only what is being decoded.

        A line's end comes first, which parts it from one that was cut. Others may add theirs at
        the same time. Where the disk does not take it, the process alone remembers.
        """
        self.found[key] = found
        if self.cache and isinstance(found, Seen):
            with suppress(OSError):
                self.cache.mkdir(parents=True, exist_ok=True)
                with self.file.open("a") as file:
                    file.write("\n" + json.dumps([key, mark, *found]))


def check(pictures: Iterable[Path], memory: Memory, measure=None, taken=None) -> dict[Path, Seen]:
    """What each picture is like; see look.

    Raises:
        UsageError: some cannot be read; says how many, the first of them and why.
    """
    seen, broken = look(pictures, memory, measure, taken)
    if broken:
        first, why = next(iter(broken.items()))
        raise UsageError(f"{len(broken)} pictures cannot be read, first '{first}': {why}")
    return seen


def look(
    pictures: Iterable[Path],
    memory: Memory,
    measure: Callable | None = None,
    taken: Collection[Path] | None = None,
) -> tuple[dict[Path, Seen], dict[Path, str]]:
    """What each picture is like, and why others cannot be read; new and changed ones are decoded.

    Args:
        measure: gives what a picture is like and the pixels that it was found by; by default
            `of_stimulus`.
        taken: the pictures that the memory's `take` gets; None: all.
    """
    how = f" by {measure.__module__}" if measure else ""  # a map may be drawn as a picture, too
    keys = {path: f"{path}{how}" for path in pictures}
    new = [path for path, key in keys.items() if key not in memory.found]
    marks = dict(zip(new, marks_of(new), strict=True))
    memory.recall({keys[path]: mark for path, mark in marks.items()})
    todo = [path for path in new if keys[path] not in memory.found]
    if todo:
        logging.info("checking %d pictures", len(todo))
        work = partial(measured, measure or of_stimulus, memory.take, taken)
        results = in_threads(work, todo, any(map(storage.is_remote, todo)))
        for path, found in zip(todo, results, strict=True):
            memory.remember(keys[path], marks[path], found)
    found = {path: memory.found[key] for path, key in keys.items()}
    broken = {path: why for path, why in found.items() if isinstance(why, str)}
    return {path: seen for path, seen in found.items() if path not in broken}, broken


def measured(measure: Callable, take: Take | None, taken, path: Path) -> Seen | str:
    """What a picture is like, or why it cannot be read."""
    try:
        seen, pixels = measure(path)
    except UsageError as error:
        return str(error).removeprefix(f"{path}: ")
    if take and (taken is None or path in taken):
        take(seen, pixels)
    return seen


def in_threads(function: Callable, values: Sequence, remote: bool = False) -> Iterator:
    """What a function makes of each value, in order."""
    with ThreadPoolExecutor(AT_ONCE if remote else storage.cores()) as pool:
        yield from tqdm(pool.map(function, values), total=len(values), disable=None, leave=False)


def of_stimulus(path: Path) -> tuple[Seen, np.ndarray]:
    """What a picture is like, and its pixels; raises as decode."""
    picture = decode(path)
    # A faint map of 16 bits is black to the eye alone.
    black = not picture.any() and not decode_map(path).any()
    return Seen(*shape(path), black, digest(picture)), picture


def digest(picture: np.ndarray) -> str:
    """16 hex digits that tell a decoded picture from any other, whatever its file is like."""
    content = str(picture.shape).encode() + picture.tobytes()
    return blake2b(content, digest_size=8).hexdigest()


def marks_of(pictures: Sequence[Path]) -> Iterator[str | None]:
    """Yields what tells that each picture's file is the one that was seen before, None where there
    is none."""
    remote = any(map(storage.is_remote, pictures))
    step = 1 if remote else STATS
    parts = [pictures[begin : begin + step] for begin in range(0, len(pictures), step)]
    return chain.from_iterable(in_threads(lambda part: [*map(mark, part)], parts, remote))


def mark(picture: Path) -> str | None:
    try:
        stat = picture.stat()
    except FileNotFoundError:
        return None
    return f"{stat.st_size} {stat.st_mtime_ns}"
