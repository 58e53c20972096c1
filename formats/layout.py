"""Where the files of a corpus' folder belong: as `download` leaves them, or unpacked by hand."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from posixpath import splitext

import storage
from download.unpack import placing
from errors import UsageError

PICTURES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp"}
PICTURES |= {".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".avif", ".mpo"}
TABLES = {".csv", ".tsv", ".txt", ".xls", ".json"}  # .xls of EyeLink, which is text
NOTES = {".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".html", ".pdf", ".ini", ".log", ".db"}
DRAWN = PICTURES | {".npy"}  # of maps and points
ENDINGS = DRAWN | TABLES | {".mat", ".hdf5"}  # of files in a corpus, never of folders
STIMULI = "stimuli/"
TOPS = ("stimuli", "fixations", "saliency", "truth")
TRUTHS = ("fixations.hdf5", *(f"fixations{ending}" for ending in sorted(TABLES)))
TRUTHS += ("fixations/", "saliency/")


class Files(Mapping):
    """Canonical path -> file of a folder; a Path is made when it is asked for, which takes as long
    as all else where there are hundreds of thousands."""

    def __init__(self, folder: Path, members: Mapping[str, str]):
        self.folder, self.members = folder, members

    def __getitem__(self, name: str) -> Path:
        return self.folder / self.members[name]

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)


def canonical_files(folder: Path, take: Mapping[str, str], skip=()) -> Files:
    """Return the files of a corpus as it lies: as `download` leaves it or by hand.

    A file in one of the folders of our own layout is where it belongs, in any case of letters;
    any other goes where the authors' patterns put it, as if it came out of their archive.

    Raises:
        UsageError: two pictures or maps belong to one place.
    """
    place, members = placing(take), {}
    for parent, names in folders(folder, skip):
        inner = "".join(f"{part}/" for part in parent.parts[len(folder.parts) :])
        for member in (inner + name for name in names):
            name = canonical(member, place)
            if name in members and name.startswith(("stimuli/", "saliency/")):
                both = f"{folder / members[name]} and {folder / member}"
                raise UsageError(f"{folder}: {both} are both {name}; keep one")
            if name:
                members[name] = member
    return Files(folder, members)


def walk(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder but hidden ones, folder by folder, sorted."""
    return (parent / name for parent, names in folders(folder) for name in names)


def folders(folder: Path, skip=()) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder and the names of its files, without hidden ones and those in `skip`."""
    for parent, inner, names in storage.walk(folder, ENDINGS):
        inner[:] = sorted(name for name in inner if name not in skip and name[0] != ".")
        names = (n for n in names if n not in skip and n[0] != "." and n != "Thumbs.db")
        yield parent, sorted(names)


def canonical(member: str, place: Callable[[str], str | None]) -> str | None:
    """Return where a file of a corpus' folder belongs in our layout, or None where nowhere."""
    taken, (top, _, rest) = place(member), member.partition("/")
    top = top.lower()
    if rest and top in TOPS and not (taken or "").startswith(f"{top}/"):
        return f"{top}/{rest}"
    if not (rest or taken) and top.endswith((".hdf5", *TABLES)):
        return top
    return taken


def below_stimuli(name: str) -> str:
    """Return the part below stimuli/ of a path of any machine; all of it where there is none."""
    # pysaliency itself calls the folder Stimuli in some corpora.
    return re.sub(rf"^(.*/)?{STIMULI}", "", name.replace("\\", "/"), flags=re.IGNORECASE)


def below(files: Files, top: str, *, pictures=False, drawn=False) -> Files:
    """Return the files of one folder, by their path below it, sorted: all, its pictures, or what
    is drawn, in arrays too."""
    start, endings = f"{top}/", DRAWN if drawn else PICTURES
    names = sorted(name for name in files if name.startswith(start))
    if pictures or drawn:
        names = [name for name in names if ending(name) in endings]
    return Files(files.folder, {name.removeprefix(start): files.members[name] for name in names})


def ending(name: str) -> str:
    """Return that of a file's name, in small letters and with its dot; "" where it has none."""
    return splitext(name)[1].lower()


def listing(folder: Path) -> str:
    """Return the first few names in a folder, for an error."""
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:5] + ["..."] * (len(names) > 5)) or "nothing"
