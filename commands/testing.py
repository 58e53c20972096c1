"""What `test` does, case by case: a run, a baseline, another program's predictions, folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from absl import logging

import storage
from batches.tasks import TASKS
from batches.truth import relative_points
from commands import subjects
from commands.evaluation import Subject, draw, in_threads, negatives_of, rows, yardstick
from commands.priors import Prior, prior_of, suffix
from commands.reporting import difference, measured, report
from commands.sides import is_of, load_sides, record, refuse_other
from commands.training import fit_centre_bias
from config import Config
from data.corpus import Corpus, corpus_name, has_stimuli, in_folder, open_corpus
from data.samples import Sample, fingerprint, pictures
from errors import UsageError
from formats.pictures.decode import decode_whole
from formats.pictures.integrity import Memory
from model.baselines.centre_bias import centre_bias
from model.checkpoints.lineage import changes, refuse_seen
from model.checkpoints.runs import Run, chosen, run_name
from model.networks.registry import MODELS


@dataclass(frozen=True)
class Case:
    """Something to test, on the validation side of a corpus."""

    subject: Subject
    corpus: Corpus
    training: list[Sample]
    tested: list[Sample]


def test(args) -> dict[str, float]:
    """Test what the arguments say; return the means, nothing where there is no truth.

    Raises:
        UsageError: what is asked for is not there, or was trained on what it is to be tested on.
    """
    if (args.kind is None) != (args.predictions is None):
        raise UsageError("--predictions FOLDER and --kind density or saliency belong together")
    if args.prior is not None and not asks_run(args):
        raise UsageError("--prior: only a trained network takes a centre bias")
    if args.compare:
        return difference(args.results, *args.compare) or {}
    Config(folds=args.folds, fold=args.fold)  # refuses what makes no sense
    if args.side == "test" and args.folds and not args.fold:
        raise UsageError(
            f"--side test: all folds have the same, whose pictures would count {args.folds} times; "
            "--fold I tests one of them, --name A+B+... the mean of several runs"
        )
    if args.path and not is_root(args):
        return draw_pictures(args)
    cases = list(all_cases(args))
    # Those of all folds are others to each other.
    negatives = negatives_of([sample for case in cases for sample in case.tested], args.protocol)
    found = []
    for case in cases:
        sides = (case.training, case.tested)
        measure = yardstick(*sides, case.subject, negatives, args)
        found += rows(case.subject, case.tested, measure, args)
    subject = cases[-1].subject
    if len(cases) > 1:
        name = f"{base_name(args)}_{args.folds}folds{suffix(args.prior)}"
        subject = replace(subject, files=Run(args.results, name))
    return report(subject, cases, measured(cases, args), found, args)


def asks_run(args) -> bool:
    """Return whether it is a run that is asked for."""
    return not args.predictions and MODELS[args.model or Config.model].trained


def is_root(args) -> bool:
    """Return whether -p is where corpora lie, not pictures."""
    asked = args.on or args.data or chosen(args.results, args.name, args.model)[1]["address"]
    if not args.path.exists():
        raise UsageError(f"-p {args.path}: no such file or folder")
    return has_stimuli(asked, args.path)


def draw_pictures(args) -> dict:
    """Draw where people will look in pictures without truth."""
    run, about = chosen(args.results, named(args), args.model)
    settings = subjects.settings_of(run, about)
    command = TASKS[settings.task].drawn_by
    if command != "test":
        raise UsageError(
            f"{run.name} looks fixation by fixation: python main.py {command} -p {args.path} "
            f"--name {run.name}"
        )
    samples = pictures(args.path, memory_of(args))
    files = Run(run.results, run.name + suffix(args.prior))
    prior = given_prior(args)
    subject = subjects.of_run(run, about, settings, tuple(about["size"]), files, prior)

    def show(sample: Sample, parts) -> None:
        (part,) = parts
        draw(files, args.format, sample, decode_whole(sample.stimulus), part.log_density)

    in_threads(show, zip(samples, subject.answers(samples), strict=True))
    logging.info("pictures: %s", files.images)
    return {}


def all_cases(args) -> Iterator[Case]:
    """Yield what is to be tested: one case, or one a fold."""
    without = foreign if args.predictions else untrained
    make = trained if asks_run(args) else without
    pooled = args.folds and not args.fold
    for fold in range(1, args.folds + 1) if pooled else [args.fold]:
        yield make(args, fold)


def base_name(args) -> str | None:
    """Return the name of what is asked for, without that of a fold; None for the newest run."""
    if args.name or (args.data is None and not args.predictions):
        return args.name
    if not args.predictions:
        return f"{args.model or Config.model}_{corpus_name(args.data)}"
    name = args.predictions.resolve().name
    return f"{name}_predictions" if Run(args.results, name).best else name


def named(args, fold: int = 0) -> str | None:
    """Return the name of the run that is asked for; None for the newest."""
    base = base_name(args)
    return base and run_name(base, args.folds if fold else 0, fold)


def given_prior(args, corpus: Corpus | None = None, training: Sequence = ()) -> Prior | None:
    """Return the prior that is asked for, in place of that of a run's training."""
    if args.prior is None:
        return None
    root = root_of(args) if corpus else Path("data")  # of pictures without, -p is theirs
    return prior_of(args.prior, root, memory_of(args), corpus, training, args.skip_first)


