"""Rows of tables -> scanpaths: one person's viewings of a picture, each in order of time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import logging

from errors import UsageError
from formats.fixations import UNKNOWN, Fixations, table

START = 0.25  # of the time that a person's rows of a picture span: there a viewing begins
VIEWINGS, SHUFFLED = 0.85, 0.7  # shares of rises that begin so; of rows in any order 0.45
REPEATS = 0.1  # of the rows: people come back to a pixel, but not as often
LEAP = 30  # times the usual step from one row to the next is longer than any fixation


def one_row_each(part):
    """Return a columns.Part with one of the samples of each fixation on a picture, and the
    viewings of a picture told apart: one ends where the person's next fixation is elsewhere."""
    known = ~np.isnan(part.numbers["x"] + part.numbers["y"])
    placed = part.select(known & np.array([*map(bool, part.texts["image"])], bool))
    person = [name for name in ("recording", "subject") if name in part.texts]
    total, count = (
        len({*zip(*(rows.texts[name] for name in (*person, "index")), strict=True)})
        for rows in (part, placed)
    )
    column = {name: np.array(texts, object) for name, texts in placed.texts.items()}
    viewing = changes(*(column[name] for name in (*person, "image")))
    placed.texts["trial"] = np.cumsum(viewing).astype(str).tolist()
    if count < total:
        lost = f"{total - count} of {total} fixations are on no picture and are left out"
        placed = replace(placed, notices=(*placed.notices, lost))
    return placed.select(viewing | changes(column["index"]))


def changes(*columns: np.ndarray) -> np.ndarray:
    """Return (M,) bool: which rows differ from the one before them in any of the columns."""
    different = np.ones(len(columns[0]), bool)
    different[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return different


def in_scanpaths(rows: dict[str, np.ndarray], where: Path) -> Fixations:
    """Return the rows as scanpaths, in the order of stimuli, subjects, files and trials."""
    single, known = "trial" in rows, "trial" in rows or "subject" in rows
    nobody = np.full(len(rows["n"]), UNKNOWN)
    keys = [rows["n"], rows.get("subject", nobody), rows["file"], rows.get("trial", nobody)]
    order = np.lexsort(keys[::-1])
    first = changes(*(key[order] for key in keys))
    time = rows.get("t", rows.get("order"))
    if "subject" in rows:
        warn_of_repeats(rows, where)
    else:
        logging.warning("%s: no column says who looked; observers are taken as unknown", where)
    if time is not None:
        order, first = in_time(order, first, time, single, where)
        if not single:
            warn_of_leaps(time[order], first, where)
    elif known and not single:
        said = "%s: no column says when (t, order); scanpaths are in the order of the rows"
        logging.info(said, where)
    rows = {name: column[order] for name, column in rows.items()}
    scanpath = np.cumsum(first) - 1
    position = np.arange(len(order)) - np.flatnonzero(first)[scanpath]
    return table(
        rows["x"],
        rows["y"],
        rows["n"],
        rows.get("subject", UNKNOWN),
        rows.get("t", position if known else np.nan),
        rows.get("duration", np.nan),
        scanpath if known else UNKNOWN,
    )


def in_time(order, first, time, single: bool, where: Path):
    """Return rows in order of time, and which of them are the first of a scanpath.

    order: rows, group by group, as in the file; first: (M,) which begin a group; time: (M,) of the
    rows; single: whether groups are single viewings. Raise UsageError where time falls neither as
    where viewings begin nor as in shuffled rows.
    """
    group, falls = np.cumsum(first), ~first & (np.diff(time[order], prepend=0) < 0)
    if not falls.any():
        return order, first
    share, count = begun(time[order], group, first, falls), len(np.unique(group[falls]))
    if single or share < SHUFFLED:
        said = "%s: the rows of %d scanpaths are not in order of time, and are sorted"
        said += "" if single else "; a column trial would tell several viewings of a picture apart"
        logging.info(said, where, count)
        return order[np.lexsort((time[order], group))], first
    if share < VIEWINGS:
        raise UsageError(
            f"{where}: time falls {np.count_nonzero(falls)} times within an image and subject, as "
            "shuffled rows and several viewings might; sort the rows, or add a column trial"
        )
    said = "%s: time falls back to the start in %d scanpaths: taken as several viewings"
    logging.info(said, where, count)
    return order, first | falls


def begun(time, group, first, falls) -> float:
    """Return the share of rises of time, in groups with falls, that begin near the earliest."""
    edges = np.flatnonzero(first)
    early, late = np.minimum.reduceat(time, edges), np.maximum.reduceat(time, edges)
    rises = (first | falls) & np.isin(group, group[falls])
    limit = (early + START * (late - early))[group[rises] - 1]
    return float(np.mean(time[rises] <= limit))


def warn_of_repeats(rows: dict[str, np.ndarray], where: Path) -> None:
    """Say where many rows have the picture, the observer and the coordinates of another."""
    columns = [rows[name] for name in ("n", "subject", "x", "y")]
    order = np.lexsort(columns)
    count = np.count_nonzero(~changes(*(column[order] for column in columns)))
    if count > REPEATS * len(order):
        said = "%s: %d of %d rows have the picture, the observer and the very coordinates of "
        said += "another; is something in it twice, such as both eyes?"
        logging.warning(said, where, count, len(order))


def warn_of_leaps(time: np.ndarray, first: np.ndarray, where: Path) -> None:
    """Say where time, (M,) in order, leaps within a scanpath, as from one viewing to the next."""
    steps = np.where(first, 0, np.diff(time, prepend=0))
    leaps = steps > LEAP * np.median(steps[steps > 0]) if steps.any() else first & False
    if leaps.any():
        said = "%s: time leaps in %d scanpaths, by more than %d times its usual step; if several "
        said += "viewings of a picture are in them, a column trial tells these apart"
        logging.warning(said, where, len(np.unique(np.cumsum(first)[leaps])), LEAP)
