"""A text file of fixations -> its columns: encoding, delimiter, decimals, what is missing."""

import codecs
import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from errors import UsageError, printable
from formats.text.exports import LAYOUTS, Layout, Title

HEADER = 1 << 20  # characters of a header, at most
LISTED = 300  # characters of titles
ROWS = 1 << 10  # read at a time: more leave the processor's cache
NUMBERS = ("x", "y", "t", "order", "duration")
DELIMITERS = ",;\t"
MISSING = {"", ".", "-", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "undefined"}
NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?", re.ASCII)
PLAIN = b"0123456789.+- "
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}", re.ASCII)


@dataclass(frozen=True, eq=False)
class Part:
    """What one file says of fixations, a row each (M,).

    texts: of the fields that are none of NUMBERS; empty where missing.
    numbers: of the others; NaN where missing, t and duration as `Layout.factor` leaves them.
    lines: where in the file; said: what its owner should know.
    place: makes pixels of x, y, widths and heights of the pictures; None where they are that.
    strays: whether rows of other pictures are left out instead of refused.
    """

    path: Path
    texts: dict[str, list[str]]
    numbers: dict[str, np.ndarray]
    lines: np.ndarray
    said: tuple[str, ...] = ()
    place: Callable | None = None
    strays: bool = False

    def select(self, rows: np.ndarray) -> "Part":
        """The rows of a boolean mask (M,)."""
        texts = {
            name: [text for text, take in zip(column, rows, strict=True) if take]
            for name, column in self.texts.items()
        }
        numbers = {name: column[rows] for name, column in self.numbers.items()}
        return replace(self, texts=texts, numbers=numbers, lines=self.lines[rows])


class Cleaned(dict):
    """Texts without blanks around them; empty where they are a spelling of missing."""

    def __missing__(self, text: str) -> str:
        clean = text.strip()
        self[text] = "" if clean.lower() in MISSING else clean
        return self[text]


class Decimals:
    """The numbers of a file, whose decimals are all written in one way."""

    def __init__(self):
        self.point = self.comma = self.unclear = ""  # the first of each

    def values(self, cells: list[str], rows: list[tuple[int, list]], name: str) -> np.ndarray:
        """Return a column's cells as float64, NaN where missing; rows begin with their line.

        Raises:
            UsageError: one is no number, or not a finite one.
        """
        if not "".join(cells).encode().translate(None, PLAIN):  # ten times faster
            with suppress(ValueError):
                values = np.fromiter(map(float, cells), np.float64, len(cells))
                if not np.isinf(values).any():
                    self.point = self.point or next((text for text in cells if "." in text), "")
                    return values
        known = {text: self.number(text) for text in set(cells)}
        wrong = {text for text, value in known.items() if value is None}
        if wrong:
            k = next(k for k, text in enumerate(cells) if text in wrong)
            said = printable(cells[k].strip()[:40])
            raise UsageError(f"line {rows[k][0]}: {name} is {said!r}, a number is needed")
        return np.fromiter(map(known.__getitem__, cells), np.float64, len(cells))

    def number(self, text: str) -> float | None:
        """Return a number, NaN where it is missing, None where it is none or infinite."""
        text = text.strip()
        if not NUMBER.fullmatch(text):
            return math.nan if text.lower() in MISSING else None
        if "." in text:
            self.point = self.point or text
        elif "," in text:
            if THOUSANDS.fullmatch(text):
                self.unclear = self.unclear or text
            else:
                self.comma = self.comma or text
        value = float(text.replace(",", "."))
        return None if math.isinf(value) else value

    def check(self) -> tuple[str, ...]:
        """Return what to say; raises UsageError where commas may be thousands'."""
        comma = self.comma or self.unclear
        if comma and self.point:
            raise UsageError(f"both {self.point!r} and {comma!r}; write decimals with a point")
        if self.unclear and not self.comma:
            raise UsageError(
                f"{comma!r} may have a decimal comma or one of thousands; write decimals with a "
                "point and thousands with nothing"
            )
        return (f"decimal commas, such as {comma}",) if comma else ()


def read(path: Path, image: str = "", layouts: tuple[Layout, ...] = LAYOUTS) -> Part:
    """Return the columns of a text file.

    Args:
        image: the picture of all rows, where no column says which.

    Raises:
        UsageError: it is no such text; a column is missing or there twice; a row has another
            number of cells than the header; a number is none. Names the line.
    """
    try:
        with opened(path) as (file, encoding):
            header = file.readline(HEADER)
            if "\0" in header:
                raise UnicodeError("zeros in the first line")
            layout, titles, delimiter = understood(header, layouts, bool(image))
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            rows = whole(reader, cells_of(header, delimiter))
            part = gathered(path, rows, layout, titles)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    if "image" not in titles:
        part.texts["image"] = [image] * len(part.lines)
    said = ("UTF-16",) if encoding == "utf-16" else ()
    said += ("';' between cells",) if delimiter == ";" else ()
    part = replace(
        part, said=(*said, *renamed(layout, titles, cells_of(header, delimiter)), *part.said)
    )
    return one_row_each(part) if "index" in titles else part


