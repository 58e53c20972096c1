"""The files and texts of an evaluation: `<name>.metrics.json`, `<name>.csv`, tables; the runs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.metrics.registry import labelled
from report.statistics import MIN_PICTURES, Difference, Row, columns, paired
from storage import replacing

BASELINES = {
    "uniform": "uniform",
    "centerbias": "centre bias",
    "goldstandard": "gold standard",
    "observers": "all observers",
    "truth": "true density",
}
# What each is that IG is a share of.
SHARE_OF = {
    "goldstandard": "of the leave-one-out gold standard's IG, a lower bound of what can be known",
    "observers": "of the IG of all observers' own kernel density, its upper end",
    "truth": "of the true density's IG, all that can be known",
}
METRICS, TABLE = ".metrics.json", ".csv"
DEPENDENCIES = {
    "baseline": "training sides of the baselines",
    "negatives": "negatives",
    "density": "empirical densities",
}
DASH = "-"  # for what is not defined


def write_metrics(path: Path, evaluation: Mapping[str, Any]) -> None:
    """Write an evaluation as strict JSON; NaN and infinities become null.

    `evaluation` is what `statistics.summarise` returns, with "protocol" and whatever names model,
    corpus and predictions.
    """
    with replacing(path) as part:
        part.write_text(json.dumps(_strict(evaluation), indent=1, allow_nan=False) + "\n")


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def read_metrics(path: Path) -> dict[str, Any]:
    """Return what `write_metrics` wrote; null stays None. ValueError where it is not that."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {_reason(error)}; test writes it") from None
    if not isinstance(content, dict) or not {"protocol", "image"} <= set(content):
        raise ValueError(f"{path}: has no protocol and means of an evaluation; test writes it")
    return content


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV: `name`, `fixations`, a column a metric, and `<baseline>.<metric>`.

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
    sources = {"": row["metrics"]} | {f"{b}.": x for b, x in (row.get("baselines") or {}).items()}
    return [(base + name, m[name]) for base, m in sources.items() for name in columns([m])]


def read_table(path: Path) -> list[dict[str, Any]]:
    """Return the rows that `write_table` wrote, with name, fixations, metrics and baselines.

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
    metrics, baselines = {}, {}
    for column, value in zip(columns, values, strict=True):
        base, dot, metric = column.rpartition(".")
        target = baselines.setdefault(base, {}) if dot else metrics
        if value:
            target[metric] = float(value)
    return {"name": name, "fixations": int(fixations), "metrics": metrics, "baselines": baselines}


def _reason(error: Exception) -> str:
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)


def text_table(evaluation: Mapping[str, Any], title: str = "model") -> str:
    """Return an evaluation as text: a line each for baselines, model, its interval and its shares.

    `evaluation` is as for `write_metrics`, `title` the model's line. Up to 120 columns wide.
    """
    count, few = evaluation["n_images"], evaluation["n_images"] < MIN_PICTURES
    lines = {
        BASELINES.get(name, name): means["image"] for name, means in evaluation["baselines"].items()
    }
    lines[title] = evaluation["image"]
    for name, end in () if few else ((f"  95 % (n = {count:,}) from", 0), ("  to", 1)):
        lines[name] = {metric: ends[end] for metric, ends in evaluation["interval"].items()}
    head = f"{evaluation['protocol']}; means over {_count(count, 'picture')}"
    if evaluation["fixation"]:
        lines["  per fixation"] = evaluation["fixation"]
        head += f" (last line: over {_count(evaluation['n_fixations'], 'fixation')})"
    return "\n".join([head, aligned(lines), *[too_few(count)] * few, *explained_lines(evaluation)])


def too_few(count: int) -> str:
    """Return why so many pictures have no interval."""
    return f"no intervals: {_count(count, 'picture')}, at least {MIN_PICTURES} are needed"


def explained_lines(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the shares of what can be known, a sentence each; or why there are none."""
    share, count = evaluation.get("explained"), _count(evaluation["n_images"], "picture")
    if not share:
        lost = evaluation["n_infinite"] if "goldstandard" in evaluation["baselines"] else 0
        why = f"no share of the gold standard's IG: IG is not finite on {lost:,} of {count}"
        return [why] if lost else []
    lines = []
    for of, part in {share["of"]: share, **share["beside"]}.items():
        value, low, high = (f"{100 * x:.1f} %" for x in (part["share"], *part["interval"]))
        ends = f"95 % interval {low} to {high}, " if math.isfinite(part["interval"][0]) else ""
        lines.append(f"{value} {SHARE_OF[of]} ({ends}{count})")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def aligned(lines: Mapping[str, Mapping[str, float]]) -> str:
    """Align `lines`, title -> {metric: value}, as text with three decimals; a dash where none."""
    names = list(dict.fromkeys(name for line in lines.values() for name in line))
    first, width = max(map(len, lines)), max([10, *(len(name) + 2 for name in names)])
    head = " " * first + "".join(f"{name:>{width}}" for name in names)
    body = (
        f"{title:{first}}" + "".join(f"{_cell(line.get(name)):>{width}}" for name in names)
        for title, line in lines.items()
    )
    return "\n".join(line.rstrip() for line in (head, *body))


