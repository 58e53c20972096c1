"""The curve of a training, drawn from its history."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

from model.metrics.registry import METRICS
from storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION, GREY = "#b07a2a", "#1f5f8b", "#6b6b6b"
MAX_COLUMNS = 4


def save_curve(history_csv: Path, path_png: Path) -> None:
    """Draws the losses large and one small panel per validation metric below them, as PNG.

    The CSV has a column `epoch`, a column `loss` and, where there was a validation, `val_loss` and
    `val_<metric>`; a training column `<metric>` is drawn beside its `val_<metric>`. Other columns
    (seconds, learning rate) are not drawn; empty and non-finite values are gaps. The epoch of
    the lowest validation loss is marked. Raises ValueError if there is no epoch or no loss.
    """
    columns = _read(history_csv)
    metrics = [name.removeprefix("val_") for name in columns if name.startswith("val_")]
    metrics = [name for name in metrics if name != "loss"]
    figure, loss_axes, small = _panels(len(metrics))
    best = _lowest(columns.get("val_loss", []))
    for axes, name in zip([loss_axes, *small], ["loss", *metrics], strict=True):
        _draw(axes, columns, name, best)
    loss_axes.set_title(history_csv.stem, loc="left", fontsize=11, color="#222222")
    if best is not None:  # beside the title, where no line can run through it
        loss_axes.legend(
            frameon=False, fontsize=9, ncols=3, loc="lower right", bbox_to_anchor=(1, 0.99)
        )
    with replacing(path_png) as part:
        figure.savefig(part, format="png", dpi=150)


def _read(history_csv: Path) -> dict[str, list[float]]:
    """Columns as floats; what is no number is NaN."""
    with history_csv.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, names = list(reader), reader.fieldnames or []
    missing = [name for name in ("epoch", "loss") if name not in names]
    if missing or not rows:
        found = ", ".join(names) or "nothing"
        raise ValueError(
            f"{history_csv}: {len(rows)} epochs with columns {found}; a curve needs one epoch "
            "and the columns epoch and loss"
        )
    return {name: [_number(row[name]) for row in rows] for name in names}


def _number(text: str | None) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _lowest(values: list[float]) -> int | None:
    known = [(value, i) for i, value in enumerate(values) if not math.isnan(value)]
    return min(known)[1] if known else None


def _panels(count: int) -> tuple[Figure, Axes, list[Axes]]:
    """A figure with one wide panel and `count` small ones below, not known to pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = max(1, min(count, MAX_COLUMNS))
    below = math.ceil(count / wide)
    figure = Figure(figsize=(8, 3.4 + 1.8 * below), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + below, wide, height_ratios=[1.8] + [1] * below)
    loss = figure.add_subplot(grid[0, :])
    small = [figure.add_subplot(grid[1 + i // wide, i % wide]) for i in range(count)]
    return figure, loss, small


def _draw(axes: Axes, columns: dict[str, list[float]], name: str, best: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = columns["epoch"]
    style = {"linewidth": 1.6, "marker": "o", "markersize": 3.5 if len(epochs) <= 40 else 0}
    for column, label, colour in (
        (name, "training", TRAINING),
        (f"val_{name}", "validation", VALIDATION),
    ):
        if column in columns:
            axes.plot(epochs, columns[column], color=colour, label=label, **style)
    if best is not None:
        axes.axvline(
            epochs[best],
            color=GREY,
            linewidth=0.8,
            linestyle=(0, (4, 3)),
            label=f"best epoch ({epochs[best]:g})",
            zorder=0,
        )
    if epochs[0] == epochs[-1]:  # room for fractions of an epoch, which the locator would take
        axes.set_xticks(epochs[:1])
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    else:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if name == "loss":
        axes.set_ylabel("loss")
    else:
        axes.set_title(METRICS[name].label if name in METRICS else name, fontsize=9)
    axes.set_xlabel("epoch", fontsize=9)
    axes.tick_params(labelsize=8, colors="#444444")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)


def save_history(path: Path, history: list[dict[str, float]]) -> None:
    """Writes one row an epoch as CSV, and the curve beside it as PNG."""
    names = list(dict.fromkeys(name for row in history for name in row))
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(history)
    save_curve(path, path.with_suffix(".png"))
