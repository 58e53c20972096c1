"""What a network is told of where people look whatever the picture: the centre bias, or --prior."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import storage
from batches.truth import relative_points
from commands.sides import load_sides
from config import Config
from data.corpus import Corpus, in_folder, open_corpus, registered
from data.samples import Sample
from errors import UsageError
from formats.pictures.arrays import read_array
from formats.pictures.integrity import Memory
from model.baselines.centre_bias import UNIFORM, Prior, Template, centre_bias, left_out, load_prior
from model.checkpoints.folders import find

PriorOf = Callable[[Sample, int, int], np.ndarray]  # a sample's prior at (height, width)


def prior_of(
    asked: str,
    root: Path,
    memory: Memory,
    corpus: Corpus | None = None,
    training: Sequence[Sample] = (),
    skip_first: bool = False,
) -> Prior:
    """Return the prior that is asked for.

    Args:
        asked: `uniform`; a file: a .npy of natural logarithms, or the .h5 that a run left; a
            checkpoint's folder, for the one in it; or a corpus, or a folder of one's own, whose
            training side's centre bias it is.
        root: where corpora lie.
        corpus, training: what is trained or tested on, if anything, and its training side, which is
            taken where that corpus is asked for.
        skip_first: of another corpus too, the first fixation of each scanpath does not count.

    Raises:
        UsageError: there is no such file or corpus, or the file holds something else.
    """
    if asked == "uniform":
        return UNIFORM
    path = file_of(asked)
    if path:
        return read_template(path) if path.suffix.lower() == ".npy" else load_prior(path)
    if corpus is None or not is_own(asked, corpus):
        try:
            corpus = open_corpus(asked, root)
        except UsageError as error:
            allowed = "uniform, a file or a corpus"
            raise UsageError(f"--prior {asked!r}: must be {allowed} ({error})") from None
        training, *_ = load_sides(corpus, memory, Config(), skip_first)
    return centre_bias(relative_points(training))


def file_of(asked: str) -> Path | None:
    """Return the file that a prior is asked for by, in a checkpoint's folder too, if it is."""
    path = storage.path(asked)
    if path.is_file():
        return path
    checkpoint = find(path)
    return checkpoint and checkpoint.centre_bias


def read_template(path: Path) -> Template:
    """Return the grid of natural logarithms in a .npy file, such as DeepGaze's centre biases.

    Raises:
        UsageError: they are not finite, of two axes, or a density's own values, all above 0.
    """
    values = np.asarray(read_array(path), np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise UsageError(f"--prior {path}: must be finite numbers of two axes, height and width")
    if values.min() >= 0 and values.max() > 0:
        raise UsageError(f"--prior {path}: holds a density; its natural logarithm is needed")
    return Template(values)


def of_training(
    asked: str | None,
    corpus: Corpus,
    root: Path,
    memory: Memory,
    training: Sequence[Sample],
    begun: Path | None = None,
) -> tuple[Prior, PriorOf]:
    """Return the prior of a training run, and what gives each of its samples one.

    Of the corpus' own centre bias a training picture gets what the other folds' pictures say, as a
    new picture will.

    Args:
        begun: the file of the prior that a run which goes on began with; what was asked for may be
            another by now.
    """
    if asked is not None and not is_own(asked, corpus):
        prior = load_prior(begun) if begun else prior_of(asked, root, memory)
        return prior, same_for_all(prior)
    points = relative_points(training)
    prior = centre_bias(points)
    of_others = left_out(points, prior)
    index_of = {sample.name: index for index, sample in enumerate(training)}

    def of_sample(sample: Sample, height: int, width: int) -> np.ndarray:
        if sample.name in index_of:
            return of_others(index_of[sample.name], height, width)
        return prior.log_density(height, width)

    return prior, of_sample


def is_own(asked: str, corpus: Corpus) -> bool:
    """Return whether what is asked for is the very corpus, however it is spelled."""
    if asked == "uniform" or file_of(asked):
        return False
    folder = in_folder(asked)
    if folder is not None:
        return folder.resolve() == corpus.folder.resolve()
    return getattr(registered(asked), "name", None) == corpus.name


def same_for_all(prior: Prior) -> PriorOf:
    """Return what gives every sample the same prior."""
    return lambda sample, height, width: prior.log_density(height, width)


def suffix(asked: str | None) -> str:
    """Return what tells the files of a run with another prior from its own."""
    return "" if asked is None else "_prior-" + re.sub(r"[^\w.+]+", "-", asked).strip("-")
