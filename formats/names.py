"""Which stimulus a name means, however another system, program or person spelt it."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from posixpath import basename, splitext

from absl import logging

from errors import UsageError
from formats.layout import ENDINGS, below_stimuli

ENDED = re.compile(rf"(?<=[^/])({'|'.join(map(re.escape, sorted(ENDINGS)))})+$")


@lru_cache(1 << 17)
def key(name: str) -> str:
    """Return what all spellings of a stimulus' name have in common: the path below stimuli/, on
    any machine, in one case and one Unicode form, without endings and without zeros that lead
    a number (a spreadsheet makes 1 or 1.0 of 001)."""
    path = composed(below_stimuli(name.strip())).casefold().removeprefix("./")
    path = ENDED.sub("", re.sub(r"^(\d+)\.0$", r"\1", path))
    return re.sub(r"(?<!\d)0+(?=\d)", "", path)


def composed(text: str) -> str:
    """Return a text in the Unicode form in which an accent and its letter are one character."""
    return unicodedata.normalize("NFC", text)


def stem(name: str) -> str:
    """Return a path without its ending, after which results are called."""
    return splitext(name)[0]


def unique(names: Iterable[str], where: Path) -> None:
    """Raise UsageError where results would be called the same for two names."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(stem(name), name)
        if other != name:
            raise UsageError(f"{where}: '{other}' and '{name}' have one name; keep one of them")


class Pairing:
    """Stimuli by what their names mean."""

    def __init__(self, names: Iterable[str]):
        self.names = list(names)
        self.by_path, self.by_file = defaultdict(list), defaultdict(list)
        self.texts: dict[str, str] = {}  # the first that meant each stimulus
        for name in self.names:
            self.by_path[key(name)].append(name)
            self.by_file[basename(key(name))].append(name)

    def find(self, text: str) -> str | None:
        """Return the stimulus that a text means, None where it is none or could be several.

        Folders may be missing in front of either, as long as that leaves one stimulus.

        Raises:
            UsageError: another text, from another folder, meant the same stimulus.
        """
        name = self.meant(text)
        if name is not None:
            other = self.texts.setdefault(name, text)
            if key(other) != key(text):
                raise UsageError(f"'{other}' and '{text}' would both be the stimulus '{name}'")
        return name

    def meant(self, text: str) -> str | None:
        """Return the stimulus that a text means, whatever other texts meant."""
        path = key(text)
        names = self.by_path.get(path)
        if not names:
            same_file = self.by_file.get(basename(path), ())
            names = [name for name in same_file if nested(key(name), path)]
        if len(names) > 1:  # told apart by their zeros, case or ending
            spelt = composed(below_stimuli(text.strip()))
            exact = [name for name in names if composed(name) == spelt]
            names = exact or [name for name in names if stem(name) in (spelt, stem(spelt))]
        return names[0] if len(names) == 1 else None

    def near(self, text: str) -> str:
        """Return ` (did you mean ...?)` where names come close to a text, else nothing: those
        that are the same below some folder, else such as are spelt alike."""
        names = self.by_file.get(basename(key(text)))
        if not names:
            paths = get_close_matches(key(text), self.by_path, n=3)
            names = [name for path in paths for name in self.by_path[path]]
        return f" (did you mean {' or '.join(names[:3])}?)" if names else ""


def nested(path: str, other: str) -> bool:
    """Tell whether one of two paths is the end of the other."""
    return f"/{path}".endswith(f"/{other}") or f"/{other}".endswith(f"/{path}")


def matched(stimuli: Iterable[str], files: Collection[str], where: Path) -> dict[str, str]:
    """Return files by the stimulus that each is of; those of none are left out.

    What files have after their stimulus' name, such as `_fixMap`, is no part of it where one such
    ending serves all files or all stimuli.

    Raises:
        UsageError: two files are of one stimulus.
    """
    pairing, by_stimulus = Pairing(stimuli), {}
    meant = {file: pairing.meant(file) for file in files}
    meant |= without_ending(pairing, meant)
    for file, name in meant.items():
        other = by_stimulus.setdefault(name, file) if name else file
        if other != file:
            raise UsageError(f"{where}: '{other}' and '{file}' are of one stimulus, '{name}'")
    return by_stimulus


def without_ending(pairing: Pairing, meant: dict[str, str | None]) -> dict[str, str]:
    """Return the stimuli of the files that mean none yet, by the one ending that they all have."""
    strays = [file for file, name in meant.items() if name is None]
    lacking = len(pairing.names) - len({*meant.values()} - {None})
    by_ending: dict[str, dict[str, str]] = defaultdict(dict)  # ending -> file -> stimulus
    for file in strays if lacking else ():
        path = key(file)
        for sign in re.finditer(r"([^\w/]|_)(?=[^/]*$)", path):
            if name := pairing.meant(path[: sign.start()]):
                by_ending[path[sign.start() :]][file] = name
    enough = min(2, len(pairing.names))  # the one file cat_2 may as well be of another picture
    whole = [e for e, found in by_ending.items() if enough <= len(found) in (len(strays), lacking)]
    if len(whole) != 1:
        return {}
    ending, names = whole[0], by_ending[whole[0]]
    logging.info("%d files are called after their stimuli and '%s'", len(names), ending)
    return names
