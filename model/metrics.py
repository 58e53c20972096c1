"""Metrics by the Tuebingen protocol, and the losses that are metrics too: one definition of each.

As for losses: one number per sample, (B,), parameters named after what they need.
"""

import inspect
import math
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging
from keras import ops

from config import UsageError, near, weights
from model.losses import LOSSES, per_fixation

_MAP = (1, 2, 3)


def auc(fixations, log_density, valid):
    """Area under the ROC curve with every valid pixel as a negative, 0..1.

    Ties count half, repeated fixations count repeatedly (pysaliency's uniform AUC). Exact, by
    ranks; .5 without fixations.
    """
    values, fixations, inside = (
        ops.reshape(x, (ops.shape(x)[0], -1)) for x in (log_density, fixations, valid)
    )
    count = ops.sum(ops.cast(ops.greater(inside, 0), "int32"), axis=1)
    # Log-densities are 0 at most, so padding sorts behind every valid pixel and ranks nothing.
    values = ops.where(ops.greater(inside, 0), values, 1)
    order = ops.argsort(values, axis=1)
    fixations = ops.cast(ops.take_along_axis(fixations, order, axis=1), values.dtype)
    first, after = _runs(ops.take_along_axis(values, order, axis=1))
    below = ops.cast(first + after, values.dtype) / 2
    share = below / ops.cast(ops.maximum(count, 1), values.dtype)[:, None]
    total = ops.sum(fixations, axis=1)
    area = ops.sum(fixations * share, axis=1) / ops.maximum(total, 1)
    return ops.where(ops.greater(total, 0), area, 0.5)


def _runs(ordered):
    """For every element of sorted rows (B, N): where its run of equals begins, and the next one."""
    size = ops.shape(ordered)[1]
    new = ops.concatenate(
        [ops.ones_like(ordered[:, :1], dtype="bool"), ordered[:, 1:] != ordered[:, :-1]], axis=1
    )
    run = ops.cumsum(ops.cast(new, "int32"), axis=1) - 1
    begins = ops.sort(ops.where(new, ops.arange(size, dtype="int32")[None], size), axis=1)
    begins = ops.concatenate([begins, ops.full_like(begins[:, :1], size)], axis=1)
    return ops.take_along_axis(begins, run, axis=1), ops.take_along_axis(begins, run + 1, axis=1)


def ll(fixations, log_density, valid):
    """Log-likelihood against the uniform density, bits per fixation; 0 without fixations."""
    valid = ops.cast(valid, log_density.dtype)
    pixels = ops.sum(valid, axis=_MAP, keepdims=True)
    return per_fixation(fixations, log_density + ops.log(pixels)) / math.log(2)


def ig(fixations, log_density, baseline):
    """Information gain over `baseline`, a log-density (B, H, W, 1), in bits per fixation.

    Kuemmerer, Wallis, Bethge, PNAS 112, 2015; the baseline is the centre bias as a rule.
    """
    baseline = ops.cast(baseline, log_density.dtype)
    return per_fixation(fixations, log_density - baseline) / math.log(2)


DEFAULT = ("kld", "cc", "sim", "nss")
FINAL = ("ig", "auc", "nss", "cc", "sim", "kld")
METRICS = LOSSES | {function.__name__: function for function in (auc, ll, ig)}


def needs(function):
    """The keys of batch and outputs that a loss or metric takes: its parameters' names."""
    return tuple(inspect.signature(function).parameters)


def call(function, values):
    """Apply a loss or metric to a dict that holds what it needs; UsageError names what lacks."""
    missing = [key for key in needs(function) if key not in values]
    if missing:
        raise UsageError(
            f"{function.__name__} needs {', '.join(missing)}; there is {', '.join(sorted(values))}"
        )
    return function(**{key: values[key] for key in needs(function)})


def listed(asked: str | None) -> list[str]:
    """`kld, nss` as ["kld", "nss"]."""
    return [name.strip() for name in asked.split(",")] if asked else []


def check_names(loss: str, asked: str | None) -> None:
    """Raises UsageError where a loss or a metric of a training run has no such name."""
    training = [name for name in METRICS if "baseline" not in needs(METRICS[name])]
    for flag, names, known in (
        ("loss", weights(loss), LOSSES),
        ("metrics", listed(asked), training),
    ):
        for name in names:
            if name not in known:
                raise UsageError(
                    f"--{flag} {name}: must be of {', '.join(known)}{near(name, known)}"
                )


def choose(loss: str, asked: str | None, known: Sequence[str]) -> list[str]:
    """The metrics of a training run, given the truth that its samples know.

    What was asked for, or is a term of the loss, and lacks its truth is an error that names it;
    a default metric is left out with a notice.
    """
    there = {*known, "log_density", "valid"}
    for name in [*weights(loss), *listed(asked)]:
        lacks = sorted({*needs(METRICS[name])} - there)
        if lacks:
            raise UsageError(f"{name} needs {', '.join(lacks)}, which the corpus does not have")
    if asked:
        return listed(asked)
    possible = [name for name in DEFAULT if {*needs(METRICS[name])} <= there]
    for name in set(DEFAULT) - set(possible):
        logging.warning("%s is left out: the corpus has maps, no fixations", name)
    return possible


def score(log_density, known: Mapping, baseline) -> dict[str, float]:
    """All metrics that the truth allows, of one log-density (height, width), in its precision.

    Args:
        known: `density` and maybe `fixations`, each (height, width).
        baseline: the log-density (height, width) over which information is gained.
    """
    values = {**known, "log_density": log_density, "baseline": baseline}
    values["valid"] = np.ones_like(log_density)
    batch = {name: ops.convert_to_tensor(value[None, ..., None]) for name, value in values.items()}
    return {
        name: float(METRICS[name](**{key: batch[key] for key in needs(METRICS[name])})[0])
        for name in FINAL
        if {*needs(METRICS[name])} <= {*batch}
    }
