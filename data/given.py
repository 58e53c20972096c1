"""The split that the owner of a corpus gives in its folder: lists, folders, a column."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from absl import logging

from data.splits import SIDES, Given, Hashed, Split
from errors import UsageError
from formats.hdf5 import printable
from formats.names import Pairing, stem
from formats.text.exports import CALLED
from formats.text.tables import read_sides

LISTS = {f"{word}.txt" for word in CALLED}


class Found(NamedTuple):
    """What of a corpus' folder may say how it is split: its files and its stimuli by name, and the
    sides in the table of its fixations; `partial`: names of pictures that are not there are left
    out."""

    files: Mapping[str, Path]
    stimuli: Collection[str]
    column: Mapping[str, str]
    partial: bool


@dataclass(frozen=True)
class Listed(Split):
    """Lists of names, one a line, in the corpus' folder."""

    train: str = "train.txt"
    valid: str = "val.txt"
    test: str | None = None

    def of(self, found: Found) -> Split:
        lists = {getattr(self, side): side for side in SIDES if getattr(self, side)}
        missing = [name for name in lists if name not in found.files]
        if missing:
            raise UsageError(f"no {missing[0]}, which lists pictures of its split")
        return listed(found, lists)


class Own(Split):
    """What the owner of a folder says in it, in whatever usual way, else a fifth by hash."""

    def of(self, found: Found) -> Split:
        """Return the split that the folder gives; each side is what the first way to give it says.

        Raises:
            UsageError: two ways to give it contradict each other; names of no stimulus.
        """
        splits = given_in(found)
        if not splits:
            unread = [name for name in found.files if stem(name) in CALLED]
            if unread:
                said = "%s is not read: lists of a split are train.txt, val.txt and test.txt"
                logging.warning(said, unread[0])
            return Hashed()
        sides, origins = {}, []
        for split in splits:
            taken = {*sides.values()}
            more = {name: side for name, side in split.sides.items() if side not in taken}
            sides |= more
            origins += [split.origin] if more else []
        return Given(sides, " and ".join(origins))


def given_in(found: Found) -> list[Given]:
    """Return the splits that a folder gives in the usual ways, the first to be obeyed first.

    Raises:
        UsageError: two contradict each other.
    """
    lists = {name: CALLED[stem(name)] for name in found.files if name in LISTS}
    splits = [Given(found.column, "the column split of its table")] if found.column else []
    if "split.csv" in found.files:
        splits.append(Given(read_sides(found.files["split.csv"], found.stimuli), "split.csv"))
    splits += [listed(found, lists)] if lists else []
    splits += filter(None, [in_folders(found.stimuli)])
    for first, second in combinations(splits, 2):
        for name, side in sorted(first.sides.items()):
            if second.sides.get(name, side) != side:
                raise UsageError(
                    f"'{name}' is to {side} by {first.origin}, to "
                    f"{second.sides[name]} by {second.origin}; keep one"
                )
    return splits


def in_folders(names: Iterable[str]) -> Given | None:
    """Return the split by stimuli/train, stimuli/val and stimuli/test, where there are two of
    them: one alone may be of pictures of trains."""
    folders = {name: name.partition("/")[0] for name in names if "/" in name}
    folders = {name: folder for name, folder in folders.items() if folder.lower() in CALLED}
    sides = {name: CALLED[folder.lower()] for name, folder in folders.items()}
    if len({*sides.values()}) < 2:
        return None
    return Given(sides, f"the folders {', '.join(sorted({*folders.values()}))} in stimuli")


def listed(found: Found, lists: Mapping[str, str]) -> Given:
    """Return the split that text files give, a stimulus a line; `lists`: the side of each file.

    Raises:
        UsageError: one cannot be read, names what is no stimulus, or two name the same one.
    """
    sides, pairing, origin = {}, Pairing(found.stimuli), " and ".join(lists)
    for file, side in lists.items():
        for name in read_list(found.files[file], pairing, found.partial or side == "test"):
            if sides.setdefault(name, side) != side:
                raise UsageError(f"'{name}' is in two of {origin}")
    return Given(sides, origin)


def read_list(path: Path, pairing: Pairing, partial: bool = False) -> list[str]:
    """Return the stimuli that a file names, one a line, in its order.

    Raises:
        UsageError: it cannot be read, or names what is no stimulus; with `partial` those are left
            out and counted, if there are others.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a readable list of names ({error})") from None
    wanted = {line: pairing.find(line) for line in lines if line.strip()}
    unknown = [line for line, name in wanted.items() if name is None]
    if unknown:
        said = f"{path}: {len(unknown)} of its {len(wanted)} names are of no stimulus, first "
        said += f"'{printable(unknown[0])}'{pairing.near(unknown[0])}"
        if not partial or len(unknown) == len(wanted):
            raise UsageError(f"{said}; allowed are such as '{min(pairing.names)}'")
        logging.warning("%s; left out", said)
    return list(dict.fromkeys(name for name in wanted.values() if name))
