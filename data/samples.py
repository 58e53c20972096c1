"""A corpus' stimuli paired with their truth and split: what the pipelines are made of."""

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from data import drawn
from data.corpus import Corpus
from data.given import Hints, read_list
from data.records import Records, match, paired, records_of
from data.splits import Sides, Split
from errors import UsageError
from formats.coordinates import check_places, fit_to_pictures, skewed
from formats.fixations import Fixations
from formats.layout import PICTURES, below, ending, walk
from formats.names import Pairing, stem, unique
from formats.pictures import integrity
from formats.pictures.integrity import Memory, Seen
from formats.pictures.maps import measure


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
    stimulus: Path
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
        """Return the fixations that count, or None where none are known."""
        return self.table if self.scored is None else self.table.select(self.scored)

    @property
    def points(self) -> np.ndarray | None:
        """Return (M, 2) float64, x and y of the fixations that count in pixels, or None."""
        fixations = self.counted
        return None if fixations is None else np.stack([fixations.x, fixations.y], 1)

    @functools.cached_property
    def content(self) -> str:
        """Return 32 hex digits: the digest of its picture, and that of all of its truth."""
        truth = repr((self.shape, self.map_digest, float(self.sigma))).encode()
        truth += b"" if self.points is None else self.points.tobytes()
        return self.digest + blake2b(truth).hexdigest()[:16]

    def bare(self) -> "Sample":
        """Return the stimulus alone, as for one whose truth is not known."""
        return Sample(self.name, self.stimulus, self.shape, digest=self.digest)


def fingerprint(samples: Iterable[Sample], blur: bool = False) -> str:
    """Return 16 hex digits that tell samples, in their order, from any others.

    Of each: its name, its picture and the fixations that count, or the map where there are none;
    with `blur`, the map or the blur that is its empirical density.
    """
    digest = blake2b(digest_size=8)
    for sample in samples:
        points, fields = sample.points, (sample.name, sample.digest, sample.shape)
        if blur or points is None:
            fields += (sample.map_digest or float(sample.sigma),)
        digest.update(repr(fields).encode())
        digest.update(b"" if points is None else points.tobytes())
    return digest.hexdigest()


def pictures(path: Path, memory: Memory) -> list[Sample]:
    """Return samples without truth: one picture, or all of a folder, with sub-folders' names.

    Raises:
        UsageError: there is none, one cannot be read, or two would have one name.
    """
    if path.is_file():
        files = {path.name: path}
    else:
        files = {p.relative_to(path).as_posix(): p for p in walk(path)}
        drawn.refuse_unread(path, files, partial=True)
        files = {name: p for name, p in files.items() if ending(name) in PICTURES}
    if not files:
        raise UsageError(f"{path}: no pictures in it; they end in {', '.join(sorted(PICTURES))}")
    unique(files, path)
    seen = integrity.check(files.values(), memory)
    return [Sample(n, p, seen[p].shape, digest=seen[p].digest) for n, p in files.items()]


class Loaded(NamedTuple):
    """A corpus' samples by side, and the names on each as they were before any was left out."""

    train: list[Sample]
    valid: list[Sample]
    test: list[Sample]
    split: Sides


