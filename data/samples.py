"""A corpus' stimuli paired with their truth and split: what the pipelines are made of."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from config import UsageError
from data import authors, drawn, integrity, maps, tables
from data.coordinates import check_order, check_places, fit_to_pictures, in_seconds, scale, skewed
from data.corpus import Corpus
from data.decode import Picture
from data.fixations import Fixations
from data.given import Found, read_list
from data.layout import PICTURES, below, ending, listing, walk
from data.names import Pairing, matched, stem
from data.pysaliency import read_hdf5, renumbered
from data.splits import Sides, Split


@dataclass(frozen=True, eq=False)
class Sample:
    """A stimulus and what is known of where people looked at it.

    name: its path below stimuli/; stimulus: what `decode` takes; table: the fixations inside it,
    those of a scanpath in order (`n` means nothing here), or None where the corpus has none;
    scored: which of them count, where not all do; density_map: the picture of its blurred map where
    that is the truth; sigma: of the blur where the density is made of the fixations; truth: .npy of
    its true density where that is known (synthetic corpora); digest, map_digest: of the stimulus'
    and of the map's content, in hex.
    """

    name: str
    stimulus: Picture
    shape: tuple[int, int] | None = None
    table: Fixations | None = None
    scored: np.ndarray | None = None
    density_map: Path | None = None
    sigma: float = 0.0
    truth: Path | None = None
    digest: str = ""
    map_digest: str = ""

    @property
    def counted(self) -> Fixations | None:
        """The fixations that count, or None where none are known."""
        return self.table if self.scored is None else self.table.select(self.scored)

    @property
    def points(self) -> np.ndarray | None:
        """(M, 2) float64, x and y of the fixations that count in the stimulus' pixels, or None."""
        found = self.counted
        return None if found is None else np.stack([found.x, found.y], 1)

    @functools.cached_property
    def content(self) -> str:
        """32 hex digits: the digest of its picture, and that of all that is known of its truth."""
        known = blake2b(repr((self.shape, self.map_digest, float(self.sigma))).encode())
        known.update(b"" if self.points is None else self.points.tobytes())
        return self.digest + known.hexdigest()[:16]

    def bare(self) -> "Sample":
        """The stimulus alone, as for one whose truth is not known."""
        return Sample(self.name, self.stimulus, self.shape, digest=self.digest)


def fingerprint(samples: Iterable[Sample], blur: bool = False) -> str:
    """Return 16 hex digits that tell samples, in their order, from any others.

    Of each: its name, its picture and the fixations that count, or the map where there are none;
    with `blur`, the map or the blur that is its empirical density.
    """
    found = blake2b(digest_size=8)
    for sample in samples:
        known = (sample.name, sample.digest, sample.shape)
        if blur or sample.points is None:
            known += (sample.map_digest or float(sample.sigma),)
        found.update(repr(known).encode())
        if sample.points is not None:
            found.update(sample.points.tobytes())
    return found.hexdigest()


def pictures(path: Path, memory: Path) -> list[Sample]:
    """Samples without truth: one picture, or all of a folder, with their sub-folders' names.

    Raises:
        UsageError: there is none, one cannot be read, or two would have one name.
    """
    if path.is_file():
        files = {path.name: path}
    else:
        found = list(walk(path))
        drawn.refuse_unread(path, found, partial=True)
        files = {p.relative_to(path).as_posix(): p for p in found if ending(p.name) in PICTURES}
    if not files:
        raise UsageError(f"{path}: no pictures in it; they end in {', '.join(sorted(PICTURES))}")
    unique(stem, files, path)
    seen = integrity.check(files.values(), memory)
    return [
        Sample(name, file, seen[file].shape, digest=seen[file].digest)
        for name, file in files.items()
    ]


class Loaded(NamedTuple):
    """A corpus' samples by side, and the names on each as they were before any was left out."""

    train: list[Sample]
    valid: list[Sample]
    test: list[Sample]
    split: Sides


