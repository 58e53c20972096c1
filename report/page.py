"""The page of a test: means, distributions, calibration and pictures, from numbers and paths."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from model.metrics.likelihood import IG
from model.metrics.registry import labelled
from report.figures import calibration_plot, histogram
from report.statistics import MIN_PICTURES, Row, calibration, columns
from report.table import BASELINES, explained_lines, too_few
from storage import replacing

EXTREMES = 10


def write_page(
    path: Path,
    *,
    title: str,
    model_line: str,
    found: Mapping[str, Any],
    rows: Sequence[Row],
    note: str,
    curve: str | None = None,
) -> None:
    """Write one HTML page that needs nothing but the pictures it points to.

    `found` is what `statistics.summarise` returns, with "protocol" and "corpus". Each row has
    "name", the paths "stimulus", "prediction" and "truth" (None where there is no truth) relative
    to the page, "metrics" {name: value}, and may have "fixations", their number (0 or None where it
    is not known), "baselines" and "percentiles". `note` is a sentence under the table: resolution,
    blur. `curve` is the path of the training's curve relative to the page. Metrics that are not
    known are shown without unit. NaN is shown as a dash and sorted last. A link
    `page.html#sort=NSS&first=worst` opens the page sorted.
    """
    names = columns(row["metrics"] for row in rows)
    text = template("page.html.jinja").render(
        title=title,
        model_line=model_line,
        found=found,
        note=note,
        curve=curve,
        columns=[*map(labelled, names)],
        baselines=_baselines(found),
        explained=explained_lines(found),
        no_intervals=too_few(len(rows)) if len(rows) < MIN_PICTURES else None,
        histograms=_histograms(found, rows, names),
        extremes=_extremes(rows, names),
        calibration=calibration(rows),
        rows=rows,
        labelled=labelled,
        has_truth=any(row["truth"] for row in rows),
    )
    with replacing(path) as part:
        # File names need not be valid Unicode; a page has to be.
        part.write_text(text, encoding="utf-8", errors="replace")


def template(name: str) -> Template:
    """Return a page's template, with what it calls."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        shown=_shown, link=_link, script_number=_script_number, plot=calibration_plot
    )
    return environment.get_template(name)


def _baselines(found: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """Return the baselines' means over images by their shown names; known names first."""
    means = {name: means["image"] for name, means in found["baselines"].items() if means["image"]}
    order = dict.fromkeys([*(name for name in BASELINES if name in means), *means])
    return {BASELINES.get(name, name): means[name] for name in order}


def _histograms(found, rows: Sequence[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    """Draw a histogram a metric over the pictures, where two pictures at least have it."""
    centre = found["baselines"].get("centerbias", {"image": {}})["image"]
    drawn = []
    for name in names:
        values = [row["metrics"].get(name, math.nan) for row in rows]
        finite = sum(map(math.isfinite, values))
        if finite < 2:
            continue
        mean, bias = found["image"].get(name, math.nan), centre.get(name, math.nan)
        label = f"Histogram of {name} over {finite} pictures, mean {_shown(mean)}"
        svg = histogram(values, {"bias": bias, "mean": mean}, label)
        drawn.append({"name": name, "svg": svg, "mean": mean, "lost": len(values) - finite})
    return drawn


def _extremes(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any] | None:
    """Return the best and worst pictures by IG, or by the first metric that has a direction."""
    order = [n for n in (IG.label, *names) if n in names and labelled(n).direction]
    ranked = [
        (value, index)
        for index, row in enumerate(rows)
        if order and not math.isnan(value := row["metrics"].get(order[0], math.nan))
    ]
    count = min(EXTREMES, len(ranked) // 2)
    if not count:
        return None
    best = [i for _, i in sorted(ranked, key=lambda k: -k[0] * labelled(order[0]).direction)]
    return {"by": order[0], "Best": best[:count], "Worst": best[: -count - 1 : -1]}


def _shown(value: float | None) -> str:
    """Return three decimals, a true minus, a dash for NaN or nothing."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.3f}".replace("-", "−")
    return "0.000" if text == "−0.000" else text


def _script_number(value: float | None) -> str:
    """Return what JavaScript's Number() reads as the same number."""
    if value is None or math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))


def _link(path: str) -> str:
    """Return a relative path as a URL: every byte that could mean something else is quoted."""
    return quote(os.fsencode(path), safe="/")
