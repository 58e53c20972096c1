"""All metrics: to define a record in a module that FAMILIES lists registers it.

Their order is that of columns in tables.
"""

from model.metrics import areas, densities, likelihood, mit
from model.metrics.metric import Metric

FAMILIES = (likelihood, areas, densities, mit)
METRICS = {
    metric.name: metric
    for family in FAMILIES
    for metric in vars(family).values()
    if isinstance(metric, Metric)
}
_LABELLED = {metric.label: metric for metric in METRICS.values()}


def labelled(label: str) -> Metric:
    """Return the metric of a table's column; one of which nothing is known where there is none."""
    return _LABELLED.get(label) or Metric(name=label, label=label)


def average(name: str, total, weight):
    """Return `Metric.average` of the metric of a name, and the mean of what is no metric."""
    return (METRICS.get(name) or labelled(name)).average(total, weight)
