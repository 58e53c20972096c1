"""Where the files of a corpus' folder belong: as `download` leaves them, or unpacked by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

import storage
from config import UsageError
from download.unpack import place

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
    for parent, folders, names in storage.walk(folder, ENDINGS):
        folders[:] = sorted(f for f in folders if f not in skip and not f.startswith("."))
        yield from (
            parent / name
            for name in sorted(names)
            if name not in skip and not name.startswith(".") and name != "Thumbs.db"
        )


def canonical(member: str, take: Mapping[str, str]) -> str | None:
    """Where a file of a corpus' folder belongs in our layout, or None where nowhere."""
    top, _, rest = member.partition("/")
    taken = place(member, take)
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


def below(files: Mapping[str, Path], top: str, *, pictures=False, drawn=False) -> dict[str, Path]:
    """The files of one folder, by their path below it, sorted: all, its pictures, or what is
    drawn, in arrays too."""
    inside = {name[len(top) + 1 :]: p for name, p in files.items() if name.startswith(top + "/")}
    endings = DRAWN if drawn else PICTURES
    kept = {n: p for n, p in inside.items() if not (pictures or drawn) or suffix(p) in endings}
    return dict(sorted(kept.items()))


def suffix(path: Path) -> str:
    """A file's ending, in small letters."""
    return path.suffix.lower()


def listing(folder: Path) -> str:
    """The first few names in a folder, for an error."""
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
