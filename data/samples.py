"""A corpus' stimuli paired with their truth and split: what the pipelines are made of."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from absl import logging

from config import UsageError
from data import authors, integrity, tables
from data.corpus import Assumed, Corpus
from data.decode import Picture
from data.fixations import Fixations
from data.hdf5 import printable
from data.layout import PICTURES, below, listing, walk
from data.names import Pairing, matched, stem
from data.pysaliency import read_hdf5, renumbered


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
        found = (p for p in walk(path) if p.suffix.lower() in PICTURES)
        files = {p.relative_to(path).as_posix(): p for p in found}
    if not files:
        raise UsageError(f"{path}: no pictures in it; they end in {', '.join(sorted(PICTURES))}")
    unique(stem, files, path)
    seen = integrity.check(files.values(), memory)
    return [
        Sample(name, file, seen[file].shape, digest=seen[file].digest)
        for name, file in files.items()
    ]


def load(
    corpus: Corpus,
    memory: Path,
    partial: bool = False,
    sigma: float | None = None,
    fold: tuple[int, int] | None = None,
    subset: Path | None = None,
    skip_first: bool = False,
) -> tuple[list[Sample], list[Sample]]:
    """Training and validation samples of a corpus, every picture of them checked.

    Args:
        memory: a JSON file that remembers which pictures were checked.
        partial: take what is there, at the split's ratio, instead of demanding all.
        sigma: of the blur, instead of the corpus' own.
        fold: (i, k) validates on the i-th of k folds over all pictures, instead of the split.
        subset: a file of names, one a line; what else is on the training side is left out.
        skip_first: the first fixation of each scanpath does not count.

    Raises:
        UsageError: pictures without truth, truth without picture, damaged or missing pictures,
            maps of another shape than their stimulus, a fold or a subset that does not exist,
            first fixations that are not known.
    """
    records = records_of(corpus, partial)
    maps = maps_of(corpus, records, sigma, partial)
    names = paired(corpus, records, maps, partial)
    try:
        train, valid = corpus.split(names, partial, fold)
    except UsageError as error:
        raise UsageError(f"{corpus.folder}: {error}") from None
    train = train if subset is None else chosen(subset, train, corpus.stimuli)
    seen = integrity.check(
        [corpus.stimuli[n] for n in names] + [maps[n] for n in names if n in maps], memory
    )
    shapes = {path: found.shape for path, found in seen.items()}
    check_ratios(corpus, names, maps, shapes)
    later = later_ones(corpus, names, records, maps) if skip_first else {}
    kept, scored = inside(corpus, names, records, shapes, later)
    truths = below(corpus.files, "truth")

    def sample(name: str) -> Sample:
        return Sample(
            name=name,
            stimulus=corpus.stimuli[name],
            shape=shapes[corpus.stimuli[name]],
            table=kept.get(name),
            scored=scored.get(name),
            density_map=maps.get(name),
            sigma=sigma or corpus.sigma,
            truth=truths.get(str(Path(name).with_suffix(".npy"))),
            digest=seen[corpus.stimuli[name]].digest,
            map_digest=seen[maps[name]].digest if name in maps else "",
        )

    empty = {name for name, rows in kept.items() if not scored.get(name, np.ones(len(rows))).any()}
    empty |= {name for name in names if name in maps and seen[maps[name]].black}
    if empty:
        said = f"{corpus.folder}: {len(empty)} stimuli have no fixation that counts, or a black map"
        logging.warning("%s, first '%s'; left out", said, min(empty))
    sides = tuple([sample(name) for name in part if name not in empty] for part in (train, valid))
    for side, names, what in zip(sides, (train, valid), ("train on", "validate"), strict=True):
        if not side:
            said = f"none of the {len(names)} stimuli to {what} has a fixation that counts"
            raise UsageError(f"{corpus.folder}: {said}; those outside their picture do not")
    return sides


def chosen(subset: Path, train: list[str], names: Collection[str]) -> list[str]:
    """Those of the training names that a file lists, one a line, with or without their ending.

    Names of the validation side are left out, so that one file serves every fold.

    Raises:
        UsageError: no such file, a name that the corpus has not, or none on the training side.
    """
    try:
        lines = subset.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--subset {subset}: not a readable list of names ({error})") from None
    pairing = Pairing(names)
    wanted = {line: pairing.find(line) for line in lines if line.strip()}
    unknown = [line for line, name in wanted.items() if name is None]
    if unknown:
        raise UsageError(
            f"--subset {subset}: {len(unknown)} of its names are of no stimulus, first "
            f"'{printable(unknown[0])}'{pairing.near(unknown[0])}; allowed are such as "
            f"'{min(names)}'"
        )
    listed = {*wanted.values()}
    kept = [name for name in train if name in listed]
    if not kept:
        raise UsageError(
            f"--subset {subset}: none of the {len(train)} stimuli to train on is in it"
        )
    if len(kept) < len(listed):
        said = "--subset %s: %d of its names are not on the training side"
        logging.info(said, subset, len(listed) - len(kept))
    return kept


def records_of(corpus: Corpus, partial: bool) -> dict[str, Fixations] | None:
    """Each stimulus' fixations from the richest record that is there, or None without any."""
    found = table_of(corpus, partial)
    if found is None:
        return records_from_pictures(corpus, partial)
    return dict(zip(corpus.stimuli, found.by_stimulus(len(corpus.stimuli)), strict=True))


