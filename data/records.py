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
    """Return each stimulus' fixations from the richest record that is there."""
    table = table_of(corpus, partial)
    if table is None:
        return Records(records_from_pictures(corpus, partial, memory), {}, True)
    rows = in_seconds(table.fixations, corpus.name).by_stimulus(len(corpus.stimuli))
    return Records(dict(zip(corpus.stimuli, rows, strict=True)), table.sides, table.fitted)


def table_of(corpus: Corpus, partial: bool) -> Table | None:
    """Return the fixations that have coordinates, or None where there are none."""
    if HDF5 in corpus.files:
        return table_from_hdf5(corpus, partial)
    files = tables.tables_of(corpus.files, corpus.folder)
    if files:
        return tables.read(files, corpus.stimuli)
    fixations = corpus.read(corpus.files, corpus.stimuli)
    return None if fixations is None else Table(fixations)


def table_from_hdf5(corpus: Corpus, partial: bool) -> Table:
    """Return the fixations in fixations.hdf5, by the stimuli's order in stimuli.hdf5 or by name."""
    beside = [n for n in corpus.files if n.startswith("fixations") and ending(n) in TABLES]
    if beside:
        said = "%s: fixations from %s; %s beside it is not read"
        logging.warning(said, corpus.name, HDF5, min(beside))
    path, names = corpus.files[HDF5], list(corpus.stimuli)
    order, fixations = [each.name for each in corpus.listed(corpus.files)], read_hdf5(path)
    try:
        check_order([] if order else names, int(fixations.n.max(initial=-1)) + 1)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return Table(renumbered(fixations, order or names, names, path, partial))


def records_from_pictures(corpus: Corpus, partial: bool, memory: Memory):
    """Return the fixations of pictures of points or discs, or None where there are none."""
    kind, files = drawn.points(corpus, memory)
    if not files:
        return None
    files = match(corpus, files, partial)
    stimuli = {name: corpus.stimuli[name] for name in sorted(files)}
    fixations = authors.read_points(files, stimuli, discs=kind == "discs")
    return dict(zip(stimuli, fixations.by_stimulus(len(stimuli)), strict=True))


def match(corpus: Corpus, files: Mapping[str, Path], partial: bool) -> dict[str, Path]:
    """Return files by the name of the stimulus that they belong to.

    Raises:
        UsageError: files without a stimulus (with `partial` they are left out and counted), or
            two files of one stimulus.
    """
    file_of = matched(corpus.stimuli, files, corpus.folder)
    strays = sorted({*files} - {*file_of.values()})
    if strays:
        said = f"{corpus.folder}: {len(strays)} maps have no stimulus, first '{strays[0]}'"
        if not partial:
            wanted = min({*corpus.stimuli} - {*file_of}, default=min(corpus.stimuli))
            raise UsageError(f"{said}; one would be named '{wanted}'; --partial leaves them out")
        logging.warning("%s; left out", said)
    return {name: files[file] for name, file in file_of.items()}


def paired(corpus: Corpus, records, maps, partial: bool, untold=frozenset()) -> list[str]:
    """Return the names of all stimuli that have their truth.

    Raises:
        UsageError: some stimuli have none: with `partial`, and where they are among the `untold`
            ones of a test side, they are left out and counted.
    """
    unique(corpus.stimuli, corpus.folder)
    if records is None and not maps:
        files = listing(corpus.folder) + drawn.unread_truth(corpus)
        raise UsageError(
            f"{corpus.folder}: no truth, found {files}; needs fixations.hdf5, fixations.csv, "
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
