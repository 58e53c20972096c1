"""One's own tables of fixations, and the exports of trackers -> Fixations and split."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from absl import logging

from errors import UsageError, printable
from formats.fixations import UNKNOWN, Fixations
from formats.layout import TABLES, below
from formats.names import Pairing, stem
from formats.pictures.decode import shape
from formats.text import columns, json_scanpaths
from formats.text.columns import Part
from formats.text.exports import CALLED, SPLIT_FILE
from formats.text.viewings import in_scanpaths

STRAY = -2
WHOLE = re.compile(r"\d{1,18}(\.0+)?", re.ASCII)  # a spreadsheet may make 1.0 of 1
TEXTS = (".txt", ".xls")


class Table(NamedTuple):
    """fixations: `n` indexes the sorted stimuli; sides: "train", "valid" or "test" of the stimuli
    that a column `split` has one of; fitted: coordinates were told as parts of the pictures, and
    are in pixels of those that are there."""

    fixations: Fixations
    sides: Mapping[str, str] = MappingProxyType({})
    fitted: bool = False


def tables_of(files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Return the tables among a corpus' files: one beside stimuli/, or those in fixations/.

    Raises:
        UsageError: there are several of which only one can be meant.
    """
    top = {name: files[name] for name in files if "/" not in name and stem(name) == "fixations"}
    top = {name: path for name, path in top.items() if path.suffix.lower() in TABLES}
    beside = below(files, "fixations")
    inside = {name: path for name, path in beside.items() if path.suffix.lower() in TABLES}
    if len(inside) < len(beside):  # texts beside pictures and .mat are about those
        inside = {n: path for n, path in inside.items() if path.suffix.lower() not in TEXTS}
    inside = {f"fixations/{n}": p for n, p in inside.items() if p.stem.lower() != "readme"}
    found = [*top, *(["fixations/"] if inside else [])]
    if len(found) > 1:
        raise UsageError(f"{folder}: fixations in {' and in '.join(found)}; keep one of them")
    return top or inside


def read(files: Mapping[str, Path], stimuli: Mapping[str, Path]) -> Table:
    """Return the fixations of tables by their canonical names.

    Columns are image (in fixations/ the file's name, where there is none), x and y in pixels from
    0, and where they are known subject, t and duration in seconds, order, trial and split, by
    their usual names (`exports.OWN`); or those of a program that is known by its own.

    The rows of one image, subject and trial are a scanpath in order of t, else of `order`, else of
    the file. Without trial a fall of t to where viewings begin begins another one.

    Raises:
        UsageError: one is no such table, or what it says is ambiguous; names file and line.
    """
    names = sorted(stimuli)
    pairing = Pairing(names)
    places = {name: n for n, name in enumerate(names)}
    parts = [part_of(name, path) for name, path in files.items()]
    alike(parts)
    notices(parts)
    found = [indices(part, pairing, places) for part in parts]
    sides = sides_of(parts, found, names)
    rows = joined(parts, found, [stimuli[name] for name in names])
    where = parts[0].path if len(parts) == 1 else parts[0].path.parent
    fitted = all(part.place for part in parts)
    return Table(in_scanpaths(complete(rows, where), where), sides, fitted)


def read_sides(path: Path, stimuli: Iterable[str]) -> dict[str, str]:
    """Return the sides of a split.csv, with columns image and split; raises UsageError."""
    names = sorted(stimuli)
    part = columns.read(path, layouts=(SPLIT_FILE,))
    places = {name: n for n, name in enumerate(names)}
    return sides_of([part], [indices(part, Pairing(names), places)], names)


def part_of(name: str, path: Path) -> Part:
    """Return what one file says; in fixations/ its name may be the picture's."""
    if path.suffix.lower() == ".json":
        return json_scanpaths.read(path)
    return columns.read(path, stem(name.partition("/")[2]) if "/" in name else "")


def alike(parts: list[Part]) -> None:
    """Raises UsageError where tables that belong together have not the same columns and units."""
    for part in parts:
        if (part.place is None) != (parts[0].place is None):
            raise UsageError(f"{part.path}: x and y in another unit than in {parts[0].path.name}")
        for one, other in ((part, parts[0]), (parts[0], part)):
            lacking = [name for name in one.texts | one.numbers if name not in fields_of(other)]
            if lacking:
                raise UsageError(
                    f"{other.path}: no column {lacking[0]}, but {one.path.name} has one"
                )


def fields_of(part: Part) -> set[str]:
    return {*part.texts, *part.numbers}


def notices(parts: list[Part]) -> None:
    """Log what each table says of itself, once for all that say the same."""
    first: dict[str, Path] = {}
    for part in parts:
        for said in part.said:
            first.setdefault(said, part.path)
    count = Counter(said for part in parts for said in part.said)
    for said, path in first.items():
        more = f" (and {count[said] - 1} more)" if count[said] > 1 else ""
        logging.info("%s%s: %s", path, more, said)


