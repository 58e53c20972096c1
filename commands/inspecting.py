"""What `inspect` does: reads a corpus as train would, says and draws what is in it."""

import json
import logging as standard
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from absl import logging

import storage
from batches.truth import relative_points
from commands.sides import load_sides
from config import Config
from data.corpus import Corpus, corpus_name, open_corpus
from data.records import records_of
from data.samples import Sample
from data.splits import held_out
from errors import UsageError
from formats.coordinates import fit_to_pictures, natural
from formats.fixations import Fixations, inside
from formats.layout import below
from formats.pictures import integrity
from formats.pictures.decode import Picture
from formats.pictures.integrity import Memory, Seen, in_threads
from inspection import facts
from inspection.views import draw_batch, draw_duplicates, draw_views
from model.checkpoints.runs import Run, jsonable, write_json
from report.inspection import lines, warnings, write_page

MAPS = 500  # whose densities are drawn from, where a corpus has maps alone
SIDES = ("train", "validate", "test", "held out")


def inspect(args, settings: Config) -> None:
    """Writes a page, its pictures and its numbers as JSON; says the numbers, warnings first."""
    if settings.folds:
        settings = replace(settings, fold=settings.fold or 1)
    run = Run(args.results, f"{corpus_name(args.data)}.inspect")
    corpus = open_corpus(args.data, args.path)
    cache = args.cache_dir or storage.cache(args.results)
    found = gather(corpus, settings, Memory(cache if settings.cache else None))
    known = facts_of(corpus, settings, found)
    known["views"] = draw_views(run, found.samples, found.records, found.side, known)
    known["twice"] = draw_duplicates(run, found.samples, found.side, known["duplicates"])
    known["batch"] = draw_batch(run, found.sides["train"], settings, known["pictures"]["input"])
    known["page"] = str(run.page)
    write_json(run.page.with_suffix(".json"), known)
    write_page(run.page, jsonable(known))
    print(json.dumps(jsonable(known), indent=1) if args.json else "\n".join(lines(known)))


@dataclass
class Found:
    """A corpus as it was read.

    sides: the samples of each side, none where they cannot be had; split: whose division that is;
    samples: all stimuli that can be read, by name; records: the fixations of each as its files have
    them, or None; unreadable: why a picture cannot be read, by its name; refusal: why train refuses
    it, or None; notices: what it says beside; maps: the pictures that may be maps.
    """

    sides: dict[str, list[Sample]]
    split: str
    samples: list[Sample]
    records: dict[str, Fixations] | None
    unreadable: dict[str, str]
    refusal: str | None
    notices: list[str]
    maps: list[Picture] = field(default_factory=list)

    @property
    def side(self) -> dict[str, str]:
        """The side that a sample is on, by its name."""
        return {sample.name: side for side, samples in self.sides.items() for sample in samples}


def gather(corpus: Corpus, settings: Config, memory: Memory) -> Found:
    """Reads a corpus as train would; where that refuses, what can be had of it."""
    maps = [*below(corpus.files, "saliency", pictures=True).values()]
    maps = maps or [*below(corpus.files, "fixations", pictures=True).values()]
    seen, broken = integrity.look([*corpus.stimuli.values(), *maps], memory)
    sides, split, refusal, notices = read_sides(corpus, settings, memory)
    with heard():
        records = attempt(raw_records, corpus, settings, memory, seen)
    known = {sample.name: sample for samples in sides.values() for sample in samples}
    samples = [
        known.get(name) or bare(name, picture, seen[picture], records, settings, corpus)
        for name, picture in corpus.stimuli.items()
        if picture in seen
    ]
    names = {picture: name for name, picture in corpus.stimuli.items()}
    unreadable = {names.get(picture, str(picture)): why for picture, why in broken.items()}
    maps = [picture for picture in maps if picture in seen]
    return Found(sides, split, samples, records, unreadable, refusal, notices, maps)


def read_sides(corpus: Corpus, settings: Config, memory: Memory):
    """The sides that train would have, whose split that is, why it refuses them (or None), and what
    it says."""

    def read(settings: Config) -> tuple[dict[str, list[Sample]], str]:
        training, validation, test, split = load_sides(corpus, memory, settings)
        held = []
        if settings.hold_out:
            training, held = held_out(training, settings.hold_out, settings.seed)
        sides = dict(zip(SIDES, (training, validation, test, held), strict=True))
        return sides, split.origin

    with heard() as notices:
        try:
            return *read(settings), None, notices
        except UsageError as error:
            refusal = str(error)
    with heard():
        sides, split = attempt(read, replace(settings, partial=True)) or ({}, "")
    return {side: sides.get(side, []) for side in SIDES}, split, refusal, notices


