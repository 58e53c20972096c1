"""Where people looked at each stimulus of a corpus, from the richest record that is there."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from absl import logging

from data import drawn
from data.corpus import Corpus
from errors import UsageError
from formats import authors
from formats.coordinates import check_order, in_seconds
from formats.fixations import Fixations
from formats.layout import TABLES, ending, listing
from formats.names import matched, unique
from formats.pictures.integrity import Memory
from formats.pysaliency import read_hdf5, renumbered
from formats.text import tables
from formats.text.tables import Table

HDF5 = "fixations.hdf5"


class Records(NamedTuple):
    """Each stimulus' fixations, None where there are none; the sides that their table gives to
    stimuli; `fitted`: they are in pixels of the pictures that are there, whatever people saw."""

    fixations: dict[str, Fixations] | None
    sides: Mapping[str, str]
    fitted: bool


def records_of(corpus: Corpus, partial: bool, memory: Memory) -> Records:
    """Each stimulus' fixations from the richest record that is there."""
    found = table_of(corpus, partial)
    if found is None:
        return Records(records_from_pictures(corpus, partial, memory), {}, True)
    rows = in_seconds(found.fixations, corpus.name).by_stimulus(len(corpus.stimuli))
    return Records(dict(zip(corpus.stimuli, rows, strict=True)), found.sides, found.fitted)


def table_of(corpus: Corpus, partial: bool) -> Table | None:
    """The fixations that have coordinates, or None where there are none."""
    if HDF5 in corpus.files:
        beside = [n for n in corpus.files if n.startswith("fixations") and ending(n) in TABLES]
        if beside:
            said = "%s: fixations from %s; %s beside it is not read"
            logging.warning(said, corpus.name, HDF5, min(beside))
        path, names = corpus.files[HDF5], list(corpus.stimuli)
        order, found = [each.name for each in corpus.listed(corpus.files)], read_hdf5(path)
        try:
            check_order([] if order else names, int(found.n.max(initial=-1)) + 1)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        return Table(renumbered(found, order or names, names, path, partial))
    found = tables.tables_of(corpus.files, corpus.folder)
    if found:
        return tables.read(found, corpus.stimuli)
    written = corpus.read(corpus.files, corpus.stimuli)
    return None if written is None else Table(written)


def records_from_pictures(corpus: Corpus, partial: bool, memory: Memory):
    """The fixations of pictures of points or discs, or None where there are none."""
    kind, files = drawn.points(corpus, memory)
    if not files:
        return None
    files = match(corpus, files, partial)
    stimuli = {name: corpus.stimuli[name] for name in sorted(files)}
    found = authors.read_points(files, stimuli, discs=kind == "discs")
    return dict(zip(stimuli, found.by_stimulus(len(stimuli)), strict=True))


def match(corpus: Corpus, files: Mapping[str, Path], partial: bool) -> dict[str, Path]:
    """Files by the name of the stimulus that they belong to.

    Raises:
        UsageError: files without a stimulus (with `partial` they are left out and counted), or
            two files of one stimulus.
    """
    found = matched(corpus.stimuli, files, corpus.folder)
    strays = sorted({*files} - {*found.values()})
    if strays:
        said = f"{corpus.folder}: {len(strays)} maps have no stimulus, first '{strays[0]}'"
        if not partial:
            wanted = min({*corpus.stimuli} - {*found}, default=min(corpus.stimuli))
            raise UsageError(f"{said}; one would be named '{wanted}'; --partial leaves them out")
        logging.warning("%s; left out", said)
    return {name: files[file] for name, file in found.items()}


def paired(corpus: Corpus, records, maps, partial: bool, untold=frozenset()) -> list[str]:
    """The names of all stimuli that have their truth.

    Raises:
        UsageError: some stimuli have none: with `partial`, and where they are among the `untold`
            ones of a test side, they are left out and counted.
    """
    unique(corpus.stimuli, corpus.folder)
    if records is None and not maps:
        found = listing(corpus.folder) + drawn.unread_truth(corpus)
        raise UsageError(
            f"{corpus.folder}: no truth, found {found}; needs fixations.hdf5, fixations.csv, "
            "fixations/ or saliency/ beside stimuli/"
        )
    truths = {"map": maps} if maps else {}
    if records is not None:
        truths["fixations"] = {name for name, rows in records.items() if len(rows)}
    names = list(corpus.stimuli)
    for kind, having in truths.items():
        lacking = [name for name in names if name not in having]
        if not lacking:
            continue
        said = f"{corpus.folder}: {len(lacking)} stimuli have no {kind}, first '{lacking[0]}'"
        if not (partial or untold >= {*lacking}):
            raise UsageError(f"{said}; --partial trains on the others")
        logging.warning("%s; left out", said)
        names = [name for name in names if name in having]
    return names
