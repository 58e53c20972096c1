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
    given = {"": row["metrics"]} | {f"{b}.": x for b, x in (row.get("baselines") or {}).items()}
    return [
        (base + name, found[name]) for base, found in given.items() for name in columns([found])
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
    """An evaluation as text: a line each for baselines, model, and its interval, and its shares.

    `found` is as for `write_metrics`, `title` the model's line. Up to 120 columns wide.
    """
    count, few = found["n_images"], found["n_images"] < MIN_PICTURES
    lines = {
        BASELINES.get(name, name): means["image"] for name, means in found["baselines"].items()
    }
    lines[title] = found["image"]
    for name, end in () if few else ((f"  95 % (n = {count:,}) from", 0), ("  to", 1)):
        lines[name] = {metric: ends[end] for metric, ends in found["interval"].items()}
    said = f"{found['protocol']}; means over {_count(count, 'picture')}"
    if found["fixation"]:
        lines["  per fixation"] = found["fixation"]
        said += f" (last line: over {_count(found['n_fixations'], 'fixation')})"
    return "\n".join([said, aligned(lines), *[too_few(count)] * few, *explained_lines(found)])


def too_few(count: int) -> str:
    """Why so many pictures have no interval."""
    return f"no intervals: {_count(count, 'picture')}, at least {MIN_PICTURES} are needed"


def explained_lines(found: Mapping[str, Any]) -> list[str]:
    """The shares of what can be known, a sentence each; or why there are none."""
    share, count = found.get("explained"), _count(found["n_images"], "picture")
    if not share:
        lost = found["n_infinite"] if "goldstandard" in found["baselines"] else 0
        said = f"no share of the gold standard's IG: IG is not finite on {lost:,} of {count}"
        return [said] if lost else []
    shares = {share["of"]: share, **share["beside"]}
    return [_share_line(each, SHARE_OF[of], count) for of, each in shares.items()]


def _share_line(share: Mapping[str, Any], of: str, count: str) -> str:
    value, low, high = (f"{100 * x:.1f} %" for x in (share["share"], *share["interval"]))
    known = f"95 % interval {low} to {high}, " if math.isfinite(share["interval"][0]) else ""
    return f"{value} {of} ({known}{count})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def aligned(lines: Mapping[str, Mapping[str, float]]) -> str:
    """`lines`, title -> {metric: value}, as aligned text with three decimals; a dash where none."""
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
    found = [read_metrics(path) for path in (a, b)]
    for path, one in zip((a, b), found, strict=True):
        if not {"protocol", "pictures"} <= set(one.get("measured") or {}):
            raise ValueError(f"{path}: does not say of which fixations it is; test it again")
    first, second = (one["measured"] for one in found)
    if first["protocol"] != second["protocol"]:
        said = f"{a} is by '{first['protocol']}', {b} by '{second['protocol']}'"
        raise ValueError(f"not comparable: {said}")
    if first["pictures"] != second["pictures"]:
        corpora = " and ".join(dict.fromkeys(str(one.get("corpus")) for one in found))
        raise ValueError(f"{a} and {b}: of other pictures or fixations ({corpora}): not comparable")
    tables = (path.with_name(path.name.removesuffix(METRICS) + TABLE) for path in (a, b))
    try:
        pairs = paired(*map(read_table, tables))
    except ValueError as error:
        raise ValueError(f"{a} and {b}: {error}") from None
    differ = {part for part in first.keys() | second.keys() if first.get(part) != second.get(part)}
    names = [path.name.removesuffix(METRICS) for path in (a, b)]
    head = f"A: {names[0]}, B: {names[1]}; {first['protocol']}"
    return comparison_text(pairs, differ, head, found[0]["n_images"])


def comparison_text(
    pairs: Mapping[str, Difference], differ: Collection[str], head: str, count: int
) -> str:
    """A line a metric: A, B, the mean difference and its interval, marked where 0 is outside."""
    lines, left = [], {}
    for name, found in pairs.items():
        by = labelled(name).depends_on
        if by in differ:
            left.setdefault(by, []).append(name)
            continue
        gap = "".join(_cell(x, "+10.3f") for x in (found.mean, found.low, found.high))
        clear = "  *" if found.low > 0 or found.high < 0 else ""
        lines.append(
            f"{name:12}{_cell(found.a)}{_cell(found.b)}{gap[:10]}  {gap[10:]}{clear}".rstrip()
        )
    said = [
        f"{head}; means over {_count(count, 'picture')}",
        f"{'':12}{'A':>10}{'B':>10}{'B - A':>10}{'95 % from':>12}{'to':>10}",
        *lines,
    ]
    star = "* 0 is outside of the interval; unadjusted for the number of metrics"
    said.append(too_few(count) if count < MIN_PICTURES else star)
    said += [f"left out: {', '.join(left[by])}, for the {DEPENDENCIES[by]} differ" for by in left]
    return "\n".join(said)


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
    """What the JSON beside weights says, in a line."""
    found = {k[4:]: v for k, v in about["metrics"].items() if k.startswith("val_")}
    numbers = [f"{name} {value:.3f}" for name, value in found.items()]
    model = about["config"].get("model", "msinet")
    if numbers:  # of a network, which has epochs and was validated
        model += f" on {about['config']['encoder']}, epoch {about['epoch']}"
    return ", ".join([about["corpus"], model, *numbers])
