"""Cells of a text file -> numbers and texts: decimals, and what is missing."""

import math
import re
from contextlib import suppress
from itertools import islice

import numpy as np

from errors import UsageError
from formats.hdf5 import printable

MISSING = {"", ".", "-", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "undefined"}
NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?", re.ASCII)
PLAIN = b"0123456789.+- "
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}", re.ASCII)


def cleaned(text: str) -> str:
    """Return a text without blanks around it; nothing where it is a spelling of missing."""
    text = text.strip()
    return "" if text.lower() in MISSING else text


class Decimals:
    """The numbers of a file, whose decimals are all written in one way."""

    def __init__(self):
        self.first = {}  # the first number with a "point", a decimal "comma", one that is "unclear"

    def values(self, cells: list[str], rows: list[tuple[int, list]], name: str) -> np.ndarray:
        """Return a column's cells as float64, NaN where missing; raise UsageError, with the line
        that begins its row, where one is no finite number."""
        if not "".join(cells).encode().translate(None, PLAIN):  # ten times faster
            with suppress(ValueError):
                values = np.fromiter(map(float, cells), np.float64, len(cells))
                if not np.isinf(values).any():
                    for text in islice((text for text in cells if "." in text), 1):
                        self.first.setdefault("point", text)
                    return values
        number = {text: self.number(text) for text in dict.fromkeys(cells)}
        for text, value in number.items():
            if value is None:
                line, text = rows[cells.index(text)][0], printable(text.strip()[:40])
                raise UsageError(f"line {line}: {name} is {text!r}, a number is needed")
        return np.fromiter(map(number.__getitem__, cells), np.float64, len(cells))

    def number(self, text: str) -> float | None:
        """Return a number, NaN where it is missing, None where it is none or infinite."""
        text = text.strip()
        if not NUMBER.fullmatch(text):
            return math.nan if text.lower() in MISSING else None
        if "." in text:
            self.first.setdefault("point", text)
        elif "," in text:
            self.first.setdefault("unclear" if THOUSANDS.fullmatch(text) else "comma", text)
        value = float(text.replace(",", "."))
        return None if math.isinf(value) else value

    def check(self) -> tuple[str, ...]:
        """Return what to say; raises UsageError where commas may be thousands'."""
        comma = self.first.get("comma") or self.first.get("unclear")
        if comma and "point" in self.first:
            raise UsageError(
                f"both {self.first['point']!r} and {comma!r}; write decimals with a point"
            )
        if comma and "comma" not in self.first:
            raise UsageError(
                f"{comma!r} may have a decimal comma or one of thousands; write decimals with a "
                "point and thousands with nothing"
            )
        return (f"decimal commas, such as {comma}",) if comma else ()