def load(
    corpus: Corpus,
    memory: Memory,
    partial: bool = False,
    sigma: float | None = None,
    fold: tuple[int, int] | None = None,
    subset: Path | None = None,
    skip_first: bool = False,
    split: Split | None = None,
    units: str | None = None,
    drop: bool = False,
) -> Loaded:
    """Return the samples of a corpus' sides, every picture of them checked.

    Args:
        memory: of which pictures were checked; it takes those to train and to validate on.
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
    drawn.refuse_unread(corpus.folder / "stimuli", below(corpus.files, "stimuli"), partial)
    records = records_of(corpus, partial, memory)
    shipped = match(corpus, drawn.maps_of(corpus, records.fixations, sigma, memory), partial)
    sides = divided(corpus, records, shipped, partial, fold, split)
    train = chosen(subset, sides.train, corpus.stimuli) if subset else sides.train
    names = [*sides.train, *sides.valid, *sides.test]
    looked = looked_at(corpus, names, {*train, *sides.valid}, shipped, memory)
    samples = sampled(corpus, names, records, shipped, looked, sigma, skip_first, units, drop)
    parts = [[samples[n] for n in ns if n in samples] for ns in (train, sides.valid, sides.test)]
    for what, part, before in ("train on", parts[0], train), ("validate", parts[1], sides.valid):
        if not part:
            said = f"none of the {len(before)} stimuli to {what} has a fixation that counts"
            raise UsageError(f"{corpus.folder}: {said}; those outside their picture do not")
    return Loaded(*parts, sides)


def divided(corpus: Corpus, records: Records, maps, partial: bool, fold, split) -> Sides:
    """Return the names that have their truth, by side."""
    try:
        hints = Hints(corpus.files, [*corpus.stimuli], records.sides, partial)
        split = split or corpus.split.of(hints)
        untold = {name for name, side in getattr(split, "sides", {}).items() if side == "test"}
        names = paired(corpus, records.fixations, maps, partial, untold)
        sides = split(names, partial, fold)
    except UsageError as error:
        said = str(error).removeprefix(f"{corpus.folder}: ")
        raise UsageError(f"{corpus.folder}: {said}") from None
    logging.info("split of %s: %s", corpus.name, sides)
    return sides


def sampled(
    corpus: Corpus, names, records: Records, maps, looked, sigma, skip_first, units, drop
) -> dict[str, Sample]:
    """Return the samples of names, see load, but for those without a fixation that counts."""
    pictures, drawings = looked
    shapes = {name: seen.shape for name, seen in pictures.items()}
    recorded = {each.name: each.shape for each in corpus.listed(corpus.files)}
    tables = located(corpus, records, shapes, recorded, units, drop)
    scored = later_ones(corpus, names, tables, maps) if skip_first else {}
    truths = below(corpus.files, "truth")
    empty = {name for name, seen in drawings.items() if seen.black}
    empty |= {n for n, rows in tables.items() if not scored.get(n, np.ones(len(rows))).any()}
    if empty:
        said = f"{corpus.folder}: {len(empty)} stimuli have no fixation that counts, or a black map"
        logging.warning("%s, first '%s'; left out", said, min(empty))

    def sample(name: str) -> Sample:
        larger = prod(shapes[name]) / prod(recorded.get(name) or shapes[name])
        return Sample(
            name=name,
            stimulus=corpus.stimuli[name],
            shape=shapes[name],
            table=tables.get(name),
            scored=scored.get(name),
            density_map=maps.get(name),
            sigma=sigma or corpus.sigma * larger**0.5,
            truth=truths.get(f"{stem(name)}.npy") if truths else None,
            digest=pictures[name].digest,
            map_digest=drawings[name].digest if name in drawings else "",
        )

    return {name: sample(name) for name in names if name not in empty}


def looked_at(
    corpus: Corpus, names: list[str], taken: set[str], maps: Mapping[str, Path], memory: Memory
) -> tuple[dict[str, Seen], dict[str, Seen]]:
    """Return what the pictures of names are like, and their maps, where they have some; the memory
    takes the pictures of some of them.

    Raises:
        UsageError: one cannot be read; a map's aspect ratio is not its stimulus'. One may be
            smaller than the other, its sides rounded by half a pixel.
    """
    stimuli = [corpus.stimuli[n] for n in names]
    seen = integrity.check(stimuli, memory, taken={corpus.stimuli[n] for n in taken})
    pictures = {n: seen[corpus.stimuli[n]] for n in names}
    seen = integrity.check([maps[n] for n in names if n in maps], memory, measure)
    drawings = {n: seen[maps[n]] for n in names if n in maps}
    wrong = [n for n, drawing in drawings.items() if skewed(pictures[n].shape, drawing.shape)]
    if wrong:
        (h, w), (mh, mw) = pictures[wrong[0]].shape, drawings[wrong[0]].shape
        raise UsageError(
            f"{corpus.folder}: {len(wrong)} maps are of another aspect ratio than their stimulus, "
            f"first of '{wrong[0]}': map {mw}x{mh}, stimulus {w}x{h}"
        )
    return pictures, drawings


def located(
    corpus: Corpus, records: Records, shapes, recorded, units: str | None, drop: bool
) -> dict[str, Fixations]:
    """Return the fixations on their pictures, in pixels of these, by the names of `shapes`."""
    tables = {name: records.fixations[name] for name in shapes if records.fixations}
    try:
        if not records.fitted:
            tables = fit_to_pictures(tables, shapes, recorded, units)
        within = check_places(tables, shapes, drop)
    except UsageError as error:
        raise UsageError(f"{corpus.folder}: {error}") from None
    # Most have all of theirs inside, and there may be very many tables.
    return {n: t if within[n].all() else t.select(within[n]) for n, t in tables.items()}


def chosen(subset: Path, train: list[str], names: Collection[str]) -> list[str]:
    """Return the training names that a file lists, one a line, with or without their ending.

    Names of the validation side are left out, so that one file serves every fold.

    Raises:
        UsageError: no such file, a name that the corpus has not, or none on the training side.
    """
    try:
        listed = {*read_list(subset, Pairing(names))}
    except UsageError as error:
        raise UsageError(f"--subset {error}") from None
    subset_names = [name for name in train if name in listed]
    if not subset_names:
        raise UsageError(
            f"--subset {subset}: none of the {len(train)} stimuli to train on is in it"
        )
    if len(subset_names) < len(listed):
        said = "--subset %s: %d of its names are not on the training side"
        logging.info(said, subset, len(listed) - len(subset_names))
    return subset_names


def later_ones(corpus: Corpus, names, records, maps) -> dict[str, np.ndarray]:
    """Return (M,) bool for each name: which of its fixations are not the first of their scanpath.

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
