"""Which metrics a training measures: those that are asked for, and those that truth allows."""

from collections.abc import Sequence

from absl import logging

from config import weights
from errors import UsageError, near
from model.metrics.registry import METRICS


def listed(asked: str | None) -> list[str]:
    """Return `kld, nss` as ["kld", "nss"]."""
    return [name.strip() for name in asked.split(",")] if asked else []


def check_names(loss: str, asked: str | None) -> None:
    """Raise UsageError where a loss or a metric of a training run has no such name; warn of a
    term of the loss whose sign makes it worse."""
    training = [name for name, metric in METRICS.items() if metric.training]
    losses = [name for name in training if METRICS[name].loss]
    for flag, names, allowed in (
        ("loss", weights(loss), losses),
        ("metrics", listed(asked), training),
    ):
        for name in names:
            if name not in allowed:
                raise UsageError(
                    f"--{flag} {name}: must be of {', '.join(allowed)}{near(name, allowed)}"
                )
    for name, weight in weights(loss).items():
        if weight * METRICS[name].direction > 0:
            warning = "--loss %s: %s becomes worse with a weight of %g; a loss is made small"
            logging.warning(warning, loss, name, weight)


def choose(loss: str, asked: str | None, known: Sequence[str]) -> list[str]:
    """Return the metrics of a training run, given the truth that its samples know.

    What was asked for, or is a term of the loss, and lacks its truth is an error that names it;
    a default metric is left out with a notice.
    """
    lacks = {name: ", ".join(sorted(metric.needs - {*known})) for name, metric in METRICS.items()}
    for name in [*weights(loss), *listed(asked)]:
        if lacks[name]:
            raise UsageError(f"{name} needs {lacks[name]}, which the corpus does not have")
    if asked:
        return listed(asked)
    default = [name for name, metric in METRICS.items() if metric.default]
    for name in filter(lacks.get, default):
        logging.warning("%s is left out: there is no %s", name, lacks[name])
    return [name for name in default if not lacks[name]]
