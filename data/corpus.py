"""Corpus: registration, contract checks, layout on disk, pairing of files, split."""

import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from config import UsageError, near
from download.unpack import place

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".webp", ".tif", ".tiff"}
TOPS = ("stimuli", "fixations", "saliency", "truth")
TRUTHS = ("fixations.hdf5", "fixations.csv", "fixations/", "saliency/")


class Assumed(float):
    """A sigma that no publication gives: shipped maps are preferred to a blur by it."""


@dataclass(frozen=True)
class Source:
    """An archive of a corpus' authors.

    url: where it is, None where the user must have it; take: which members go to which folder
    (see download.unpack.place); name: its file name, by default the last part of the url;
    md5: its checksum where known; members: checksums of files in it, by where they are put;
    read: makes Fixations of the authors' files in it (see data.authors).
    """

    url: str | None
    take: Mapping[str, str]
    name: str = ""
    md5: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)
    read: Callable | None = field(default=None, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "name", self.name or PurePosixPath(self.url or "").name)


class Split:
    """How a corpus' names divide into training and validation; `train` and `valid` count them."""

    train: int
    valid: int

    def __call__(self, names: Sequence[str], partial: bool) -> tuple[list[str], list[str]]:
        """Training and validation names; with `partial` at the split's ratio, of what is there.

        Raises:
            UsageError: not as many names as the corpus has.
        """
        if not partial and len(names) != self.count:
            raise UsageError(
                f"{len(names)} stimuli with truth, {self.count} expected ({self.train} train, "
                f"{self.valid} valid); --partial trains on what is there, keeping the ratio"
            )
        parts = self.divide(list(names))
        if not all(parts):
            raise UsageError(
                f"{len(parts[0])} stimuli to train and {len(parts[1])} to validate; each needs one"
            )
        return parts

    @property
    def count(self) -> int:
        """How many names the whole corpus has."""
        return self.train + self.valid

    def share(self, count: int) -> int:
        """How many of `count` names train, at least one being left for each side."""
        return min(max(round(count * self.train / self.count), 1), count - 1)


@dataclass(frozen=True)
class Shuffled(Split):
    """Names sorted, indices shuffled by seed 42, the first ones train [Kroner et al., 2020]."""

    train: int
    valid: int

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        order = np.arange(len(names))
        np.random.RandomState(42).shuffle(order)
        first = self.share(len(names))
        return [names[i] for i in order[:first]], [names[i] for i in order[first:]]


@dataclass(frozen=True)
class PerFolder(Split):
    """One shuffle of a folder's names, used again in each folder (CAT2000's categories)."""

    train: int
    valid: int

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        folders: dict[str, list[str]] = {}
        for name in names:
            folders.setdefault(str(PurePosixPath(name).parent), []).append(name)
        same = Shuffled(self.train, self.valid)
        parts = [same.divide(folders[folder]) for folder in sorted(folders)]
        return [n for train, _ in parts for n in train], [n for _, valid in parts for n in valid]


@dataclass(frozen=True)
class Folders(Split):
    """The authors' own: stimuli/train and stimuli/val."""

    train: int
    valid: int

    def divide(self, names: list[str]) -> tuple[list[str], list[str]]:
        return (
            [name for name in names if name.startswith("train/")],
            [name for name in names if name.startswith("val/")],
        )


@dataclass(frozen=True)
class Ratio(Shuffled):
    """A shuffle of however many names there are, `train` of them to `valid`."""

    def __call__(self, names: Sequence[str], partial: bool) -> tuple[list[str], list[str]]:
        return super().__call__(names, partial=True)