def table_of(corpus: Corpus, partial: bool) -> Fixations | None:
    """The fixations that have coordinates, `n` indexing corpus.stimuli, or None."""
    if "fixations.hdf5" in corpus.files:
        path, names = corpus.files["fixations.hdf5"], list(corpus.stimuli)
        order = [name for name, _ in corpus.listed(corpus.files)] or names
        return renumbered(read_hdf5(path), order, names, path, partial)
    found = tables.tables_of(corpus.files, corpus.folder)
    if found:
        return tables.read(found, corpus.stimuli).fixations
    return corpus.read(corpus.files, corpus.stimuli)


def records_from_pictures(corpus: Corpus, partial: bool) -> dict[str, Fixations] | None:
    """The fixations of pictures of points, or None where there are none."""
    drawn = below(corpus.files, "fixations", pictures=True)
    if not drawn or not authors.looks_like_points(drawn.values()):
        return None
    logging.info("%s: fixations from pictures of points, whose repeats are lost", corpus.name)
    matched = match(corpus, drawn, partial)
    stimuli = {name: corpus.stimuli[name] for name in sorted(matched)}
    found = authors.read_points(matched, stimuli)
    return dict(zip(stimuli, found.by_stimulus(len(stimuli)), strict=True))


def maps_of(corpus: Corpus, records, sigma: float | None, partial: bool) -> dict[str, Path]:
    """The shipped maps where they are the better truth, by their stimulus' name.

    Coordinates blurred by a known sigma are better than a map in 8 bits; a map is better than a
    blur by an assumed sigma.
    """
    shipped = below(corpus.files, "saliency", pictures=True)
    if not shipped and records is None:
        shipped = below(corpus.files, "fixations", pictures=True)
    assumed = isinstance(corpus.sigma, Assumed) and not sigma
    if shipped and (records is None or assumed):
        return match(corpus, shipped, partial)
    if assumed:
        said = "%s: sigma of the blur assumed, %g pixels; --pixels-per-degree gives another"
        logging.info(said, corpus.name, corpus.sigma)
    return {}


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


def paired(corpus: Corpus, records, maps: Mapping[str, Path], partial: bool) -> list[str]:
    """The names of all stimuli that have their truth.

    Raises:
        UsageError: some stimuli have none (with `partial` they are left out and counted).
    """
    unique(stem, corpus.stimuli, corpus.folder)
    if records is None and not maps:
        raise UsageError(
            f"{corpus.folder}: no truth, found {listing(corpus.folder)}; needs fixations.hdf5, "
            "fixations.csv, fixations/ or saliency/ beside stimuli/"
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
        if not partial:
            raise UsageError(f"{said}; --partial trains on the others")
        logging.warning("%s; left out", said)
        names = [name for name in names if name in having]
    return names


def check_ratios(corpus: Corpus, names, maps: Mapping[str, Path], shapes) -> None:
    """Raises UsageError where a map's aspect ratio is not its stimulus'.

    One may be smaller than the other, its sides rounded by half a pixel.
    """
    wrong = [n for n in names if n in maps and skewed(shapes[corpus.stimuli[n]], shapes[maps[n]])]
    if wrong:
        (h, w), (mh, mw) = shapes[corpus.stimuli[wrong[0]]], shapes[maps[wrong[0]]]
        raise UsageError(
            f"{corpus.folder}: {len(wrong)} maps are of another aspect ratio than their stimulus, "
            f"first of '{wrong[0]}': map {mw}x{mh}, stimulus {w}x{h}"
        )


def skewed(stimulus: tuple[int, int], drawn: tuple[int, int]) -> bool:
    """Whether no scale takes one shape to the other within a pixel's rounding."""
    (h, w), (mh, mw) = stimulus, drawn
    return abs(mw * h - mh * w) > max(h, w, mh, mw)


def later_ones(corpus: Corpus, names, records, maps) -> dict[str, np.ndarray]:
    """For each name, (M,) which of its fixations are not the first of their scanpath.

    Raises:
        UsageError: that is not known of all; or the truth is a map, in which they all are.
    """
    if maps or records is None:
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


def inside(corpus: Corpus, names, records, shapes, later):
    """The fixations that are inside their picture, and which of them are among the `later`, by
    name; the others are counted and said."""
    if records is None:
        return {}, {}
    kept, scored = {}, {}
    for name in names:
        height, width = shapes[corpus.stimuli[name]]
        rows = records[name]
        within = (rows.x >= 0) & (rows.x < width) & (rows.y >= 0) & (rows.y < height)
        kept[name] = rows.select(within)
        if name in later:
            scored[name] = later[name][within]
    before = sum(len(records[name]) for name in names)
    dropped = before - sum(map(len, kept.values()))
    if dropped:
        said = "%s: %d of %d fixations lie outside their picture, dropped"
        logging.warning(said, corpus.name, dropped, before)
    return kept, scored
