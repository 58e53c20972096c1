"""Scanpaths in the JSON of COCO-Search18 and COCO-FreeView -> their columns."""

import json
import math
from functools import partial
from pathlib import Path

import numpy as np

from errors import UsageError
from formats.text.columns import Part
from formats.text.viewings import changes

DISPLAY = (1680, 1050)  # width and height of what was shown: pictures fitted and padded
NEAR = math.log(1.25)
NEEDS = ("name", "subject", "X", "Y")
NOTICE = (
    "scanpaths of COCO-Search18 or COCO-FreeView, T in milliseconds; each begins at the centre, "
    "before the picture: --skip-first leaves that out"
)


def read(path: Path) -> Part:
    """Return the fixations of all scanpaths, which differ in `trial`; T is their durations. Raise
    UsageError, with the scanpath, where it is no JSON, or no list of such scanpaths."""
    records = parsed(path)
    columns = [numbers(record, f"{path}: scanpath {k}") for k, record in enumerate(records, 1)]
    x, y, duration = np.concatenate([np.empty((3, 0)), *columns], 1)
    lengths = [column.shape[1] for column in columns]
    trial = np.repeat(np.arange(len(records)), lengths)
    rows = [records[k] for k in trial]
    texts = {
        "image": [picture(record) for record in rows],
        "subject": [str(record["subject"]).strip() for record in rows],
        "trial": [*map(str, trial)],
        "split": [str(record.get("split") or "").strip() for record in rows],
    }
    values = {"x": x, "y": y, "duration": duration / 1000}
    to_pixels = partial(in_pictures, path, changes(trial))
    return Part(path, texts, values, trial + 1, (NOTICE,), to_pixels, True)


def parsed(path: Path) -> list[dict]:
    """Return the records, one a scanpath; raise UsageError where there are others."""
    try:
        records = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no JSON ({type(error).__name__})") from None
    if not isinstance(records, list):
        raise UsageError(f"{path}: {type(records).__name__}, a list of scanpaths is needed")
    for k, record in enumerate(records, 1):
        if not (isinstance(record, dict) and all(name in record for name in NEEDS)):
            raise UsageError(f"{path}: scanpath {k} lacks one of {', '.join(NEEDS)}")
    return records


def picture(record: dict) -> str:
    """Return a picture's name, in the folder of the task as the authors' archives have it."""
    task = record.get("task")
    return f"{task}/{record['name']}" if task else str(record["name"])


def numbers(record: dict, where: str) -> np.ndarray:
    """Return (3, n): x, y in pixels of the display and milliseconds, NaN where missing."""
    try:
        columns = [np.array(record[name], np.float64) for name in ("X", "Y")]
        columns += [np.array(record.get("T", np.full(len(columns[0]), np.nan)), np.float64)]
        columns = np.array(columns)
    except (ValueError, TypeError, OverflowError):
        columns = np.empty(0)
    if columns.ndim != 2 or np.isinf(columns).any():
        raise UsageError(f"{where}: X, Y and T must be lists of as many numbers")
    return columns


def in_pictures(path: Path, first, x, y, width, height):
    """Return x and y in pixels of the pictures, whose sizes (M,) are NaN where not known.

    Scanpaths begin at the centre of the frame that they are in: the display, or what they and
    the pictures were scaled to. Raise UsageError where a picture is not the display's in a smaller
    or larger size, or the frame is neither the display nor the picture.
    """
    wide, high = DISPLAY
    odd = np.abs(width * high - height * wide) > np.maximum(wide, width)
    if odd.any():
        raise UsageError(
            f"{path}: a picture has {width[odd][0]:.0f}x{height[odd][0]:.0f} pixels, and its "
            f"fixations are on what was shown with {wide}x{high}; take those of "
            "COCOSearch18-images-TP.zip and -TA.zip"
        )
    begins = first & (width > 0) & ~np.isnan(x + y)
    if not begins.any():
        return x, y
    frame = 2 * np.median([x[begins], y[begins]], 1)
    size = np.median([width[begins], height[begins]], 1)
    for origin, scale in ((DISPLAY, (width / wide, height / high)), (size, (1.0, 1.0))):
        if (np.abs(np.log(np.maximum(frame, 1e-9) / origin)) < NEAR).all():
            return x * scale[0], y * scale[1]
    raise UsageError(
        f"{path}: scanpaths begin near {frame[0] / 2:.0f}, {frame[1] / 2:.0f}, which is the centre "
        f"neither of {wide}x{high}, that was shown, nor of the pictures, "
        f"{size[0]:.0f}x{size[1]:.0f}"
    )