class Corpus:
    """Pictures with fixations: a subclass describes one corpus, and defining it registers it.

    size: input height and width of the models, multiples of 8; split: a Shuffled, PerFolder,
    Folders or Ratio; sigma: of the Gaussian that makes a density of fixations, in pixels of the stimuli,
    about one degree of visual angle; initial: the corpus whose weights it starts from;
    sources: the authors' archives; skip: names of folders and files that are no part of it.
    An instance is the corpus as it lies in a folder, which is never written to; its `reference`
    is what -d takes for it.
    """

    registry: dict[str, type["Corpus"]] = {}
    size: tuple[int, int]
    split: Split
    sigma: float
    initial: str | None = None
    sources: tuple[Source, ...] = ()
    skip: tuple[str, ...] = ()

    def __init_subclass__(cls, register: bool = True, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.name = cls.__name__.lower()
        if register:
            check_contract(cls)
            cls.registry[cls.name] = cls

    def __init__(self, folder: Path):
        self.folder = folder
        self.reference = self.name
        self.files, self.stimuli = self.contents(folder)
        if not self.stimuli:
            raise UsageError(f"{folder}: no pictures in stimuli/, found {listing(folder)}")

    @classmethod
    def contents(cls, folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
        """Canonical path -> file of all that is in a folder, and of its stimuli alone."""
        files = canonical_files(folder, cls.take(), cls.skip)
        return files, below(files, "stimuli", pictures=True)

    @classmethod
    def take(cls) -> dict[str, str]:
        """The patterns of all sources together."""
        return {pattern: to for source in cls.sources for pattern, to in source.take.items()}

    @classmethod
    def locate(cls, root: Path) -> Path | None:
        """The corpus' folder below `root`, in any case of letters, or None."""
        if not root.is_dir():
            return None
        return next((p for p in sorted(root.iterdir()) if p.name.lower() == cls.name), None)

    @classmethod
    def key(cls, name: str) -> str:
        """What pairs a file with its stimulus: its path without ending and authors' suffix."""
        stem = str(PurePosixPath(name).with_suffix(""))
        return re.sub("|".join(suffixes(cls.take())) or "$^", "", stem)


class OwnFolder(Corpus, register=False):
    """A folder of one's own, without a class: stimuli/ and their truth, split 80 to 20."""

    size = (240, 320)
    split = Ratio(4, 1)
    sigma = Assumed(24)

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.name = folder.resolve().name.lower()
        self.reference = str(folder)


def check_contract(cls: type[Corpus]) -> None:
    """Raises UsageError, naming what is wrong, where a class does not describe a corpus."""
    wrong = f"corpus class {cls.__name__}"
    if not cls.__doc__ or cls.__doc__ is Corpus.__doc__:
        raise UsageError(f"{wrong}: needs a docstring that says what it is, and its reference")
    for name in ("size", "split", "sigma"):
        if not hasattr(cls, name):
            raise UsageError(f"{wrong}: lacks {name!r}; it needs size, split and sigma")
    if len(cls.size) != 2 or any(side <= 0 or side % 8 for side in cls.size):
        raise UsageError(f"{wrong}: size {cls.size} must be height and width, multiples of 8")
    if not cls.sigma > 0:
        raise UsageError(f"{wrong}: sigma {cls.sigma} must be above 0, in pixels of the stimuli")
    if importlib.util.find_spec(f"data.{cls.name}"):
        raise UsageError(f"{wrong}: {cls.name} is a module's name; call it something else")
    if cls.name in cls.registry:
        raise UsageError(f"{wrong}: there is a corpus {cls.name} already")


def find(name: str) -> type[Corpus]:
    """The registered class of a corpus' name, in any case of letters."""
    try:
        return Corpus.registry[name.lower()]
    except KeyError:
        known = sorted(Corpus.registry)
        raise UsageError(
            f"-d {name}: no such corpus or folder{near(name, known)}; corpora: {', '.join(known)}"
        ) from None


def corpus_name(name: str) -> str:
    """A registered corpus' name, or that of a folder of one's own, from what -d was given."""
    if name.lower() not in Corpus.registry and Path(name).is_dir():
        return Path(name).resolve().name.lower()
    return find(name).name


def listed(name: str, root: Path) -> bool:
    """Whether the corpus of that name lies below `root`, with stimuli."""
    corpus = Corpus.registry.get(name.lower())
    folder = corpus and corpus.locate(root)
    return bool(folder) and bool(corpus.contents(folder)[1])


def open_corpus(name: str, root: Path) -> Corpus:
    """The corpus of that name below `root`, or the one in the folder that `name` is the path of.

    Raises:
        UsageError: neither exists; says what does, or how to get it.
    """
    path = Path(name)
    if name.lower() not in Corpus.registry and path.is_dir():
        return Corpus.registry.get(corpus_name(name), OwnFolder)(path)
    corpus = find(name)
    folder = corpus.locate(root)
    if folder is None:
        raise UsageError(
            f"{corpus.name} is not in {root}; get it: python main.py download -d {corpus.name}, "
            "or name another root with -p"
        )
    return corpus(folder)


def inventory(root: Path) -> list[str]:
    """Two lines for each registered corpus: what it is, and what of it lies below `root`."""
    lines = []
    for name, corpus in sorted(Corpus.registry.items()):
        folder = corpus.locate(root)
        lines.append(f"{name}: {corpus.__doc__.splitlines()[0]}")
        if folder is None:
            lines.append("    not there")
            continue
        files, stimuli = corpus.contents(folder)
        truth = [t for t in TRUTHS if any(name.startswith(t) for name in files)]
        found = f"{len(stimuli)} of {corpus.split.count} stimuli, {', '.join(truth) or 'no truth'}"
        lines.append(f"    {folder}: {found}")
    return lines


def canonical_files(folder: Path, take: Mapping[str, str], skip=()) -> dict[str, Path]:
    """Canonical path -> file, of a corpus as it lies: as `download` leaves it or by hand.

    A file in one of the folders of our own layout is where it belongs, in any case of letters;
    any other goes where the authors' patterns put it, as if it came out of their archive.
    """
    found: dict[str, Path] = {}
    for path in walk(folder, skip):
        name = canonical(path.relative_to(folder).as_posix(), take)
        if name in found and name.startswith(("stimuli/", "saliency/")):
            raise UsageError(f"{folder}: {found[name]} and {path} are both {name}; keep one")
        if name:
            found[name] = path
    return found


def walk(folder: Path, skip=()):
    """All files below a folder, sorted, without hidden ones and those named in `skip`."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if f not in skip and not f.startswith("."))
        yield from (
            Path(parent, name)
            for name in sorted(names)
            if name not in skip and not name.startswith(".") and name != "Thumbs.db"
        )


def canonical(member: str, take: Mapping[str, str]) -> str | None:
    """Where a file of a corpus' folder belongs in our layout, or None where nowhere."""
    top, _, rest = member.partition("/")
    taken = place(member, take)
    if not rest:
        ours = member.lower().endswith((".hdf5", ".csv"))
        return taken or (member.lower() if ours else None)
    own = top.lower() in TOPS
    if own and (taken is None or not taken.startswith(top.lower() + "/")):
        return f"{top.lower()}/{rest}"
    return taken


def suffixes(take: Mapping[str, str]) -> list[str]:
    """Patterns for the endings that authors give to maps: `*_fixMap.jpg` gives `_fixMap$`."""
    stems = (PurePosixPath(pattern).stem for pattern in take)
    return [re.escape(stem[1:]) + "$" for stem in stems if stem.startswith("*") and stem[1:]]


def below(files: Mapping[str, Path], top: str, *, pictures=False) -> dict[str, Path]:
    """The files of one folder, by their path below it, sorted."""
    inside = {name[len(top) + 1 :]: p for name, p in files.items() if name.startswith(top + "/")}
    kept = {n: p for n, p in inside.items() if not pictures or p.suffix.lower() in PICTURES}
    return dict(sorted(kept.items()))


def listing(folder: Path) -> str:
    """The first few names in a folder, for an error."""
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
