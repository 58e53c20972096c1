"""All metrics: to define a record in a module that FAMILIES lists registers it.

Their order is that of columns in tables.
"""

from operator import truediv

from model.metrics import areas, densities, likelihood, mit
from model.metrics.metric import Metric

FAMILIES = (likelihood, areas, densities, mit)
METRICS = {
    metric.name: metric
    for family in FAMILIES
    for metric in vars(family).values()
    if isinstance(metric, Metric)
}


def labelled(label: str) -> Metric:
    """Return the metric of a table's column; one of which nothing is known where there is none."""
    return next((m for m in METRICS.values() if m.label == label), Metric(label, label))


def finish(name: str, total, weight):
    """Return the value of a metric, or the mean of what is none, from its weighted sum."""
    return (METRICS[name].finish if name in METRICS else truediv)(total, weight)
