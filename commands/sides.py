"""The samples of a corpus' sides, and the record of them that a run keeps."""

from collections.abc import Mapping
from pathlib import Path

from config import Config
from data.corpus import Corpus
from data.samples import Loaded, load
from data.splits import SIDES, Given, Ratio, Split
from errors import UsageError
from formats.pictures import integrity
from formats.pictures.integrity import Memory
from model.checkpoints.lineage import same_corpus
from model.checkpoints.runs import Run, chain_of, read_about


def load_sides(
    corpus: Corpus,
    memory: Memory,
    settings: Config,
    skip_first: bool = False,
    kept: Mapping | None = None,
) -> Loaded:
    """Return a corpus' samples by side, as a configuration has them.

    Args:
        memory: of which pictures were checked.
        skip_first: the first fixation of each scanpath does not count.
        kept: what the JSON of a run's checkpoint says, whose split it is to be.
    """
    split = kept_split(corpus, kept) if kept is not None else None
    fold = (settings.fold, settings.folds) if settings.fold else None
    return load(
        corpus,
        memory,
        settings.partial,
        settings.pixels_per_degree,
        fold=None if isinstance(split, Given) else fold,
        subset=Path(settings.subset) if settings.subset else None,
        skip_first=skip_first,
        split=split,
        units=settings.units,
        drop=settings.outside == "drop",
    )


def kept_split(corpus: Corpus, kept: Mapping) -> Split | None:
    """Return the split that a run keeps; of a run from before runs kept one, what it was then."""
    if kept.get("split") is None:
        return Ratio(4, 1) if corpus.own else None
    sides = {name: side for side in SIDES for name in kept["split"][side]}
    absent = [name for name in sides if name not in corpus.stimuli]
    if absent:
        raise UsageError(
            f"{corpus.folder}: {len(absent)} pictures of the run's split are not there, first "
            f"'{absent[0]}'; put them back, or train another run (--fresh, or --name NAME)"
        )
    return Given(sides, f"as the run keeps it ({kept['split']['origin']})")


def record(loaded: Loaded) -> dict:
    """Return the split as a run keeps it: the sample digest of each name on each side, empty where
    a sample was left out, and whose split it is."""
    digests = {s.name: s.content for s in [*loaded.train, *loaded.valid, *loaded.test]}
    sides = {side: {n: digests.get(n, "") for n in getattr(loaded.split, side)} for side in SIDES}
    return {"origin": loaded.split.origin, **sides}


def is_of(run: Run, corpus: Corpus, memory: Memory) -> bool:
    """Return whether a run's best weights were trained on a corpus: by its name, and of a folder
    without a class by a picture that both have."""
    about = read_about(run)
    trained = chain_of(about, run.name)[0]["train"] or {}
    common = {n: p for n, p in corpus.stimuli.items() if corpus.own and n in trained}
    seen = integrity.check(common.values(), memory)
    digests = {name: seen[picture].digest for name, picture in common.items()}
    return same_corpus(about["corpus"], trained, corpus, digests)


def refuse_other(run: Run, corpus: Corpus, memory: Memory) -> None:
    """Raise UsageError where a run's files are of another folder that has the corpus' name."""
    # Weights of before without a JSON are of a training that was killed between the two.
    best = run.best
    if not best or not best.record.is_file() or read_about(run)["corpus"] != corpus.name:
        return
    if not is_of(run, corpus, memory):
        raise UsageError(
            f"{run.name} is a run of another folder called {corpus.name}, which has none of the "
            f"pictures of {corpus.folder}; --name NAME calls this run something else"
        )