def load(
    corpus: Corpus,
    memory: Path,
    partial: bool = False,
    sigma: float | None = None,
    fold: tuple[int, int] | None = None,
    subset: Path | None = None,
    skip_first: bool = False,
    split: Split | None = None,
    units: str | None = None,
    drop: bool = False,
) -> Loaded:
    """Samples of a corpus' sides, every picture of them checked.

    Args:
        memory: a JSON file that remembers which pictures were checked.
        partial: take what is there, at the split's ratio, instead of demanding all.
        sigma: of the blur, instead of the corpus' own.
        fold: (i, k) validates on the i-th of k folds over all pictures, instead of the split.
        subset: a file of names, one a line; what else is on the training side is left out.
        skip_first: the first fixation of each scanpath does not count.
        split: instead of the corpus' own.
        units: of coordinates: pixels, or fractions of width and height; None: not said.
        drop: leave out fixations outside their pictures, however many they are.

    Raises:
        UsageError: pictures without truth, truth without picture, damaged or missing pictures,
            maps of another shape than their stimulus, coordinates that cannot be pixels of the
            pictures, a fold or a subset that does not exist, first fixations that are not known.
    """
    drawn.refuse_unread(corpus.folder, below(corpus.files, "stimuli").values(), partial)
    records, column, fitted = records_of(corpus, partial, memory)
    shipped = match(corpus, drawn.maps_of(corpus, records, sigma, memory), partial)
    try:
        split = split or corpus.split.of(Found(corpus.files, [*corpus.stimuli], column, partial))
        untold = {name for name, side in getattr(split, "sides", {}).items() if side == "test"}
        names = paired(corpus, records, shipped, partial, untold)
        sides = split(names, partial, fold)
    except UsageError as error:
        said = str(error).removeprefix(f"{corpus.folder}: ")
        raise UsageError(f"{corpus.folder}: {said}") from None
    logging.info("split of %s: %s", corpus.name, sides)
    names = [name for part in sides[:3] for name in part]
    shown = sides._replace(
        train=chosen(subset, sides.train, corpus.stimuli) if subset else sides.train
    )
    seen = integrity.check([corpus.stimuli[n] for n in names], memory)
    seen |= integrity.check([shipped[n] for n in names if n in shipped], memory, maps.measure)
    shapes = {name: seen[corpus.stimuli[name]].shape for name in names}
    check_ratios(corpus, shipped, shapes, seen)
    recorded = {each.name: each.shape for each in corpus.listed(corpus.files)}
    chosen_ones = {n: records[n] for n in names} if records else {}
    frame = ({}, "pixels") if fitted else (recorded, units)
    truth = located(corpus, chosen_ones, shapes, *frame, drop)
    scored = later_ones(corpus, names, truth, shipped) if skip_first else {}
    truths = below(corpus.files, "truth")

    def sample(name: str) -> Sample:
        wider, higher = scale(recorded.get(name), shapes[name])
        return Sample(
            name=name,
            stimulus=corpus.stimuli[name],
            shape=shapes[name],
            table=truth.get(name),
            scored=scored.get(name),
            density_map=shipped.get(name),
            sigma=sigma or corpus.sigma * (wider * higher) ** 0.5,
            truth=truths.get(f"{stem(name)}.npy") if truths else None,
            digest=seen[corpus.stimuli[name]].digest,
            map_digest=seen[shipped[name]].digest if name in shipped else "",
        )

    black = {name for name in names if name in shipped and seen[shipped[name]].black}
    empty = {name for name, rows in truth.items() if not scored.get(name, np.ones(len(rows))).any()}
    if empty | black:
        said = f"{corpus.folder}: {len(empty | black)} stimuli have no fixation that counts, or a "
        logging.warning("%sblack map, first '%s'; left out", said, min(empty | black))
    parts = [[sample(n) for n in part if n not in empty | black] for part in shown[:3]]
    for side, what in zip(parts, ("train on", "validate"), strict=False):
        if not side:
            said = f"none of the {len(names)} stimuli to {what} has a fixation that counts"
            raise UsageError(f"{corpus.folder}: {said}; those outside their picture do not")
    return Loaded(*parts, sides)


def located(corpus: Corpus, records, shapes, recorded, units, drop) -> dict[str, Fixations]:
    """The fixations that are on their pictures, in pixels of these, by name."""
    try:
        found = fit_to_pictures(records, shapes, recorded, units)
        within = check_places(found, shapes, drop)
    except UsageError as error:
        raise UsageError(f"{corpus.folder}: {error}") from None
    # Most have all of theirs inside, and there may be very many tables.
    return {n: t if within[n].all() else t.select(within[n]) for n, t in found.items()}