def indices(part: Part, pairing: Pairing, places: Mapping[str, int]) -> np.ndarray:
    """Return (M,) which stimulus each row is of, UNKNOWN where it says none, STRAY where another.

    Raises:
        UsageError: a row of one's own table is of a picture that is not there.
    """
    texts = part.texts["image"]
    find = partial(by_program, pairing) if part.strays else pairing.find
    try:
        meant = {text: find(text) for text in dict.fromkeys(texts) if text}
    except UsageError as error:
        raise UsageError(f"{part.path}: {error}") from None
    strays = {text: 0 for text, name in meant.items() if name is None}
    if strays and not part.strays:
        k = next(k for k, text in enumerate(texts) if text in strays)
        raise UsageError(
            f"{part.path}: line {part.lines[k]}: image {printable(texts[k])!r} is not in stimuli/"
            f"{pairing.near(texts[k])}"
        )
    if strays and len(strays) == len(meant):
        raise UsageError(
            f"{part.path}: none of its {len(meant)} pictures is in stimuli/, first "
            f"{printable(min(strays))!r}{pairing.near(min(strays))}"
        )
    if strays:
        said = "%s: %d pictures that are not in stimuli/ are left out, first '%s'"
        logging.warning(said, part.path, len(strays), printable(min(strays)))
    index = {text: places.get(name, STRAY) for text, name in meant.items()} | {"": UNKNOWN}
    return np.fromiter(map(index.__getitem__, texts), np.int64, len(texts))


def by_program(pairing: Pairing, text: str) -> str | None:
    """Return the stimulus that a program's name means, whose folders one may have left out."""
    return pairing.meant(text) or pairing.meant(text.rpartition("/")[2])


def sides_of(parts: list[Part], found: list[np.ndarray], names: list[str]) -> dict[str, str]:
    """Return the side of each stimulus that a split column gives one.

    Raises:
        UsageError: a value that is none, or two of one stimulus.
    """
    sides: dict[str, str] = {}
    for part, index in zip(parts, found, strict=True):
        pairs = dict.fromkeys(zip(index.tolist(), part.texts.get("split", ()), strict=False))
        for n, text in pairs:
            if n < 0 or not text:
                continue
            side = CALLED.get(text.lower())
            if side is None:
                raise UsageError(
                    f"{part.path}: split is {printable(text)!r}, allowed are train, valid and test"
                )
            if sides.setdefault(names[n], side) != side:
                raise UsageError(
                    f"{part.path}: split of '{names[n]}' is {sides[names[n]]} and {side}"
                )
    return sides


def joined(parts: list[Part], found: list[np.ndarray], pictures: list) -> dict[str, np.ndarray]:
    """Return the rows of all parts, texts numbered and coordinates in pixels of their pictures."""
    placed = [in_pixels(part, n, pictures) for part, n in zip(parts, found, strict=True)]
    rows = {name: np.concatenate([one[name] for one in placed]) for name in placed[0]}
    rows["n"] = np.concatenate(found)
    rows["file"] = np.repeat(np.arange(len(parts)), [len(n) for n in found])
    for name in ("subject", "trial"):
        if name in parts[0].texts:
            rows[name] = numbered([text for part in parts for text in part.texts[name]])
    return rows


def in_pixels(part: Part, n: np.ndarray, pictures: list) -> dict[str, np.ndarray]:
    """Return a part's numbers, with x and y in pixels of the pictures."""
    if part.place is None:
        return part.numbers
    sizes = np.full((len(pictures) + 1, 2), np.nan)  # the last is of rows of no picture
    for k in np.unique(n[n >= 0]):
        sizes[k] = shape(pictures[k])
    height, width = sizes[np.maximum(n, -1)].T
    x, y = part.place(part.numbers["x"], part.numbers["y"], width, height)
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
    rows = {
        name: column
        for name, column in rows.items()
        if name not in ("t", "order", "subject", "trial") or given(column).any()
    }
    if "t" in rows:
        rows.pop("order", None)
    ours = rows["n"] != STRAY
    full = ours.copy()
    needed = [name for name in rows if name not in ("duration", "file")]
    for name in needed:
        full &= given(rows[name])
    lost = np.count_nonzero(ours) - np.count_nonzero(full)
    if lost:
        lacking = [name for name in needed if not given(rows[name])[ours].all()]
        lacking = " or ".join("image" if name == "n" else name for name in lacking)
        said = "%s: %d of %d rows have no %s (empty, NA, nan, null or '.') and are left out"
        logging.warning(said, where, lost, len(ours), lacking)
    return {name: column[full] for name, column in rows.items()}


def given(column: np.ndarray) -> np.ndarray:
    """Return (M,) bool: where there is a value."""
    return ~np.isnan(column) if column.dtype.kind == "f" else column >= 0
