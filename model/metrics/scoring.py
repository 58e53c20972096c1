"""The final test: all metrics of a protocol, of one picture."""

import math
from collections.abc import Mapping

from model.metrics.picture import Picture
from model.metrics.registry import METRICS


def score(
    log_density,
    known: Mapping,
    baseline,
    saliency=None,
    protocol: str = "tuebingen",
    whole: bool = True,
    maps: Mapping | None = None,
) -> dict[str, float]:
    """Return the metrics of a protocol that the truth allows, by name, of one picture, in float64;
    NaN for what is not defined without fixations, or without negatives. Values of two protocols are
    not comparable.

    Args:
        log_density: (height, width), nats; -inf is allowed, and honest in LL and IG.
        known: `density`, `fixations`, `negatives` or some of them, each (height, width), as the
            metrics have them.
        baseline: the log-density (height, width) over which information is gained.
        saliency: the map (height, width) that was predicted, where it was no density: all but LL
            and IG are taken of it as pysaliency does. AUC knows its order alone; else it counts as
            a density.
        whole: whether this is all that is answered for the picture, not for some of its fixations.
        maps: those of `maps.tuebingen`, where each metric is scored on the map made for it.
    """
    truths = {**known, "baseline": baseline}
    pictures = {None: Picture(log_density, truths, saliency)}

    def scored(metric) -> float:
        made_for = metric.map if maps else None
        if made_for and maps[made_for] is None:
            return math.nan
        if made_for not in pictures:
            pictures[made_for] = Picture(log_density, truths, maps[made_for])
        return metric.of_picture(pictures[made_for])

    return {
        name: scored(metric)
        for name, metric in METRICS.items()
        if protocol in metric.protocols and metric.final
        if metric.needs <= truths.keys() and (whole or not metric.whole)
    }
