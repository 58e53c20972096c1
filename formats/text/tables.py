"""One's own tables of fixations, and the exports of trackers -> Fixations and split."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from posixpath import basename
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from absl import logging

from errors import UsageError
from formats.fixations import UNKNOWN, Fixations
from formats.hdf5 import printable
from formats.layout import TABLES, Files, below, ending
from formats.names import Pairing, stem
from formats.pictures.decode import Picture, shape
from formats.text import columns, json_scanpaths
from formats.text.columns import Part
from formats.text.exports import CALLED, SPLIT_FILE
from formats.text.viewings import in_scanpaths

STRAY = -2
WHOLE = re.compile(r"\d{1,18}(\.0+)?", re.ASCII)  # a spreadsheet may make 1.0 of 1
TEXTS = {".txt", ".xls"}


class Table(NamedTuple):
    """fixations: `n` indexes the sorted stimuli; sides: "train", "valid" or "test" of the stimuli
    that a column `split` has one of; fitted: coordinates were fractions of the pictures, and
    are in pixels of those that are there."""

    fixations: Fixations
    sides: Mapping[str, str] = MappingProxyType({})
    fitted: bool = False


def tables_of(files: Files, folder: Path) -> dict[str, Path]:
    """Return the tables among a corpus' files: one beside stimuli/, or those in fixations/; raise
    UsageError where there are several of which only one can be meant."""
    names = [name for name in files if ending(name) in TABLES]
    top = [name for name in names if "/" not in name and stem(name) == "fixations"]
    inside = [f"fixations/{name}" for name in below(files, "fixations")]
    if any(ending(name) not in TABLES for name in inside):
        inside = [name for name in inside if ending(name) not in TEXTS]  # they are about the others
    inside = [n for n in inside if ending(n) in TABLES and stem(basename(n)).lower() != "readme"]
    places = [*top, *(["fixations/"] if inside else [])]
    if len(places) > 1:
        raise UsageError(f"{folder}: fixations in {' and in '.join(places)}; keep one of them")
    return {name: files[name] for name in top or inside}


def read(files: Mapping[str, Path], stimuli: Mapping[str, Picture]) -> Table:
    """Return the fixations of tables by their canonical names.

    Columns are image (in fixations/ the file's name, where there is none), x and y in pixels from
    0, and where they are known subject, t and duration in seconds, order, trial and split, by
    their usual names (`exports.OWN`); or those of a program that is known by its own.

    The rows of one image, subject and trial are a scanpath in order of t, else of `order`, else of
    the file. Without trial a fall of t to where viewings begin begins another one.

    Raises UsageError, with file and line, where one is no such table or is ambiguous.
    """
    names = sorted(stimuli)
    parts = [part_of(name, path) for name, path in files.items()]
    check_alike(parts)
    log_notices(parts)
    pairing = Pairing(names)
    indices = [stimuli_of(part, pairing) for part in parts]
    sides = sides_of(parts, indices, names)
    rows = joined(parts, indices, [stimuli[name] for name in names])
    where = parts[0].path if len(parts) == 1 else parts[0].path.parent
    fitted = all(part.to_pixels for part in parts)
    return Table(in_scanpaths(complete(rows, where), where), sides, fitted)


def read_sides(path: Path, stimuli: Iterable[str]) -> dict[str, str]:
    """Return the sides of a split.csv, with columns image and split; raises UsageError."""
    names = sorted(stimuli)
    part = columns.read(path, layouts=(SPLIT_FILE,))
    return sides_of([part], [stimuli_of(part, Pairing(names))], names)


def part_of(name: str, path: Path) -> Part:
    """Return what one file says; in fixations/ its name may be the picture's."""
    if path.suffix.lower() == ".json":
        return json_scanpaths.read(path)
    return columns.read(path, stem(name.partition("/")[2]) if "/" in name else "")


def check_alike(parts: list[Part]) -> None:
    """Raise UsageError where tables that belong together have not the same columns and units."""
    first = parts[0]
    for part in parts:
        if (part.to_pixels is None) != (first.to_pixels is None):
            raise UsageError(f"{part.path}: x and y in another unit than in {first.path.name}")
        for rich, poor in ((part, first), (first, part)):
            lacking = [name for name in rich.fields if name not in poor.fields]
            if lacking:
                said = f"no column {lacking[0]}, but {rich.path.name} has one"
                raise UsageError(f"{poor.path}: {said}")


def log_notices(parts: list[Part]) -> None:
    """Log what each table says of itself, once for all that say the same."""
    paths: dict[str, list[Path]] = {}
    for part in parts:
        for notice in part.notices:
            paths.setdefault(notice, []).append(part.path)
    for notice, (first, *others) in paths.items():
        more = f" (and {len(others)} more)" if others else ""
        logging.info("%s%s: %s", first, more, notice)


def stimuli_of(part: Part, pairing: Pairing) -> np.ndarray:
    """Return (M,) each row's index into the pairing's names, UNKNOWN where it names no picture,
    STRAY where one that is not there, which is refused in one's own table."""
    texts = part.texts["image"]
    find = partial(by_program, pairing) if part.partial else pairing.find
    try:
        stimulus = {text: find(text) for text in dict.fromkeys(texts) if text}
    except UsageError as error:
        raise UsageError(f"{part.path}: {error}") from None
    strays = [text for text, name in stimulus.items() if name is None]
    if strays:
        refuse_strays(part, pairing, strays, len(stimulus))
    index = {name: n for n, name in enumerate(pairing.names)} | {None: STRAY}
    index = {text: index[name] for text, name in stimulus.items()} | {"": UNKNOWN}
    return np.fromiter(map(index.__getitem__, texts), np.int64, len(texts))


def refuse_strays(part: Part, pairing: Pairing, strays: list[str], count: int) -> None:
    """Raise UsageError for texts that name no stimulus, where they are of one's own table or all
    of its `count` pictures; else say that they are left out."""
    first, near = printable(strays[0]), pairing.near(strays[0])
    if not part.partial:
        line = part.lines[part.texts["image"].index(strays[0])]
        raise UsageError(f"{part.path}: line {line}: image {first!r} is not in stimuli/{near}")
    if len(strays) == count:
        raise UsageError(
            f"{part.path}: none of its {count} pictures is in stimuli/, first {first!r}{near}"
        )
    said = "%s: %d pictures that are not in stimuli/ are left out, first '%s'"
    logging.warning(said, part.path, len(strays), first)


def by_program(pairing: Pairing, text: str) -> str | None:
    """Return the stimulus that a program's name means, whose folders may be left out here."""
    return pairing.meant(text) or pairing.meant(basename(text))


def sides_of(parts: list[Part], indices: list[np.ndarray], names: list[str]) -> dict[str, str]:
    """Return the side of each stimulus that a split column gives one; raise UsageError where it is
    none, or a stimulus has two."""
    sides: dict[str, str] = {}
    for part, index in zip(parts, indices, strict=True):
        pairs = zip(index.tolist(), part.texts.get("split", ()), strict=False)
        for n, text in dict.fromkeys(pair for pair in pairs if pair[0] >= 0 and pair[1]):
            side = CALLED.get(text.lower())
            if side is None:
                raise UsageError(
                    f"{part.path}: split is {printable(text)!r}, allowed are train, valid and test"
                )
            if sides.setdefault(names[n], side) != side:
                said = f"split of '{names[n]}' is {sides[names[n]]} and {side}"
                raise UsageError(f"{part.path}: {said}")
    return sides


def joined(parts: list[Part], indices: list[np.ndarray], pictures: list) -> dict[str, np.ndarray]:
    """Return the rows of all parts, texts numbered and coordinates in pixels of their pictures."""
    numbers = [in_pixels(part, n, pictures) for part, n in zip(parts, indices, strict=True)]
    rows = {name: np.concatenate([part[name] for part in numbers]) for name in numbers[0]}
    rows["n"] = np.concatenate(indices)
    rows["file"] = np.repeat(np.arange(len(parts)), [len(n) for n in indices])
    for name in ("subject", "trial"):
        if name in parts[0].texts:
            rows[name] = numbered([text for part in parts for text in part.texts[name]])
    return rows


def in_pixels(part: Part, n: np.ndarray, pictures: list) -> dict[str, np.ndarray]:
    """Return a part's numbers, with x and y in pixels of the pictures."""
    if part.to_pixels is None:
        return part.numbers
    sizes = np.full((len(pictures) + 1, 2), np.nan)  # the last is of rows of no picture
    for k in np.unique(n[n >= 0]):
        sizes[k] = shape(pictures[k])
    height, width = sizes[np.maximum(n, -1)].T
    x, y = part.to_pixels(part.numbers["x"], part.numbers["y"], width, height)
    return part.numbers | {"x": x, "y": y}


def numbered(texts: list[str]) -> np.ndarray:
    """Return (M,) int64: the numbers that texts are, or else their places in order of the alphabet;
    UNKNOWN where one is empty."""
    names = sorted({*texts} - {""})
    digits = all(WHOLE.fullmatch(name) for name in names)
    number = {name: int(name.partition(".")[0]) if digits else k for k, name in enumerate(names)}
    number[""] = UNKNOWN
    return np.fromiter(map(number.__getitem__, texts), np.int64, len(texts))


def complete(rows: dict[str, np.ndarray], where: Path) -> dict[str, np.ndarray]:
    """Return the rows that lack nothing; a column without any value is as if it were not there."""
    known = {name: given(column) for name, column in rows.items()}
    for name in ("t", "order", "subject", "trial"):
        if name in rows and not known[name].any() or name == "order" and "t" in rows:
            rows.pop(name, None)
    needed = [name for name in rows if name not in ("duration", "file")]
    ours, full = rows["n"] != STRAY, np.all([known[name] for name in needed], axis=0)
    lost = np.count_nonzero(ours) - np.count_nonzero(full)
    if lost:
        lacking = [name for name in needed if not known[name][ours].all()]
        lacking = " or ".join("image" if name == "n" else name for name in lacking)
        said = "%s: %d of %d rows have no %s (empty, NA, nan, null or '.') and are left out"
        logging.warning(said, where, lost, len(ours), lacking)
    return {name: column[full] for name, column in rows.items()}


def given(column: np.ndarray) -> np.ndarray:
    """Return (M,) bool: where there is a value."""
    return ~np.isnan(column) if column.dtype.kind == "f" else column >= 0