@contextmanager
def opened(path: Path) -> Iterator[tuple[TextIO, str]]:
    """A text file and its encoding; errors that come of what is in it become a UsageError."""
    with path.open("rb") as file:
        marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if marked else "utf-8-sig"
    try:
        with path.open(newline="", encoding=encoding) as file:
            yield file, encoding
    except UnicodeError as error:
        raise UsageError(
            f"no text in UTF-8, or UTF-16 with its mark ({printable(error)}); a spreadsheet saves "
            "one as 'CSV UTF-8'"
        ) from error
    except csv.Error as error:
        raise UsageError(f"no table of cells in whole quotes ({printable(error)})") from error


def cells_of(line: str, delimiter: str) -> list[str]:
    """Return the titles of a header; one where it is no header of that delimiter."""
    try:
        reader = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
        return [title.strip() for title in next(reader, [])]
    except csv.Error:
        return [line]


def understood(header: str, layouts: tuple[Layout, ...], named: bool):
    """Return the layout, its columns and the delimiter of the one reading that makes sense.

    Args:
        named: whether the file's name says the picture, where no column does.

    Raises:
        UsageError: there is none; says what the one with the most cells lacks.
    """
    faults = []
    for delimiter in sorted(DELIMITERS, key=lambda sign: -len(cells_of(header, sign))):
        texts = cells_of(header, delimiter)
        titles = [Title.of(place, text) for place, text in enumerate(texts) if text]
        layout = next(one for one in layouts if one.sign <= {title.name for title in titles})
        if named:
            layout = replace(layout, needs=tuple(name for name in layout.needs if name != "image"))
        try:
            return layout, layout.find(titles), delimiter
        except UsageError as error:
            faults.append(error)
    raise faults[0]


def whole(reader, titles: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows and their lines in the file, checked against the header.

    Raises:
        UsageError: a row has another number of cells, or something after the last title.
    """
    width = len(titles)
    named = width - next((k for k, title in enumerate(reversed(titles)) if title), width)
    for row in reader:
        if len(row) != width and row or named < width and any(row[named:]):
            raise UsageError(
                f"line {reader.line_num + 1}: {len(row)} cells under {named} titles; decimal "
                "commas make such rows: write 12.5, or put ';' or tabs between cells"
            )
        if row:
            yield reader.line_num + 1, row


def gathered(path: Path, rows: Iterator, layout: Layout, titles: dict[str, Title]) -> Part:
    """Return the columns of a layout from the rows that are fixations, few rows at a time."""
    clean, decimals, lines = Cleaned(), Decimals(), []
    texts = {name: [] for name in titles if name not in NUMBERS}
    numbers = {name: [np.empty(0)] for name in titles if name in NUMBERS}
    while some := list(islice(rows, ROWS)):
        if layout.only:
            kind = titles["kind"].place
            some = [(n, row) for n, row in some if clean[row[kind]].lower() == layout.only]
        lines += [line for line, _ in some]
        for name, title in titles.items():
            cells = [row[title.place] for _, row in some]
            if name in NUMBERS:
                numbers[name].append(decimals.values(cells, some, name))
            else:
                texts[name] += map(clean.__getitem__, cells)
    said = decimals.check() + ((layout.note,) if layout.note else ())
    columns = {
        name: np.concatenate(parts) * layout.factor(titles[name], name)
        for name, parts in numbers.items()
    }
    place = layout.frames[titles["x"].unit] if "x" in titles else None
    return Part(path, texts, columns, np.array(lines, int), said, place, bool(layout.name))


def renamed(layout: Layout, titles: dict[str, Title], texts: list[str]) -> Iterable[str]:
    """Say which columns are taken for what, where they are called otherwise or converted; and in
    one's own table which of the texts in its header are not read, for rows may differ in them."""
    taken = [f"{t.text} as {name}" for name, t in titles.items() if t.text.lower() != name]
    if taken:
        kind = f"a table of {layout.name}'s: " if layout.name else ""
        yield printable(f"{kind}{', '.join(taken)} taken")
    places = {title.place for title in titles.values()}
    unread = [text for place, text in enumerate(texts) if text and place not in places]
    if unread and not layout.name:
        yield printable(f"columns that are not read: {', '.join(unread)[:LISTED]}")


def one_row_each(part: Part) -> Part:
    """Keep one of the samples of each fixation on a picture; tell a picture's viewings apart.

    A viewing ends where the person's next fixation is on another picture.
    """
    full = np.array([text != "" for text in part.texts["image"]], bool)
    full &= ~np.isnan(part.numbers["x"] + part.numbers["y"])
    on = part.select(full)
    who = [name for name in ("recording", "subject") if name in part.texts]
    count, kept = (
        len({*zip(*(some.texts[name] for name in (*who, "index")), strict=True)})
        for some in (part, on)
    )
    viewing = steps(*(np.array(on.texts[name], object) for name in (*who, "image")))
    first = viewing | steps(np.array(on.texts["index"], object))
    trial = np.cumsum(viewing).astype(str).tolist()
    said = (f"{count - kept} of {count} fixations are on no picture and are left out",)
    on = replace(on, texts=on.texts | {"trial": trial}, said=on.said + said * (kept < count))
    return on.select(first)


def steps(*keys: np.ndarray) -> np.ndarray:
    """Return (M,) bool: which rows differ from the one before them in any of the columns."""
    different = np.ones(len(keys[0]), bool)
    different[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return different
