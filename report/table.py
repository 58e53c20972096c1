"""Means over images as text, and what runs there are, from the JSON beside their weights."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path


def means(rows: Sequence[Mapping], key: str) -> dict[str, float]:
    """The mean over rows of each number that all of them have in row[key]."""
    names = [name for name in rows[0][key] if all(name in row[key] for row in rows)]
    return {name: math.fsum(row[key][name] for row in rows) / len(rows) for name in names}


def text_table(lines: Mapping[str, Mapping[str, float]]) -> str:
    """`lines`, name -> {metric: value}, as aligned text: one line each, three decimals."""
    names = list(dict.fromkeys(name for line in lines.values() for name in line))
    width = max(map(len, lines))
    head = " " * width + "".join(f"{name.upper():>9}" for name in names)
    body = [
        f"{title:{width}}" + "".join(f"{line.get(name, math.nan):9.3f}" for name in names)
        for title, line in lines.items()
    ]
    return "\n".join([head, *body])


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
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    return f"{about['corpus']}, {about['config']['encoder']}, epoch {about['epoch']}, {numbers}"
