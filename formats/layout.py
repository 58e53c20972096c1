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
    """Canonical path -> file, of a corpus as it lies: as `download` leaves it or by hand.

    A file in one of the folders of our own layout is where it belongs, in any case of letters;
    any other goes where the authors' patterns put it, as if it came out of their archive.
    """
    place, members = placing(take), {}
    for parent, names in folders(folder, skip):
        inside = "".join(f"{part}/" for part in parent.parts[len(folder.parts) :])
        for file in names:
            member = inside + file
            name = canonical(member, place)
            if name in members and name.startswith(("stimuli/", "saliency/")):
                both = f"{folder / members[name]} and {folder / member}"
                raise UsageError(f"{folder}: {both} are both {name}; keep one")
            if name:
                members[name] = member
    return Files(folder, members)


def walk(folder: Path, skip=()) -> Iterator[Path]:
    """All files below a folder, sorted, without hidden ones and those named in `skip`."""
    return (parent / name for parent, names in folders(folder, skip) for name in names)


def folders(folder: Path, skip=()) -> Iterator[tuple[Path, list[str]]]:
    """The same by the folder that they lie in: that, and their names."""
    for parent, inner, names in storage.walk(folder, ENDINGS):
        inner[:] = sorted(f for f in inner if f not in skip and not f.startswith("."))
        names = (n for n in names if n not in skip and n[0] != "." and n != "Thumbs.db")
        yield parent, sorted(names)


def canonical(member: str, place: Callable[[str], str | None]) -> str | None:
    """Where a file of a corpus' folder belongs in our layout, or None where nowhere."""
    top, _, rest = member.partition("/")
    taken = place(member)
    if not rest:
        ours = member.lower().endswith((".hdf5", *TABLES))
        return taken or (member.lower() if ours else None)
    own = top.lower() in TOPS
    if own and (taken is None or not taken.startswith(top.lower() + "/")):
        return f"{top.lower()}/{rest}"
    return taken


def below_stimuli(name: str) -> str:
    """The part below stimuli/ of a path of any machine; all of it where it has no such folder."""
    # pysaliency itself calls the folder Stimuli in some corpora.
    return re.sub(rf"^(.*/)?{STIMULI}", "", name.replace("\\", "/"), flags=re.IGNORECASE)


def below(files: Files, top: str, *, pictures=False, drawn=False) -> Files:
    """The files of one folder, by their path below it, sorted: all, its pictures, or what is
    drawn, in arrays too."""
    start, endings = f"{top}/", DRAWN if drawn else PICTURES
    inside = sorted(name for name in files if name.startswith(start))
    kept = (name for name in inside if not (pictures or drawn) or ending(name) in endings)
    return Files(files.folder, {n.removeprefix(start): files.members[n] for n in kept})


def ending(name: str) -> str:
    """That of a file's name, in small letters and with its dot; "" where it has none."""
    return splitext(name)[1].lower()


def listing(folder: Path) -> str:
    """The first few names in a folder, for an error."""
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
