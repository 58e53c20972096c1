"""The files and texts of an evaluation: `<name>.metrics.json`, `<name>.csv`, tables; the runs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report.statistics import Pairing, Row, paired
from storage import replacing

BASELINES = {
    "uniform": "uniform",
    "centerbias": "centre bias",
    "goldstandard": "gold standard",
    "truth": "true density",
}
METRICS, TABLE = ".metrics.json", ".csv"


def write_metrics(path: Path, found: Mapping[str, Any]) -> None:
    """Writes an evaluation as strict JSON; NaN and infinities become null.

    `found` is what `statistics.summarise` returns, with "protocol" and whatever names model, corpus
    and predictions.
    """
    with replacing(path) as part:
        part.write_text(json.dumps(_strict(found), indent=1, allow_nan=False) + "\n")


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strict(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def read_metrics(path: Path) -> dict[str, Any]:
    """What `write_metrics` wrote; null stays None. Raises ValueError where it is not that."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {_reason(error)}; test writes it") from None
    if not isinstance(found, dict) or not {"protocol", "image"} <= set(found):
        raise ValueError(f"{path}: has no protocol and means of an evaluation; test writes it")
    return found


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Writes rows as CSV: `name`, `fixations`, a column a metric, and `<baseline>.<metric>`.

    Values are written in full (they read back as the same float); a metric that a row lacks is
    an empty field, NaN is `nan`.
    """
    flat = [dict(_flat(row)) for row in rows]
    names = list(dict.fromkeys(name for values in flat for name in values))
    names.sort(key=lambda name: "." in name)  # stable: the model's own metrics come first
    with (
        replacing(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["name", "fixations", *names])
        for row, values in zip(rows, flat, strict=True):
            cells = (values.get(name) for name in names)
            cells = ("" if value is None else repr(float(value)) for value in cells)
            writer.writerow([row["name"], row.get("fixations") or 0, *cells])


def _flat(row: Row) -> list[tuple[str, float]]:
    baselines = (row.get("baselines") or {}).items()
    return [
        *row["metrics"].items(),
        *((f"{base}.{name}", value) for base, found in baselines for name, value in found.items()),
    ]


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows that `write_table` wrote, with name, fixations, metrics and baselines.

    Raises:
        ValueError: the file is missing, or is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            lines = list(csv.reader(file, strict=True))
        if not lines or lines[0][:2] != ["name", "fixations"]:
            raise ValueError("its columns do not begin with name, fixations")
        rows = [_row(lines[0][2:], *line) for line in lines[1:]]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ValueError(f"{path}: {_reason(error)}; test writes it") from None
    return rows


def _row(columns: Sequence[str], name: str, fixations: str, *values: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "fixations": int(fixations), "metrics": {}}
    row["baselines"] = {}
    for column, value in zip(columns, values, strict=True):
        base, dot, metric = column.rpartition(".")
        found = row["baselines"].setdefault(base, {}) if dot else row["metrics"]
        if value:
            found[metric] = float(value)
    return row


def _reason(error: Exception) -> str:
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)


def text_table(found: Mapping[str, Any], title: str = "model") -> str:
    """An evaluation as text: a line each for baselines, model, and its interval, and a headline.

    `found` is as for `write_metrics`, `title` the model's line. Up to 107 columns wide.
    """
    lines = {
        BASELINES.get(name, name): means["image"] for name, means in found["baselines"].items()
    }
    lines[title] = found["image"]
    for name, end in (("  95 % from", 0), ("  to", 1)):
        lines[name] = {metric: ends[end] for metric, ends in found["interval"].items()}
    said = f"{found['protocol']}; means over {_count(found['n_images'], 'picture')}"
    if found["fixation"]:
        lines["  per fixation"] = found["fixation"]
        said += f" (last line: over {_count(found['n_fixations'], 'fixation')})"
    return "\n".join(filter(None, [said, aligned(lines), explained_text(found)]))


def explained_text(found: Mapping[str, Any]) -> str:
    """The share of explainable information in a sentence, or nothing where it is not known."""
    if not (share := found.get("explained")):
        return ""
    value, low, high = (f"{100 * x:.1f} %" for x in (share["share"], *share["interval"]))
    some = "" if share["n_images"] == found["n_images"] else f" on {share['n_images']} pictures"
    return (
        f"{value} of the explainable information (95 % interval {low} to {high}): "
        f"mean IG over that of the {BASELINES[share['of']]}{some}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def aligned(lines: Mapping[str, Mapping[str, float]]) -> str:
    """`lines`, title -> {metric: value}, as aligned text with three decimals; blank where none."""
    names = list(dict.fromkeys(name for line in lines.values() for name in line))
    first, width = max(map(len, lines)), max([10, *(len(name) + 2 for name in names)])
    head = " " * first + "".join(f"{name:>{width}}" for name in names)
    body = (
        f"{title:{first}}" + "".join(f"{_cell(line.get(name)):>{width}}" for name in names)
        for title, line in lines.items()
    )
    return "\n".join(line.rstrip() for line in (head, *body))


def _cell(value: float | None, form: str = "10.3f") -> str:
    if value is None:
        return ""
    return format(0.0 if abs(value) < 0.0005 else value, form)


def compare(a: Path, b: Path) -> Pairing:
    """The paired differences of two evaluations, given their metrics.json; each CSV lies beside.

    Raises:
        ValueError: a file is missing or damaged, protocols or truths differ, no common picture.
    """
    protocols = [read_metrics(path)["protocol"] for path in (a, b)]
    if protocols[0] != protocols[1]:
        raise ValueError(f"not comparable: {a} is by '{protocols[0]}', {b} by '{protocols[1]}'")
    tables = (path.with_name(path.name.removesuffix(METRICS) + TABLE) for path in (a, b))
    try:
        return paired(*map(read_table, tables))
    except ValueError as error:
        raise ValueError(f"{a} and {b}: {error}") from None


def comparison_text(pairing: Pairing, a: str, b: str, protocol: str) -> str:
    """A line a metric: A, B, the mean difference and its interval, marked where 0 is outside."""
    said = f"A: {a}, B: {b}; {protocol}; means over {_count(pairing.count, 'picture')}"
    if any(pairing.alone):
        said += " that both have (left out: {} of A, {} of B)".format(*pairing.alone)
    head = f"{'':12}{'A':>10}{'B':>10}{'B - A':>10}{'95 % from':>12}{'to':>10}"
    lines = []
    for name, found in pairing.metrics.items():
        gap = "".join(_cell(x, "+10.3f") for x in (found.mean, found.low, found.high))
        clear = "  *" if found.low > 0 or found.high < 0 else ""
        lines.append(
            f"{name:12}{_cell(found.a)}{_cell(found.b)}{gap[:10]}  {gap[10:]}{clear}".rstrip()
        )
    return "\n".join([said, head, *lines, "* the interval of the paired difference is without 0"])


def runs(results: Path) -> list[str]:
    """A line for each run that has best weights: name, corpus, encoder, epoch, validation."""
    lines = []
    for path in sorted((results / "ckpts" / "best").glob("[!.]*.json")):
        try:
            about = json.loads(path.read_text())
            lines.append(f"{path.stem}: {summary(about)}")
        except (ValueError, KeyError, TypeError, AttributeError):
            lines.append(f"{path.stem}: its JSON is damaged")
    return lines or ["none yet"]


def summary(about: Mapping) -> str:
    """What the JSON beside weights says, in a line."""
    found = {k[4:]: v for k, v in about["metrics"].items() if k.startswith("val_")}
    numbers = [f"{name} {value:.3f}" for name, value in found.items()]
    model = about["config"].get("model", "msinet")
    if numbers:  # of a network, which has epochs and was validated
        model += f" on {about['config']['encoder']}, epoch {about['epoch']}"
    return ", ".join([about["corpus"], model, *numbers])
