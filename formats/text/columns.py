"""A text file of fixations -> its columns: encoding, delimiter, header, rows."""

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import compress, islice
from pathlib import Path
from typing import TextIO

import numpy as np

from errors import UsageError
from formats.hdf5 import printable
from formats.text.cells import Decimals, cleaned
from formats.text.exports import LAYOUTS, Layout, Title
from formats.text.viewings import one_row_each

HEADER = 1 << 20  # characters of a header, at most
LISTED = 300  # characters of titles
ROWS = 1 << 10  # read at a time: more leave the processor's cache
NUMBERS = ("x", "y", "t", "order", "duration")
DELIMITERS = ",;\t"


@dataclass(frozen=True, eq=False)
class Part:
    """What one file says of fixations, a row each (M,).

    texts: of the fields that are none of NUMBERS; empty where missing.
    numbers: of the others; NaN where missing, t and duration as `Layout.factor` leaves them.
    lines: where in the file; notices: what its owner should know.
    to_pixels: makes pixels of x, y, widths and heights of the pictures; None where they are that.
    partial: whether rows of other pictures are left out instead of refused.
    """

    path: Path
    texts: dict[str, list[str]]
    numbers: dict[str, np.ndarray]
    lines: np.ndarray
    notices: tuple[str, ...] = ()
    to_pixels: Callable | None = None
    partial: bool = False

    @property
    def fields(self) -> dict:
        """The columns by the fields that they are."""
        return self.texts | self.numbers

    def select(self, rows: np.ndarray) -> "Part":
        """Return the rows of a boolean mask (M,)."""
        texts = {name: [*compress(column, rows)] for name, column in self.texts.items()}
        numbers = {name: column[rows] for name, column in self.numbers.items()}
        return replace(self, texts=texts, numbers=numbers, lines=self.lines[rows])


def read(path: Path, image: str = "", layouts: tuple[Layout, ...] = LAYOUTS) -> Part:
    """Return the columns of a text file; `image` is the picture of all rows where no column says.

    Raises UsageError, with the line, where it is no such text, a column is missing or there twice,
    a row has another number of cells than the header, or a number is none.
    """
    with path.open("rb") as file:
        marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        with path.open(newline="", encoding="utf-16" if marked else "utf-8-sig") as file:
            part = parsed(path, file, image, layouts)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except UnicodeError as error:
        raise UsageError(
            f"{path}: no text in UTF-8, or UTF-16 with its mark ({printable(error)}); a "
            "spreadsheet saves one as 'CSV UTF-8'"
        ) from None
    except csv.Error as error:
        raise UsageError(
            f"{path}: no table of cells in whole quotes ({printable(error)})"
        ) from None
    return one_row_each(part) if "index" in part.texts else part


def parsed(path: Path, file: TextIO, image: str, layouts: tuple[Layout, ...]) -> Part:
    """Return the columns of an open file; raises UsageError, UnicodeError and csv.Error."""
    header = file.readline(HEADER)
    if "\0" in header:
        raise UnicodeError("zeros in the first line")
    layout, fields, delimiter = understood(header, layouts, bool(image))
    titles = cells_of(header, delimiter)
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    part = gathered(path, whole(reader, titles), layout, fields)
    if "image" not in fields:
        part.texts["image"] = [image] * len(part.lines)
    notices = ["UTF-16"] * (file.encoding == "utf-16") + ["';' between cells"] * (delimiter == ";")
    return replace(part, notices=(*notices, *renamed(layout, fields, titles), *part.notices))


def cells_of(line: str, delimiter: str) -> list[str]:
    """Return the titles of a header; one where it is no header of that delimiter."""
    try:
        reader = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
        return [title.strip() for title in next(reader, [])]
    except csv.Error:
        return [line]


def understood(header: str, layouts: tuple[Layout, ...], named: bool):
    """Return the layout, its titles by field and the delimiter of the reading that makes sense.

    named: whether the file's name says the picture, where no column does. Where no reading makes
    sense, a UsageError says what the one with the most cells lacks.
    """
    faults = []
    for delimiter in sorted(DELIMITERS, key=lambda sign: -len(cells_of(header, sign))):
        texts = cells_of(header, delimiter)
        titles = [Title.of(column, text) for column, text in enumerate(texts) if text]
        names = {title.name for title in titles}
        layout = next(layout for layout in layouts if layout.signature <= names)
        if named:
            layout = replace(layout, needs=tuple(name for name in layout.needs if name != "image"))
        try:
            return layout, layout.find(titles), delimiter
        except UsageError as error:
            faults.append(error)
    raise faults[0]


def whole(reader, titles: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines in the file and the rows; raise UsageError where one has another number of
    cells than the header, or something after the last title."""
    width = len(titles)
    named = max((column for column, title in enumerate(titles, 1) if title), default=0)
    for row in reader:
        if row and len(row) != width or any(row[named:]):
            raise UsageError(
                f"line {reader.line_num + 1}: {len(row)} cells under {named} titles; decimal "
                "commas make such rows: write 12.5, or put ';' or tabs between cells"
            )
        if row:
            yield reader.line_num + 1, row


def gathered(path: Path, rows: Iterator, layout: Layout, fields: dict[str, Title]) -> Part:
    """Return the columns of a layout from the rows that are fixations, few rows at a time."""
    clean, decimals, lines = cache(cleaned), Decimals(), []
    texts = {name: [] for name in fields if name not in NUMBERS}
    numbers = {name: [np.empty(0)] for name in fields if name in NUMBERS}
    while chunk := list(islice(rows, ROWS)):
        if layout.kind:
            kind = fields["kind"].column
            chunk = [(n, row) for n, row in chunk if clean(row[kind]).lower() == layout.kind]
        lines += [line for line, _ in chunk]
        for name, title in fields.items():
            cells = [row[title.column] for _, row in chunk]
            if name in NUMBERS:
                numbers[name].append(decimals.values(cells, chunk, name))
            else:
                texts[name] += map(clean, cells)
    notices = decimals.check() + ((layout.note,) if layout.note else ())
    columns = {
        name: np.concatenate(parts) * layout.factor(fields[name], name)
        for name, parts in numbers.items()
    }
    to_pixels = layout.frames[fields["x"].unit] if "x" in fields else None
    return Part(path, texts, columns, np.array(lines, int), notices, to_pixels, bool(layout.name))


def renamed(layout: Layout, fields: dict[str, Title], titles: list[str]) -> Iterable[str]:
    """Say which columns are taken for what, where they are called otherwise or converted; and in
    one's own table which titles of its header are not read, for rows may differ in them."""
    taken = [f"{t.text} as {name}" for name, t in fields.items() if t.text.lower() != name]
    if taken:
        kind = f"a table of {layout.name}'s: " if layout.name else ""
        yield printable(f"{kind}{', '.join(taken)} taken")
    columns = {title.column for title in fields.values()}
    unread = [text for column, text in enumerate(titles) if text and column not in columns]
    if unread and not layout.name:
        yield printable(f"columns that are not read: {', '.join(unread)[:LISTED]}")
