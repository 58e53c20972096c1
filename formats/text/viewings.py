"""Rows of tables -> scanpaths: one person's viewings of a picture, each in order of time."""

from pathlib import Path

import numpy as np
from absl import logging

from errors import UsageError
from formats.fixations import UNKNOWN, Fixations, table
from formats.text.columns import steps

START = 0.25  # of the time that a person's rows of a picture span: there a viewing begins
VIEWINGS, SHUFFLED = 0.85, 0.7  # shares of rises that begin so; of rows in any order 0.45
REPEATS = 0.1  # of the rows: people come back to a pixel, but not as often
LEAP = 30  # times the usual step from one row to the next is longer than any fixation


def in_scanpaths(rows: dict[str, np.ndarray], where: Path) -> Fixations:
    """Return the rows as scanpaths, in the order of stimuli, subjects, files and trials."""
    count = len(rows["n"])
    if "subject" not in rows:
        logging.warning("%s: no column says who looked; observers are taken as unknown", where)
    nobody = np.full(count, UNKNOWN)
    keys = [rows["n"], rows.get("subject", nobody), rows["file"], rows.get("trial", nobody)]
    order = np.lexsort(keys[::-1])
    first = steps(*(key[order] for key in keys))
    time = rows.get("t", rows.get("order"))
    known = "subject" in rows or "trial" in rows
    if "subject" in rows:
        warn_of_repeats(rows, where)
    if time is not None:
        order, first = in_time(order, first, time, "trial" in rows, where)
        if "trial" not in rows:
            warn_of_leaps(time[order], first, where)
    elif known and "trial" not in rows:
        said = "%s: no column says when (t, order); scanpaths are in the order of the rows"
        logging.info(said, where)
    rows = {name: column[order] for name, column in rows.items()}
    scanpath = np.cumsum(first) - 1
    counted = np.arange(count) - np.flatnonzero(first)[scanpath]
    return table(
        rows["x"],
        rows["y"],
        rows["n"],
        rows.get("subject", UNKNOWN),
        rows.get("t", counted if known else np.nan),
        rows.get("duration", np.nan),
        scanpath if known else UNKNOWN,
    )


def in_time(order, first, time, told: bool, where: Path):
    """Return rows in order of time, and which of them are the first of a scanpath.

    Args:
        order: rows, group by group, as in the file; first: (M,) which begin a group.
        time: (M,) of the rows; told: whether groups are single viewings.

    Raises:
        UsageError: where time falls, it is neither that viewings begin nor that rows are shuffled.
    """
    group = np.cumsum(first) - 1
    falls = ~first & (np.diff(time[order], prepend=0) < 0)
    if not falls.any():
        return order, first
    starts = first | falls
    share = begun(time[order], group, first, falls)
    if told or share < SHUFFLED:
        said = "%s: the rows of %d scanpaths are not in order of time, and are sorted"
        said += "" if told else "; a column trial would tell several viewings of a picture apart"
        logging.info(said, where, len(np.unique(group[falls])))
        sorting = np.lexsort((time[order], group))
        return order[sorting], first
    if share < VIEWINGS:
        raise UsageError(
            f"{where}: time falls {np.count_nonzero(falls)} times within an image and subject, as "
            "shuffled rows and several viewings might; sort the rows, or add a column trial"
        )
    said = "%s: time falls back to the start in %d scanpaths: taken as several viewings"
    logging.info(said, where, len(np.unique(group[falls])))
    return order, starts


def warn_of_repeats(rows: dict[str, np.ndarray], where: Path) -> None:
    """Say where many rows have the picture, the observer and the coordinates of another."""
    columns = [rows[name] for name in ("n", "subject", "x", "y")]
    order = np.lexsort(columns)
    count = np.count_nonzero(~steps(*(column[order] for column in columns)))
    if count > REPEATS * len(order):
        said = (
            "%s: %d of %d rows have the picture, the observer and the very coordinates of another; "
        )
        said += "is something in it twice, such as both eyes?"
        logging.warning(said, where, count, len(order))


def warn_of_leaps(time: np.ndarray, first: np.ndarray, where: Path) -> None:
    """Say where time, (M,) in order, leaps within a scanpath, as from one viewing to the next."""
    steps = np.where(first, 0, np.diff(time, prepend=0))
    leaps = steps > LEAP * np.median(steps[steps > 0]) if steps.any() else first & False
    if leaps.any():
        said = "%s: time leaps in %d scanpaths, by more than %d times its usual step; if several "
        said += "viewings of a picture are in them, a column trial tells these apart"
        logging.warning(said, where, len(np.unique(np.cumsum(first)[leaps])), LEAP)


def begun(time, group, first, falls) -> float:
    """Return the share of rises of time, in groups with falls, that begin near the earliest."""
    edges = np.flatnonzero(first)
    early, late = np.minimum.reduceat(time, edges), np.maximum.reduceat(time, edges)
    rises = (first | falls) & np.isin(group, group[falls])
    limit = (early + START * (late - early))[group[rises]]
    return float(np.mean(time[rises] <= limit))
