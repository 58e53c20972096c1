"""What a metric is: a record, from which training, test, tables and comparisons know all of it."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import truediv

from model.metrics.picture import Counts, Picture

HIGHER, LOWER = 1, -1
ALWAYS = {"picture", "log_density", "valid"}  # what every prediction has; the rest is truth
DEPENDENCIES = ("baseline", "negatives", "density")


@dataclass(frozen=True)
class Metric:
    """A metric, written once. The names of its functions' parameters say what it needs.

    name, label: as `--loss` and `--metrics` write it, and as the field and the tables do.
    unit: what its numbers mean. direction: HIGHER or LOWER is better; 0: neither.
    final: `picture`, a Picture, and truths of it -> a float; exact, in float64 NumPy.
    training: keys of a batch and `log_density`, (B, H, W, 1) -> one number per sample, (B,), in the
        dtype of `log_density`, by keras.ops; padding counts nowhere.
    protocols: of the final test that it belongs to.
    loss: whether it may be a term of the loss; its gradients are finite for every finite
        prediction. default: whether a training measures it unasked.
    whole: whether it is defined for the whole answer to a picture alone, not for some fixations.
    map: the map of `maps.tuebingen` on which `--maps` scores it; None: on the density itself.
    finish: what makes its value of the weighted sum over samples and the weights' sum: their mean,
        or what is accumulated over all; `final` may then give an array, such as counts of hits.
    """

    name: str
    label: str
    unit: str = ""
    direction: int = 0
    final: Callable[..., float] | None = None
    training: Callable | None = None
    protocols: tuple[str, ...] = ("tuebingen",)
    loss: bool = False
    default: bool = False
    whole: bool = False
    map: str | None = None
    finish: Callable = truediv

    @cached_property
    def needs(self) -> set[str]:
        """The truths that it takes: `fixations`, `density`, `negatives`, `baseline`."""
        return {*_parameters(self.final), *_parameters(self.training)} - ALWAYS

    @property
    def depends_on(self) -> str | None:
        """What its numbers depend on beside pictures and their fixations."""
        return next((truth for truth in DEPENDENCIES if truth in self.needs), None)

    @property
    def accumulated(self) -> bool:
        """Whether it says nothing of a single sample."""
        return self.finish is not truediv

    def of_picture(self, picture: Picture):
        """Return the final value; NaN where it is not defined without fixations or negatives."""
        truths = {name: picture.truths[name] for name in self.needs}
        if not self.accumulated and any(
            isinstance(x, Counts) and not len(x.places) for x in truths.values()
        ):
            return math.nan
        return self.final(picture, **truths)

    def of_batch(self, values: Mapping):
        """Return the training's values (B,)."""
        return self.training(**{name: values[name] for name in _parameters(self.training)})


def _parameters(function: Callable | None) -> list[str]:
    """Return the names of a function's parameters, those aside that have a default."""
    parameters = inspect.signature(function).parameters.values() if function else ()
    return [p.name for p in parameters if p.default is p.empty]
