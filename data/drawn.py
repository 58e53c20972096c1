"""The points and maps that are drawn in a corpus' folder, and the files there that nobody reads."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from absl import logging

from data.corpus import Assumed, Corpus
from errors import UsageError
from formats.layout import DRAWN, NOTES, PICTURES, TABLES, below, ending
from formats.pictures import maps
from formats.pictures.integrity import Memory


def points(corpus: Corpus, memory: Memory) -> tuple[str, dict[str, Path]]:
    """Return "points" or "discs" and the files that show them, wherever they lie; else "" and none.

    Raises:
        UsageError: what is drawn there is neither points nor maps, as maps.shown has it.
    """
    for top in ("fixations", "saliency"):
        files = below(corpus.files, top, drawn=True)
        found = maps.shown(corpus.folder / top, files, memory)
        if found.kind == "points":
            said = "%s: fixations from pictures of points in %s/, whose repeats are lost"
            if all(ending(path.name) == ".npy" for path in files.values()):
                said = "%s: fixations from arrays of counts in %s/"
            logging.info(said, corpus.name, top)
            return found.kind, files
        if found.kind == "discs":
            said = "%s: discs of %dx%d pixels in %s/, each a fixation at its middle; %d of %d are "
            said += "of another size, where touching ones count once"
            logging.info(said, corpus.name, *found.size[::-1], top, found.odd, found.components)
            return found.kind, files
    return "", {}


def maps_of(corpus: Corpus, records, sigma: float | None, memory: Memory) -> Mapping[str, Path]:
    """Return the shipped maps where they are the better truth.

    Coordinates blurred by a known sigma are better than a map in 8 bits; a map is better than a
    blur by an assumed sigma.
    """
    assumed = isinstance(corpus.sigma, Assumed) and not sigma
    for top in ("saliency", "fixations") if records is None else ("saliency",) * assumed:
        files = below(corpus.files, top, drawn=True)
        found = maps.shown(corpus.folder / top, files, memory)
        if files and found.kind == "maps":
            warn_of_inverted(corpus, found.inverted, len(files))
            if records is not None:
                said = "%s: the maps in saliency/ are the truth, for sigma is only assumed; "
                said += "--pixels-per-degree takes the fixations"
                logging.info(said, corpus.name)
            return files
    if assumed:
        said = "%s: sigma of the blur assumed, %g pixels; --pixels-per-degree gives another"
        logging.info(said, corpus.name, corpus.sigma)
    return {}


def warn_of_inverted(corpus: Corpus, count: int, total: int) -> None:
    """Say where nearly all maps are brighter at the border than in the middle."""
    if count >= 0.9 * total:
        said = "%s: %d of %d maps are brighter at the border than in the middle; if they are "
        said += "inverted, invert them: bright is where people looked"
        logging.warning(said, corpus.name, count, total)


def refuse_unread(folder: Path, files: Iterable[str], partial: bool) -> None:
    """Refuse files among a folder's pictures, by their paths in it, that may be some too and that
    nobody reads.

    Raises:
        UsageError: there are some (with `partial` they are left out and named).
    """
    unread = [name for name in files if ending(name) not in PICTURES | NOTES]
    if unread:
        said = f"{folder}: {len(unread)} files are not read, first "
        said += f"'{unread[0]}'; readable are {', '.join(sorted(PICTURES))}"
        if not partial:
            cure = "convert them, such as to .png, or take them out; --partial leaves them out"
            raise UsageError(f"{said}; {cure}")
        logging.warning("%s; left out", said)


def unread_truth(corpus: Corpus) -> str:
    """Return words on the files in fixations/ and saliency/ that are not read; "" without any."""
    files = [f"{top}/{n}" for top in ("fixations", "saliency") for n in below(corpus.files, top)]
    files = [name for name in files if ending(name) not in DRAWN | TABLES]
    beside = (path.name for path in corpus.folder.iterdir() if path.stem.lower() == "fixations")
    files += sorted(name for name in beside if ending(name) and name.lower() not in corpus.files)
    if not files:
        return ""
    said = f", of which {len(files)} files are not read, first '{files[0]}'"
    return f"{said}: save them as pictures, as .npy or as fixations.csv"
