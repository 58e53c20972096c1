"""What a class says to describe a corpus, and what is wrong with one that does not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from data.splits import Split
from formats.layout import TOPS

MODULES = Path(__file__).parent


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


def faults(cls: type, namesake: type | None) -> Iterator[str]:
    """Yield what keeps a class from describing a corpus; a later one may rest on those before.

    Args:
        namesake: the class that is registered under its name, if any.
    """
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
    if namesake:
        yield f"there is a corpus {namesake.name} already"


def is_size(value) -> bool:
    """Return whether a value is a height and a width that models take."""
    pair = isinstance(value, tuple) and len(value) == 2
    return pair and all(isinstance(side, int) and side > 0 and side % 8 == 0 for side in value)