def chosen(subset: Path, train: list[str], names: Collection[str]) -> list[str]:
    """Those of the training names that a file lists, one a line, with or without their ending.

    Names of the validation side are left out, so that one file serves every fold.

    Raises:
        UsageError: no such file, a name that the corpus has not, or none on the training side.
    """
    try:
        listed = {*read_list(subset, Pairing(names))}
    except UsageError as error:
        raise UsageError(f"--subset {error}") from None
    kept = [name for name in train if name in listed]
    if not kept:
        raise UsageError(
            f"--subset {subset}: none of the {len(train)} stimuli to train on is in it"
        )
    if len(kept) < len(listed):
        said = "--subset %s: %d of its names are not on the training side"
        logging.info(said, subset, len(listed) - len(kept))
    return kept


class Records(NamedTuple):
    """Each stimulus' fixations, None where there are none; the sides that their table gives to
    stimuli; `fitted`: they are in pixels of the pictures that are there, whatever people saw."""

    fixations: dict[str, Fixations] | None
    sides: Mapping[str, str]
    fitted: bool


def records_of(corpus: Corpus, partial: bool, memory: Path) -> Records:
    """Each stimulus' fixations from the richest record that is there."""
    found, column, fitted = table_of(corpus, partial)
    if found is None:
        return Records(records_from_pictures(corpus, partial, memory), {}, True)
    found = in_seconds(found, corpus.name)
    by_name = zip(corpus.stimuli, found.by_stimulus(len(corpus.stimuli)), strict=True)
    return Records(dict(by_name), column, fitted)


def table_of(corpus: Corpus, partial: bool) -> tuple[Fixations | None, dict[str, str], bool]:
    """The fixations that have coordinates, `n` indexing corpus.stimuli, or None; sides; fitted."""
    if "fixations.hdf5" in corpus.files:
        path, names = corpus.files["fixations.hdf5"], list(corpus.stimuli)
        order, found = [each.name for each in corpus.listed(corpus.files)], read_hdf5(path)
        try:
            check_order([] if order else names, int(found.n.max(initial=-1)) + 1)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        return renumbered(found, order or names, names, path, partial), {}, False
    found = tables.tables_of(corpus.files, corpus.folder)
    if found:
        return tables.read(found, corpus.stimuli)
    return corpus.read(corpus.files, corpus.stimuli), {}, False


def records_from_pictures(corpus: Corpus, partial: bool, memory: Path):
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


def unique(key: Callable, names: Iterable[str], where: Path) -> dict[str, str]:
    """Names by what results are called after; raises UsageError where two have the same."""
    keyed: dict[str, str] = {}
    for name in names:
        other = keyed.setdefault(key(name), name)
        if other != name:
            raise UsageError(f"{where}: '{other}' and '{name}' have one name; keep one of them")
    return keyed


def paired(corpus: Corpus, records, maps, partial: bool, untold=frozenset()) -> list[str]:
    """The names of all stimuli that have their truth.

    Raises:
        UsageError: some stimuli have none: with `partial`, and where they are among the `untold`
            ones of a test side, they are left out and counted.
    """
    unique(stem, corpus.stimuli, corpus.folder)
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


def check_ratios(corpus: Corpus, maps: Mapping[str, Path], shapes, seen) -> None:
    """Raises UsageError where a map's aspect ratio is not its stimulus'.

    One may be smaller than the other, its sides rounded by half a pixel.
    """
    drawn = {name: seen[maps[name]].shape for name in shapes if name in maps}
    wrong = [name for name, shape in drawn.items() if skewed(shapes[name], shape)]
    if wrong:
        (h, w), (mh, mw) = shapes[wrong[0]], drawn[wrong[0]]
        raise UsageError(
            f"{corpus.folder}: {len(wrong)} maps are of another aspect ratio than their stimulus, "
            f"first of '{wrong[0]}': map {mw}x{mh}, stimulus {w}x{h}"
        )


def later_ones(corpus: Corpus, names, records, maps) -> dict[str, np.ndarray]:
    """For each name, (M,) which of its fixations are not the first of their scanpath.

    Raises:
        UsageError: that is not known of all; or the truth is a map, in which they all are.
    """
    if maps or not records:
        cure = "; --pixels-per-degree takes the fixations instead" if maps and records else ""
        raise UsageError(
            f"--skip-first: the truth of {corpus.name} is maps, which hold all fixations{cure}"
        )
    for name in names:
        if (records[name].scanpath < 0).any():
            raise UsageError(
                f"--skip-first: {corpus.name} does not say in which order people looked, first at "
                f"'{name}'; it needs scanpaths, as in a fixations.hdf5 of FixationTrains"
            )
    return {name: records[name].later() for name in names}
