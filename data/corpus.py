"""Corpus: registration, contract checks, presence on disk."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import storage
from data.given import Own
from data.splits import Split
from errors import UsageError, near
from formats.hdf5 import Stored
from formats.layout import DRAWN, TOPS, TRUTHS, Files, below, canonical_files, ending, listing
from formats.pictures.decode import Picture
from formats.stimuli import Listed, read_stimuli

MODULES = Path(__file__).parent
LIST = "stimuli.hdf5"


class Assumed(float):
    """A sigma that no publication gives: shipped maps are preferred to a blur by it."""


@dataclass(frozen=True)
class Source:
    """An archive of a corpus' authors.

    url: where it is, None where the user must have it; take: which members go to which folder
    (see download.unpack.placing); name: its file name, by default the last part of the url;
    md5: its checksum where known; members: checksums of files in it, by where they are put;
    read: makes Fixations of the authors' files in it (see formats.authors).
    """

    url: str | None
    take: Mapping[str, str]
    name: str = ""
    md5: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)
    read: Callable | None = field(default=None, compare=False)

    def __post_init__(self):
        last = PurePosixPath(urlsplit(self.url or "").path).name
        object.__setattr__(self, "name", self.name or last)


class Corpus:
    """Pictures with fixations: a subclass describes one corpus, and defining it registers it.

    size: input height and width of the models, multiples of 8; split: one of data.splits; sigma: of
    the Gaussian that makes a density of fixations, in pixels of the stimuli, about one degree of
    visual angle; initial: the corpus whose weights it starts from; sources: the authors'
    archives; skip: names of folders and files that are no part of it.
    An instance is the corpus as it lies in a folder, which is never written to; its `address` is
    what -d takes for it. Corpora of one name are one, wherever they lie; folders without a class
    (`own`) where they have pictures in common, too.
    """

    registry: dict[str, type["Corpus"]] = {}
    size: tuple[int, int]
    split: Split
    sigma: float
    initial: str | None = None
    sources: tuple[Source, ...] = ()
    skip: tuple[str, ...] = ()
    own = False

    def __init_subclass__(cls, register: bool = True, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.name = cls.__name__.lower()
        if register:
            for fault in faults(cls):
                raise UsageError(f"corpus class {cls.__name__}: {fault}")
            cls.registry[cls.name] = cls

    def __init__(self, folder: Path, address: str | None = None):
        self.folder = folder
        self.address = address or self.name
        self.files, stimuli = self.contents(folder)
        self.stimuli = dict(stimuli)
        if not self.stimuli:
            missing = [each.name for each in self.listed(self.files)]
            first = f", where '{LIST}' has '{missing[0]}'" if missing else ""
            raise UsageError(f"{folder}: no pictures in stimuli/{first}, found {listing(folder)}")

    @classmethod
    def contents(cls, folder: Path) -> tuple[Files, Mapping[str, Picture]]:
        """Return canonical path -> file of all that is in a folder, and the sorted stimuli's place.

        Pictures in memory, that is in stimuli.hdf5, are then all of the stimuli.

        Raises:
            UsageError: it is in an object store, and not all of it got there.
        """
        if storage.is_remote(folder) and upload_marker(folder).exists():
            raise UsageError(
                f"{folder}: not all of it is there, its upload was cut off; go on: python main.py "
                f"download -d {cls.name} -p {folder.parent}"
            )
        files = canonical_files(folder, cls.take(), cls.skip)
        here = below(files, "stimuli", pictures=True)
        there = {each.name: each.source for each in cls.listed(files) if each.source}
        if not there:
            return files, here
        if not any(isinstance(source, Stored) for source in there.values()):
            there = {**here, **there}
        return files, dict(sorted(there.items()))

    @classmethod
    def listed(cls, files: Mapping[str, Path]) -> list[Listed]:
        """Return the stimuli that a stimuli.hdf5 lists, in its order."""
        if LIST not in files:
            return []
        return read_stimuli(files[LIST], below(files, "stimuli", pictures=True))

    @classmethod
    def take(cls) -> dict[str, str]:
        """Return the patterns of all sources together."""
        return {pattern: to for source in cls.sources for pattern, to in source.take.items()}

    @classmethod
    def read(cls, files: Mapping[str, Path], stimuli: Mapping[str, Path]):
        """Return the Fixations in the authors' own files, None where there are no such files."""
        reader = next((source.read for source in cls.sources if source.read), None)
        records = {n: p for n, p in below(files, "fixations").items() if ending(n) not in DRAWN}
        return reader(records, stimuli) if reader and records else None

    @classmethod
    def locate(cls, root: Path) -> Path | None:
        """Return the corpus' folder below `root`, in any spelling of its name, or None."""
        folders = root.iterdir() if root.is_dir() else ()
        folders = [p for p in folders if plain(p.name) == plain(cls.name) and p.is_dir()]
        return min(folders, key=lambda p: (p.name != cls.name, p.name), default=None)


