"""The page of what a corpus holds, and its lines in the terminal, from its facts alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from report.figures import bars
from report.page import template
from report.warnings import Facts, part
from storage import replacing

HISTOGRAMS = {
    "per_picture": ("fixations a picture", "picture"),
    "scanpaths_per_picture": ("scanpaths a picture", "picture"),
    "per_scanpath": ("fixations a scanpath", "scanpath"),
    "per_observer": ("fixations an observer", "observer"),
    "durations": ("duration in seconds", "fixation"),
}


def rows(facts: Facts) -> dict[str, str]:
    """Return what -> text, in the order of the page and of the terminal."""
    pictures, sigma, contrast = facts["pictures"], facts["sigma"], facts["contrast"]
    texts = {
        "folder": facts["folder"],
        "pictures": f"{pictures['count']:,}: {counted(pictures['formats'])}"
        + unreadable(facts["unreadable"]),
        "sizes": f"{pictures['different_sizes']}: {counted(pictures['sizes'][:5])}",
        "input": f"{pictures['input'][0]}x{pictures['input'][1]} (height x width), "
        f"padding {shares(pictures['padding'])}",
        **of_fixations(facts["fixations"]),
    }
    if maps := facts["maps"]:
        texts["maps"] = f"{maps['count']:,}: {counted(maps['formats'])}"
    blur = f"{sigma['pixels']:g} px, " if sigma["pixels"] else ""
    texts["sigma"] = blur + sigma["from"]
    sides = ", ".join(f"{count:,} {side}" for side, count in facts["sides"].items())
    texts["split"] = f"{sides}: {facts['split']}" if sides else "none"
    exact, near, across = (len(facts["duplicates"][key]) for key in ("exact", "near", "across"))
    same = f"{exact} scenes with the same pixels, {near} nearly the same"
    texts["twice"] = f"{same}; {across} on both sides"
    if contrast and contrast["auc"] is not None:
        auc = f"{contrast['auc']:.3f} ± {contrast['error']:.3f}"
        texts["contrast"] = f"shuffled AUC {auc} (chance .5; usual .65)"
    return texts


def of_fixations(record: Facts | None) -> dict[str, str]:
    """Return the rows of a record of fixations, none without one."""
    if not record:
        return {}
    observers, paths = record["observers"] or "not known", "not known"
    if record["scanpaths"]:
        each = f"{ends(record['scanpaths_per_picture'])}, each of {ends(record['per_scanpath'])}"
        paths = f"{record['scanpaths']:,}; a picture {each}"
    texts = {
        "fixations": f"{record['count']:,}; a picture {ends(record['per_picture'])}",
        "observers": f"{observers}; each {ends(record['per_observer'])}",
        "scanpaths": paths,
        "outside": f"{part(record, 'outside')}; {record['missing']:,} missing",
    }
    if record["reach"]:
        left, top, right, bottom = (f"{100 * value:.0f}" for value in record["reach"])
        width = f"99 % within {left} to {right} % of the width"
        texts["reach"] = f"{width} and {top} to {bottom} % of the height"
    texts["durations"] = ends(record["durations"], " s")
    texts["times"] = "the order alone" if record["counted"] else ends(record["times"], " s")
    return texts


def unreadable(reasons: Mapping[str, str]) -> str:
    """Return how many pictures cannot be read, and why the first cannot."""
    for name, why in reasons.items():
        return f"; {len(reasons)} cannot be read, first '{name}': {why}"
    return ""


def counted(pairs) -> str:
    """Return such as `800x600 (690), 640x480 (10)`."""
    return ", ".join(f"{name} ({count:,})" for name, count in pairs) or "none"


def ends(spread: Facts | None, unit: str = "") -> str:
    """Return median, minimum and maximum of a spread."""
    if not spread:
        return "not known"
    if spread["min"] == spread["max"]:
        return f"{spread['median']:g}{unit}"
    return f"{spread['median']:g}{unit} ({spread['min']:g} to {spread['max']:g})"


def shares(spread: Facts | None) -> str:
    """Return mean, minimum and maximum of a share, in percent."""
    if not spread:
        return "none"
    mean, low, high = (f"{100 * spread[name]:.0f}" for name in ("mean", "min", "max"))
    return f"{mean} %" if low == high else f"{mean} % ({low} to {high} %)"


def lines(facts: Facts) -> list[str]:
    """Return what the terminal says: warnings first, the page last."""
    return [
        *(f"! {line}" for line in facts["warnings"]),
        *(f"{what:<10} {text}" for what, text in rows(facts).items()),
        *(f"train says: {line}" for line in facts["notices"]),
        f"page: {facts['page']}",
    ]


def write_page(path: Path, facts: Facts) -> None:
    """Write the page: warnings, numbers, histograms, pictures, a batch; see `lines` and
    commands/inspecting.py for what is in `facts`, whose pictures lie relative to the page."""
    text = template("inspection.html.jinja").render(
        facts=facts, rows=rows(facts), histograms=_histograms(facts["fixations"] or {})
    )
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace")


def _histograms(record: Facts) -> list[dict[str, Any]]:
    """Return the histogram of each spread that has two different values."""
    drawn = []
    for name, (title, what) in HISTOGRAMS.items():
        spread = record.get(name)
        if spread and not math.isclose(spread["min"], spread["max"]):
            marks, label = {"mean": spread["median"]}, f"Histogram of {title}"
            svg = bars(spread["edges"], spread["counts"], marks, label, what)
            drawn.append({"title": title, "median": f"{spread['median']:g}", "svg": svg})
    return drawn
