"""The history of a training, as a table and as a picture of its curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION, GREY = "#b07a2a", "#1f5f8b", "#6b6b6b"
MAX_COLUMNS = 4


def save_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write one row an epoch as CSV, and the curves beside it as PNG."""
    names = list(dict.fromkeys(name for row in history for name in row))
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(history)
    columns = {name: np.array([row.get(name, math.nan) for row in history]) for name in names}
    save_curves(path.with_suffix(".png"), columns)


def save_curves(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Draw the losses large, and one small panel per validation metric below them, as PNG.

    A column `<metric>` of the training is drawn beside `val_<metric>`; other columns (seconds,
    learning rate) are not drawn, and values that are not finite are gaps. The epoch of the lowest
    validation loss is marked.
    """
    metrics = [name.removeprefix("val_") for name in columns if name.startswith("val_")]
    metrics = [name for name in metrics if name != "loss"]
    figure, loss_axes, small = _panels(len(metrics))
    losses = columns.get("val_loss", np.array([math.nan]))
    finite = np.where(np.isfinite(losses), losses, math.inf)
    best = int(finite.argmin()) if np.isfinite(finite).any() else None
    for axes, name in zip([loss_axes, *small], ["loss", *metrics], strict=True):
        _draw(axes, columns, name, best)
    loss_axes.set_ylabel("loss")
    loss_axes.set_title(path.stem, loc="left", fontsize=11, color="#222222")
    if best is not None:  # beside the title, where no line can run through it
        place = {"loc": "lower right", "bbox_to_anchor": (1, 0.99)}
        loss_axes.legend(frameon=False, fontsize=9, ncols=3, **place)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)


def _panels(count: int) -> tuple[Figure, Axes, list[Axes]]:
    """Return a figure with one wide panel and `count` small ones below, not known to pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = max(1, min(count, MAX_COLUMNS))
    below = math.ceil(count / wide)
    figure = Figure(figsize=(8, 3.4 + 1.8 * below), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + below, wide, height_ratios=[1.8] + [1] * below)
    small = [figure.add_subplot(grid[1 + i // wide, i % wide]) for i in range(count)]
    return figure, figure.add_subplot(grid[0, :]), small


def _draw(axes: Axes, columns: Mapping[str, np.ndarray], name: str, best: int | None) -> None:
    """Draw a loss or metric of training and validation over the epochs, `best` one marked."""
    from matplotlib.ticker import MaxNLocator

    epochs = columns["epoch"]
    style = {"linewidth": 1.6, "marker": "o", "markersize": 3.5 if len(epochs) <= 40 else 0}
    sides = ((name, "training", TRAINING), (f"val_{name}", "validation", VALIDATION))
    for column, label, colour in sides:
        if column in columns:
            values = np.where(np.isfinite(columns[column]), columns[column], math.nan)
            axes.plot(epochs, values, color=colour, label=label, **style)
    if best is not None:
        style = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 0}
        axes.axvline(epochs[best], label=f"best epoch ({epochs[best]:g})", **style)
    if epochs[0] == epochs[-1]:  # room for fractions of an epoch, which the locator would take
        axes.set_xticks(epochs[:1])
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    else:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if name != "loss":
        axes.set_title(name.upper(), fontsize=9)
    axes.set_xlabel("epoch", fontsize=9)
    axes.tick_params(labelsize=8, colors="#444444")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