class OwnFolder(Corpus, register=False):
    """A folder of one's own, without a class: stimuli/ and their truth, split as it says."""

    size = (240, 320)
    split = Own()
    sigma = Assumed(24)
    own = True

    def __init__(self, folder: Path, address: str | None = None):
        self.name = folder.resolve().name.lower()
        if not any(path.name.lower() in ("stimuli", LIST) for path in folder.iterdir()):
            raise UsageError(f"{folder}: no folder stimuli/ in it, found {listing(folder)}")
        super().__init__(folder, address or str(folder.resolve()))


def upload_marker(folder: Path) -> Path:
    """Return what lies beside a folder in an object store until all of the folder is there."""
    return folder.with_name(f".{folder.name}.part")


def faults(cls: type[Corpus]) -> Iterator[str]:
    """Yield what keeps a class from describing a corpus; a later one may rest on those before."""
    if not cls.__doc__:
        yield "needs a docstring that says what it is, and its reference"
    for name in ("size", "split", "sigma"):
        if not hasattr(cls, name):
            yield f"lacks {name}; it needs size, split and sigma"
    if not is_size(cls.size):
        yield f"size {cls.size!r} must be (height, width), multiples of 8"
    if not isinstance(cls.split, Split):
        yield f"split {cls.split!r} must be one of data.splits, such as Shuffled(80, 20)"
    if not (isinstance(cls.sigma, int | float) and cls.sigma > 0):
        yield f"sigma {cls.sigma!r} must be above 0, in pixels of the stimuli"
    for name, kind in (("sources", Source), ("skip", str)):
        value = getattr(cls, name)
        if not (isinstance(value, tuple) and all(isinstance(item, kind) for item in value)):
            yield f"{name} must be a tuple of {kind.__name__}, such as ({kind.__name__}(...),)"
    for to in cls.take().values():
        if to.split("/")[0] not in TOPS:
            yield f"a source puts files into {to!r}; it must be one of {', '.join(TOPS)}"
    if (MODULES / f"{cls.name}.py").exists():
        yield f"{cls.name} is a module's name; call it something else"
    if registered(cls.name):
        yield f"there is a corpus {registered(cls.name).name} already"


def is_size(value) -> bool:
    """Return whether a value is a height and a width that models take."""
    pair = isinstance(value, tuple) and len(value) == 2
    return pair and all(isinstance(side, int) and side > 0 and side % 8 == 0 for side in value)


def plain(name: str) -> str:
    """Return a name without case and hyphens: papers and folders spell a corpus in many ways."""
    return re.sub("[-_ ]", "", name.lower())


def registered(name: str) -> type[Corpus] | None:
    """Return the class of a corpus' name in any spelling, or None."""
    return next((c for c in Corpus.registry.values() if plain(c.name) == plain(name)), None)


def find(name: str) -> type[Corpus]:
    """Return the class of a corpus' name; raise UsageError, with near matches, where none is."""
    corpus = registered(name)
    if corpus is None:
        names = sorted(Corpus.registry)
        raise UsageError(
            f"-d {name}: no such corpus or folder{near(name, names)}; corpora: {', '.join(names)}; "
            "for a class of one's own: --corpora FILE.py"
        )
    return corpus


def in_folder(name: str) -> Path | None:
    """Return the folder that -d gave the path of, or None where it named a corpus."""
    path = storage.path(name)
    return path if name and registered(name) is None and path.is_dir() else None


def corpus_name(name: str) -> str:
    """Return a registered corpus' name, or that of a folder of one's own, from what -d took."""
    folder = in_folder(name)
    if folder is None:
        return find(name).name
    last = folder.resolve().name
    return getattr(registered(last), "name", last.lower())


def has_stimuli(name: str, root: Path) -> bool:
    """Return whether the corpus of that name lies below `root`, with stimuli."""
    corpus = registered(name)
    folder = corpus and corpus.locate(root)
    return bool(folder and corpus.contents(folder)[1])


def open_corpus(name: str, root: Path) -> Corpus:
    """Return the corpus of that name below `root`, or in the folder that `name` is the path of.

    Raises:
        UsageError: neither exists; says what does, or how to get it.
    """
    folder = in_folder(name)
    if folder is not None:
        return (registered(folder.resolve().name) or OwnFolder)(folder, str(folder.resolve()))
    corpus = find(name)
    folder = corpus.locate(root)
    if folder is None:
        raise UsageError(
            f"{corpus.name} is not in {root}; get it: python main.py download -d {corpus.name}, "
            "or name another root with -p"
        )
    return corpus(folder)


def inventory(root: Path) -> list[str]:
    """Return two lines a registered corpus: what it is, and what of it lies below `root`."""
    lines = []
    for name, corpus in sorted(Corpus.registry.items()):
        lines += [f"{name}: {corpus.__doc__.splitlines()[0]}", f"    {presence(corpus, root)}"]
    return lines


def presence(corpus: type[Corpus], root: Path) -> str:
    """Return words on what of a corpus lies below `root`."""
    folder = corpus.locate(root)
    if folder is None:
        return "not there"
    try:
        files, stimuli = corpus.contents(folder)
    except UsageError as error:
        return str(error)
    truths = [truth for truth in TRUTHS if any(name.startswith(truth) for name in files)]
    count = f"{len(stimuli)} of {corpus.split.count}" if corpus.split.count else len(stimuli)
    return f"{folder}: {count} stimuli, {', '.join(truths) or 'no truth'}"
