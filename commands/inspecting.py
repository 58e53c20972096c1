"""What `inspect` does: reads a corpus as train would, says and draws what is in it."""

import json
import logging as standard
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from absl import logging

import storage
from commands.sides import load_sides
from config import Config
from data.corpus import Corpus, corpus_name, open_corpus
from data.records import records_of
from data.samples import Sample
from data.splits import held_out
from errors import UsageError
from formats.coordinates import fit_to_pictures
from formats.fixations import Fixations, inside
from formats.layout import below
from formats.pictures import integrity
from formats.pictures.integrity import Memory, Seen, in_threads
from inspection import contrast, facts, fixations
from inspection.looks import Look
from inspection.views import draw_batch, draw_duplicates, draw_views
from model.checkpoints.runs import Run, jsonable, write_json
from report.inspection import lines, write_page
from report.warnings import warnings

SIDES = ("train", "validate", "test", "held out")


def inspect(args, settings: Config) -> None:
    """Write a page, its pictures and its numbers as JSON; say the numbers, warnings first."""
    if settings.folds:
        settings = replace(settings, fold=settings.fold or 1)
    run = Run(args.results, f"{corpus_name(args.data)}.inspect")
    corpus = open_corpus(args.data, args.path)
    cache = args.cache_dir or storage.cache(args.results)
    reading = gather(corpus, settings, Memory(cache if settings.cache else None))
    known = facts_of(corpus, settings, reading)
    known["views"] = draw_views(run, reading.samples, reading.records, reading.side, known)
    known["twice"] = draw_duplicates(run, reading.samples, reading.side, known["duplicates"])
    known["batch"] = draw_batch(run, reading.sides["train"], settings, known["pictures"]["input"])
    known["page"] = str(run.page)
    write_json(run.page.with_suffix(".json"), known)
    write_page(run.page, jsonable(known))
    print(json.dumps(jsonable(known), indent=1) if args.json else "\n".join(lines(known)))


@dataclass
class Reading:
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
    maps: list[Path]

    @property
    def side(self) -> dict[str, str]:
        """Return the side that a sample is on, by its name."""
        return {sample.name: side for side, samples in self.sides.items() for sample in samples}


def gather(corpus: Corpus, settings: Config, memory: Memory) -> Reading:
    """Read a corpus as train would; where that refuses, what can be had of it."""
    maps = [*below(corpus.files, "saliency", pictures=True).values()]
    maps = maps or [*below(corpus.files, "fixations", pictures=True).values()]
    seen, broken = integrity.look([*corpus.stimuli.values(), *maps], memory)
    sides, split, refusal, notices = read_sides(corpus, settings, memory)
    with heard():
        records = attempt(raw_records, corpus, settings, memory, seen)
    loaded = {sample.name: sample for samples in sides.values() for sample in samples}
    samples = [
        loaded.get(name) or bare(name, picture, seen[picture], records, settings, corpus)
        for name, picture in corpus.stimuli.items()
        if picture in seen
    ]
    names = {picture: name for name, picture in corpus.stimuli.items()}
    unreadable = {names.get(picture, str(picture)): why for picture, why in broken.items()}
    maps = [picture for picture in maps if picture in seen]
    return Reading(sides, split, samples, records, unreadable, refusal, notices, maps)


def read_sides(corpus: Corpus, settings: Config, memory: Memory):
    """Return the sides that train would have, whose split that is, why it refuses them (or None),
    and what it says."""

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
    """Return the fixations of all stimuli that can be read, those outside them too; in pixels of
    the pictures where it is clear what these are, else as they stand."""
    records, _, fitted = records_of(corpus, True, memory)
    shapes = {n: seen[p].shape for n, p in corpus.stimuli.items() if p in seen}
    records = records and {name: rows for name, rows in records.items() if name in shapes}
    if fitted or not records:
        return records
    recorded = {each.name: each.shape for each in corpus.listed(corpus.files)}
    return attempt(fit_to_pictures, records, shapes, recorded, settings.units) or records


def attempt(function: Callable, *arguments):
    """Return what a function answers, None where it refuses."""
    try:
        return function(*arguments)
    except UsageError:
        return None


@contextmanager
def heard() -> Iterator[list[str]]:
    """Collect what is logged inside in place of showing it."""
    messages: list[str] = []
    handler = standard.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.get_absl_logger()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield messages
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


def bare(name: str, picture: Path, seen: Seen, records, settings: Config, corpus: Corpus):
    """Return a sample on no side: its fixations inside the picture are shown all the same."""
    rows = (records or {}).get(name)
    if rows is not None:
        rows = rows.select(inside(rows.x, rows.y, *seen.shape))
    sigma = settings.pixels_per_degree or corpus.sigma
    return Sample(name, picture, seen.shape, rows, sigma=sigma, digest=seen.digest)


def facts_of(corpus: Corpus, settings: Config, reading: Reading) -> dict:
    """Return all numbers of the page and of the terminal, JSON-able."""
    samples, records = reading.samples, reading.records
    looks = [*in_threads(Look, [sample.stimulus for sample in samples])]
    shapes = {sample.name: sample.shape for sample in samples}
    record = fixations.of_fixations(records, shapes) if records else None
    maps = [sample.density_map for sample in samples if sample.density_map]
    maps = maps or ([] if record and record["observers"] else reading.maps)
    notices = [line for line in dict.fromkeys(reading.notices) if not line.startswith("checking")]
    refused = reading.refusal and any(reading.sides.values())
    known = {
        "corpus": corpus.address,
        "name": corpus.name,
        "folder": str(corpus.folder),
        "refusal": reading.refusal,
        "notices": notices,
        "pictures": facts.of_pictures(samples, looks, settings.size or corpus.size),
        "unreadable": reading.unreadable,
        "fixations": record,
        "maps": facts.of_maps([*in_threads(Look, maps)]),
        "sigma": facts.of_sigma(corpus, settings, samples),
        "sides": {side: len(part) for side, part in reading.sides.items() if part},
        "split": reading.split + ", as with --partial" * bool(refused),
        "duplicates": facts.of_duplicates(samples, looks, reading.side),
        "contrast": contrast.of_samples(samples, records, [look.grid for look in looks]),
    }
    return {**known, "warnings": warnings(known)}
