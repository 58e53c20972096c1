"""The page and the table of a test: per-picture metrics and pictures, from numbers and paths."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from report.pictures import replacing


@dataclass(frozen=True)
class Scale:
    """What a metric's numbers mean: shown name, unit, better = 1 (higher), -1 (lower) or 0."""

    label: str
    unit: str
    better: int


SCALES = {
    "ll": Scale("LL", "bits per fixation over a uniform density", 1),
    "ig": Scale("IG", "bits per fixation over the centre bias", 1),
    "nll": Scale("NLL", "bits per fixation, negative log-likelihood", -1),
    "auc": Scale("AUC", "probability, 0.5 is chance", 1),
    "nss": Scale("NSS", "standard deviations above the map’s mean", 1),
    "cc": Scale("CC", "correlation with the empirical density, −1 to 1", 1),
    "sim": Scale("SIM", "mass shared with the empirical density, 0 to 1", 1),
    "kld": Scale("KLD", "nats from the empirical density, 0 is perfect", -1),
}


def write_page(
    path: str | os.PathLike,
    *,
    title: str,
    corpus: str,
    model_line: str,
    metrics: Mapping[str, float],
    baseline: Mapping[str, float] | None,
    rows: Sequence[Mapping[str, Any]],
    note: str,
) -> None:
    """Writes one HTML page that needs nothing but the pictures it points to.

    `metrics` and `baseline` (the centre bias; None where there is none) map metric names to means
    over images. Each row has "name", the paths "stimulus", "prediction" and "truth" (None
    where there is no truth) relative to the page, "metrics" {name: value}, and may have
    "fixations", their number (0 or None where it is not known). `note` is a sentence under the
    table: protocol, resolution, blur. Metrics that SCALES lacks are shown by their name, without
    unit. NaN is shown as a dash and sorted last. A link `page.html#sort=nss&first=worst` opens
    the page sorted.
    """
    names = list(dict.fromkeys([*metrics, *(name for row in rows for name in row["metrics"])]))
    text = _template().render(
        title=title,
        corpus=corpus,
        model_line=model_line,
        note=note,
        columns=[(name, SCALES.get(name.lower(), Scale(name, "", 0))) for name in names],
        means=_means(metrics, baseline or {}),
        has_baseline=bool(baseline),
        rows=rows,
        fixations=sum(row.get("fixations") or 0 for row in rows),
        has_truth=any(row["truth"] for row in rows),
    )
    with replacing(path) as part:
        # File names need not be valid Unicode; a page has to be.
        part.write_text(text, encoding="utf-8", errors="replace")


def write_table(path: str | os.PathLike, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes per-image metrics as CSV: `name`, then a column a metric; rows as in `write_page`.

    Values are written in full (they read back as the same float); a metric that a row lacks is
    an empty field, NaN is `nan`.
    """
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    with (
        replacing(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["name", *names])
        for row in rows:
            values = (row["metrics"].get(name) for name in names)
            writer.writerow([row["name"], *("" if v is None else float(v) for v in values)])


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=_shown, link=_link, script_number=_script_number)
    return environment.get_template("page.html.jinja")


def _means(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> list[dict[str, Any]]:
    """One row of the table a metric, saying which of the two is better where that is known."""
    means = []
    for name, value in metrics.items():
        scale = SCALES.get(name.lower(), Scale(name, "", 0))
        other = baseline.get(name, math.nan)
        lead = scale.better * (value - other)
        means.append(
            {
                "scale": scale,
                "model": value,
                "baseline": other,
                "ahead": lead > 0,
                "behind": lead < 0,
            }
        )
    return means


def _shown(value: float | None) -> str:
    """Three decimals, a true minus, a dash for NaN or nothing."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.3f}".replace("-", "−")
    return "0.000" if text == "−0.000" else text


def _script_number(value: float | None) -> str:
    """What JavaScript's Number() reads as the same number."""
    if value is None or math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))


def _link(path: str) -> str:
    """A relative path as a URL: every byte that could mean something else is quoted."""
    return quote(os.fsencode(path), safe="/")