def sides_of(args, corpus: Corpus, settings: Config, kept: Mapping | None = None):
    """Return the training samples of a corpus, and those that are tested, as a configuration and
    the arguments have them; with the split that a run kept, where one is given."""
    settings = as_asked(args, settings)
    loaded = load_sides(corpus, memory_of(args), settings, args.skip_first, kept)
    if kept and not (args.skip_first or args.pixels_per_degree):  # of which samples change, too
        changed = changes(kept.get("split"), record(loaded))
        if changed:
            logging.warning("%s: %s; scores are by what is there now", corpus.name, changed)
    if args.side == "test" and not loaded.test:
        raise UsageError(f"--side test: {corpus.name} has no test side: {loaded.split}")
    return loaded.train, getattr(loaded, args.side)


def as_asked(args, settings: Config) -> Config:
    """Return a configuration of what is read, but for what the arguments say of it."""
    given = {name: getattr(args, name) for name in ("pixels_per_degree", "units", "outside")}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(settings, partial=settings.partial or args.partial, **given)


def trained(args, fold: int) -> Case:
    """Return a run, or the mean of those whose names `+` joins."""
    name = named(args, fold)
    model = args.model or Config.model
    if MODELS[model].fitted and args.data and not Run(args.results, name).best:
        settings = Config(model=model, folds=args.folds, fold=fold, partial=args.partial)
        fit(args, Run(args.results, name), settings, args.data)
    if name is None or Run(args.results, name).best:
        return one(args, name)
    members = [one(args, member) for member in name.split("+")]
    if len(members) == 1:
        return members[0]
    if any([s.name for s in m.tested] != [s.name for s in members[0].tested] for m in members):
        raise UsageError(f"--name {name}: these runs are validated on other pictures each")
    files = Run(args.results, "+".join(member.subject.files.name for member in members))
    return replace(
        members[0], subject=subjects.mixture(files, [member.subject for member in members])
    )


def one(args, name: str | None) -> Case:
    """Return a run, on its own corpus or another one: there at that corpus' geometry."""
    run, about = chosen(args.results, name, args.model)
    settings, corpus = subjects.settings_of(run, about), corpus_of(args, about)
    fitted = MODELS[settings.model].fitted
    size, files = tuple(about["size"]), run
    if not (args.name or args.on):
        refuse_other(run, corpus, memory_of(args))
    if fitted:
        fit(args, run, settings, about["address"], about.get("training", ""))
        run, about = chosen(args.results, run.name)
    sides = replace(settings, subset=None)  # what is gained is over all of the training side's bias
    home = is_of(run, corpus, memory_of(args))
    if not home:
        usual = {"pixels_per_degree": None, "units": None, "outside": "refuse"}
        sides = replace(sides, **usual, folds=0, fold=0, partial=False)
        size, files = corpus.size, run.on(corpus.name)
    files = Run(files.results, files.name + suffix(args.prior))
    training, tested = sides_of(args, corpus, sides, about if home else None)
    both = [*training, *tested]
    refuse_seen(about, corpus, tested, f"{run.name} cannot be tested", known=both)
    prior = given_prior(args, corpus, training)
    subject = subjects.of_run(run, about, settings, size, files, prior)
    if prior:
        subject = replace(subject, line=f"{subject.line}; prior: {args.prior}")
    if fitted and args.skip_first:
        known, _ = sides_of(args, open_corpus(about["address"], root_of(args)), settings)
        bias = centre_bias(relative_points(known))
        subject = replace(subject, answers=subjects.everywhere(bias.log_density))
    return Case(subject, corpus, training, tested)


def fit(args, run: Run, settings: Config, name: str, before: str | None = None) -> None:
    """Fit a centre bias on a corpus, a matter of seconds, unless it was fitted on the very same
    fixations, whose fingerprint was `before`."""
    try:
        corpus = open_corpus(name, root_of(args))
    except UsageError:
        if before is None:
            raise
        notice = "%s: %s is not found below %s; it stays as it was fitted"
        logging.info(notice, run.name, name, root_of(args))
        return
    settings = settings if args.on else as_asked(args, settings)
    loaded = load_sides(corpus, memory_of(args), settings)
    refuse_other(run, corpus, memory_of(args))
    if fingerprint(loaded.train) != before:
        fit_centre_bias(settings, corpus, run, loaded)


def untrained(args, fold: int) -> Case:
    """Return a baseline that nothing is trained for."""
    corpus = corpus_of(args)
    training, tested = sides_of(args, corpus, Config(folds=args.folds, fold=fold))
    answers = subjects.UNTRAINED[args.model](training, tested)
    name = args.name or run_name(f"{args.model}_{corpus.name}", args.folds, fold)
    files = Run(args.results, name)
    return Case(Subject(files, MODELS[args.model].title, answers), corpus, training, tested)


def foreign(args, fold: int) -> Case:
    """Return what another program predicted."""
    corpus = corpus_of(args)
    training, tested = sides_of(args, corpus, Config(folds=args.folds, fold=fold))
    answers = subjects.foreign(args.predictions, args.kind)
    line = f"{args.kind} maps of {args.predictions}"
    files = Run(args.results, named(args, fold))
    return Case(Subject(files, line, answers), corpus, training, tested)


def corpus_of(args, about: dict | None = None) -> Corpus:
    """Return the corpus that is tested on."""
    asked = args.on or args.data or (about or {}).get("address")
    if asked is None:
        raise UsageError("-d CORPUS is needed: which corpus to test on")
    if about and not (args.on or args.data) and "/" in asked and not in_folder(asked):
        raise UsageError(f"{asked}, whose run it is, is not there; -d FOLDER says where it is now")
    return open_corpus(asked, root_of(args))


def root_of(args) -> Path:
    """Return where corpora lie."""
    return args.path or Path("data")


def memory_of(args) -> Memory:
    """Return what tells which pictures were checked."""
    return Memory(args.cache_dir or storage.cache(args.results))