def _cell(value: float | None, form: str = "10.3f") -> str:
    if value is None or math.isnan(value):
        return f"{DASH:>10}"
    return format(0.0 if abs(value) < 0.0005 else value, form)


def compare(a: Path, b: Path) -> str:
    """Return, as text, how two evaluations differ, given their metrics.json; each CSV lies beside.

    Metrics that depend on what differs between them are left out, and named.

    Raises:
        ValueError: a file is missing or damaged, or they are not of the same pictures, fixations
            and protocol.
    """
    tests = {path: read_metrics(path) for path in (a, b)}
    for path, test in tests.items():
        if not {"protocol", "pictures"} <= set(test.get("measured") or {}):
            raise ValueError(f"{path}: does not say of which fixations it is; test it again")
    first, second = (tests[path]["measured"] for path in (a, b))
    if first["protocol"] != second["protocol"]:
        protocols = f"{a} is by '{first['protocol']}', {b} by '{second['protocol']}'"
        raise ValueError(f"not comparable: {protocols}")
    if first["pictures"] != second["pictures"]:
        corpora = " and ".join(dict.fromkeys(str(test.get("corpus")) for test in tests.values()))
        raise ValueError(f"{a} and {b}: of other pictures or fixations ({corpora}): not comparable")
    tables = (path.with_name(path.name.removesuffix(METRICS) + TABLE) for path in (a, b))
    try:
        pairs = paired(*map(read_table, tables))
    except ValueError as error:
        raise ValueError(f"{a} and {b}: {error}") from None
    differ = {part for part in first.keys() | second.keys() if first.get(part) != second.get(part)}
    names = [path.name.removesuffix(METRICS) for path in (a, b)]
    head = f"A: {names[0]}, B: {names[1]}; {first['protocol']}"
    return comparison_text(pairs, differ, head, tests[a]["n_images"])


def comparison_text(
    pairs: Mapping[str, Difference], differ: Collection[str], head: str, count: int
) -> str:
    """Return a line a metric: A, B, mean difference and its interval, marked where 0 is outside."""
    lines = [
        f"{head}; means over {_count(count, 'picture')}",
        f"{'':12}{'A':>10}{'B':>10}{'B - A':>10}{'95 % from':>12}{'to':>10}",
    ]
    left = {}
    for name, pair in pairs.items():
        by = labelled(name).depends_on
        if by in differ:
            left.setdefault(by, []).append(name)
            continue
        mean, low, high = (_cell(x, "+10.3f") for x in (pair.mean, pair.low, pair.high))
        clear = "  *" if pair.low > 0 or pair.high < 0 else ""
        line = f"{name:12}{_cell(pair.a)}{_cell(pair.b)}{mean}  {low}{high}{clear}"
        lines.append(line.rstrip())
    star = "* 0 is outside of the interval; unadjusted for the number of metrics"
    lines.append(too_few(count) if count < MIN_PICTURES else star)
    lines += [f"left out: {', '.join(left[by])}, for the {DEPENDENCIES[by]} differ" for by in left]
    return "\n".join(lines)


def runs(records: Mapping[str, Path]) -> list[str]:
    """Return a line for each run, given the JSON of its best checkpoint: name, corpus, encoder,
    epoch, validation."""
    lines = []
    for name, path in records.items():
        try:
            lines.append(f"{name}: {summary(json.loads(path.read_text()))}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            lines.append(f"{name}: its JSON is damaged")
    return lines or ["none yet"]


def summary(about: Mapping) -> str:
    """Return what the JSON beside weights says, in a line."""
    values = {k[4:]: v for k, v in about["metrics"].items() if k.startswith("val_")}
    numbers = [f"{name} {value:.3f}" for name, value in values.items()]
    model = about["config"].get("model", "msinet")
    if numbers:  # of a network, which has epochs and was validated
        model += f" on {about['config']['encoder']}, epoch {about['epoch']}"
    return ", ".join([about["corpus"], model, *numbers])