def raw_records(corpus: Corpus, settings: Config, memory: Memory, seen: Mapping) -> Mapping | None:
    """The fixations of all stimuli that can be read, those outside them too; in pixels of the
    pictures where it is clear what these are, else as they stand."""
    records, _, fitted = records_of(corpus, True, memory)
    shapes = {n: seen[p].shape for n, p in corpus.stimuli.items() if p in seen}
    records = records and {name: rows for name, rows in records.items() if name in shapes}
    if fitted or not records:
        return records
    recorded = {each.name: each.shape for each in corpus.listed(corpus.files)}
    return attempt(fit_to_pictures, records, shapes, recorded, settings.units) or records


def attempt(function: Callable, *arguments):
    """What a function answers, None where it refuses."""
    try:
        return function(*arguments)
    except UsageError:
        return None


@contextmanager
def heard() -> Iterator[list[str]]:
    """Inside, what is logged is collected in place of being shown."""
    said: list[str] = []
    handler = standard.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.get_absl_logger()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


def bare(name: str, picture: Picture, seen: Seen, records, settings: Config, corpus: Corpus):
    """A sample on no side: its fixations inside the picture are shown all the same."""
    rows = (records or {}).get(name)
    if rows is not None:
        rows = rows.select(inside(rows.x, rows.y, *seen.shape))
    sigma = settings.pixels_per_degree or corpus.sigma
    return Sample(name, picture, seen.shape, rows, sigma=sigma, digest=seen.digest)


def facts_of(corpus: Corpus, settings: Config, found: Found) -> dict:
    """All numbers of the page and of the terminal, JSON-able."""
    samples, records = found.samples, found.records
    looks = [*in_threads(facts.Look, [sample.stimulus for sample in samples])]
    shapes = {sample.name: sample.shape for sample in samples}
    fixations = facts.of_fixations(records, shapes) if records else None
    used = [sample.density_map for sample in samples if sample.density_map]
    drawn = used or ([] if fixations and fixations["observers"] else found.maps)
    maps = [*in_threads(facts.Look, drawn)]
    refused = found.refusal and any(found.sides.values())
    known = {
        "corpus": corpus.address,
        "name": corpus.name,
        "folder": str(corpus.folder),
        "refusal": found.refusal,
        "notices": [
            line for line in dict.fromkeys(found.notices) if not line.startswith("checking")
        ],
        "pictures": facts.of_pictures(samples, looks, settings.size or corpus.size),
        "unreadable": found.unreadable,
        "fixations": fixations,
        "maps": facts.of_maps(maps) if maps else None,
        "sigma": facts.of_sigma(corpus, settings, samples),
        "sides": {side: len(each) for side, each in found.sides.items() if each},
        "split": found.split + ", as with --partial" * bool(refused),
        "duplicates": facts.of_duplicates(samples, looks, found.side),
        "contrast": contrast_of(samples, records, looks),
    }
    return {**known, "warnings": warnings(known)}


def contrast_of(samples: Sequence[Sample], records: Mapping | None, looks: Sequence) -> dict | None:
    """How well fixations follow the pictures, None where nothing is known of them."""
    if records:
        having = [i for i, sample in enumerate(samples) if len(records.get(sample.name, ()))]
        points = [relative(records[samples[i].name], samples[i].shape) for i in having]
    else:
        having = [i for i, sample in enumerate(samples) if sample.density_map]
        having = having[:: -(-len(having) // MAPS) or 1]
        points = relative_points([samples[i] for i in having])
    if len(having) < 2:
        return None
    shapes = [samples[i].shape for i in having]
    names = [samples[i].name for i in having]
    rank = np.argsort(sorted(range(len(names)), key=lambda i: natural(names[i])))
    return facts.of_contrast([looks[i].grid for i in having], points, shapes, rank)


def relative(rows: Fixations, shape: Sequence[int]) -> np.ndarray:
    """(M, 2) x and y as fractions of a picture's sides."""
    return np.stack([rows.x / shape[1], rows.y / shape[0]], 1)
