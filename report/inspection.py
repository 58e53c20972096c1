"""The page of what a corpus holds, its lines and its warnings, from its facts alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report.figures import bars
from report.page import template
from storage import replacing

Facts = Mapping[str, Any]

OUTSIDE = 0.005  # shares of fixations from which on something is wrong
SAME, CENTRE, REPEATED, AT_EDGE = 0.02, 0.05, 0.2, 0.15
REACH = 0.7  # of a side, that fixations go beyond where they belong to the picture
FOLLOWING, BETTER = 0.55, 0.04  # AUC of contrast; see inspection/contrast.py
FEW = 20  # pictures, fixations: of fewer, shares say nothing
LEAST = 8  # pictures of which a mistake that explains them is named all the same
DURATIONS = (0.03, 3.0)  # seconds: medians outside are of another unit
LONGEST = 600  # seconds that a picture is looked at
RAW = 60  # fixations of a scanpath, from which on they are raw samples
PADDING = 0.4
HISTOGRAMS = {
    "per_picture": ("fixations a picture", "picture"),
    "scanpaths_per_picture": ("scanpaths a picture", "picture"),
    "per_scanpath": ("fixations a scanpath", "scanpath"),
    "per_observer": ("fixations an observer", "observer"),
    "durations": ("duration in seconds", "fixation"),
}


def warnings(known: Facts) -> list[str]:
    """Return what looks wrong, each as a line: what was found, and what it may come of."""
    looks = (of_reading, of_places, of_numbers, of_times, of_maps, of_contrast, of_sides)
    return [line for look in looks for line in look(known)]


def of_reading(known: Facts) -> Iterator[str]:
    if known["refusal"]:
        yield f"train refuses this: {known['refusal']}"
    padding = known["pictures"]["padding"]
    if padding and padding["mean"] > PADDING:
        size = "x".join(map(str, known["pictures"]["input"]))
        share = f"{100 * padding['mean']:.0f} %"
        yield f"{share} of the input of {size} is padding; --size gives another"


def of_places(known: Facts) -> Iterator[str]:
    found = known["fixations"]
    if not found or not found["count"]:
        return
    if found["missing"]:
        yield f"{part(found, 'missing')} have no coordinates"
    if exceeds(found, "fractions", 0.5):
        yield (
            f"{part(found, 'fractions')} lie within 0..1 of the corner: fractions of the "
            "picture's sides, where pixels are needed?"
        )
        return
    _, _, right, bottom = found["reach"] or (0, 0, 1, 1)
    if exceeds(found, "outside", OUTSIDE):
        yield (
            f"{part(found, 'outside')} lie outside their picture, on {found['pictures_outside']} "
            f"pictures, most of '{found['worst_outside']}': {guess(found)}"
        )
    elif min(right, bottom) < REACH and found["count"] >= FEW:
        yield (
            f"99 % of the fixations keep to the left {100 * right:.0f} % and the upper "
            f"{100 * bottom:.0f} % of their picture: coordinates of smaller pictures?"
        )
    if exceeds(found, "edge", AT_EDGE):
        yield f"{part(found, 'edge')} lie on the outermost 1 % of their picture: clipped to it?"


def guess(found: Facts) -> str:
    """What fixations outside their picture may come of."""
    if found["outside_swapped"] < found["outside"] / 4:
        return f"x and y swapped? {found['outside_swapped']} would, the other way round"
    if exceeds(found, "negative", 0.2):
        return f"{part(found, 'negative')} are negative: counted from the picture's centre?"
    return "are these the pictures that were shown, in their size, and in this order?"


def of_numbers(known: Facts) -> Iterator[str]:
    found = known["fixations"]
    if not found or not found["count"]:
        return
    point = found["commonest"]
    if point and point["count"] >= max(FEW, SAME * found["count"]):
        yield (
            f"{part({**found, 'n': point['count']}, 'n')} are exactly at ({point['x']:g}, "
            f"{point['y']:g}): lost samples, or where everyone had to look first?"
        )
    elif exceeds(found, "centre", CENTRE):
        yield f"{part(found, 'centre')} are at the very centre: where everyone had to look first?"
    if exceeds(found, "repeated", REPEATED):
        yield f"{part(found, 'repeated')} are where the one before them is: raw samples?"
    elif found["per_scanpath"] and found["per_scanpath"]["median"] > RAW:
        yield f"scanpaths have {found['per_scanpath']['median']:g} fixations (median): raw samples?"
    if found["observers"] == 1:
        yield "all fixations are of one observer: one person's density is no one else's"
    if found["pictures_without"]:
        yield f"{found['pictures_without']} pictures have no fixations"


def of_times(known: Facts) -> Iterator[str]:
    found = known["fixations"]
    if not found:
        return
    low, high = DURATIONS
    if found["durations"] and not low <= found["durations"]["median"] <= high:
        median = f"{found['durations']['median']:g}"
        yield f"a fixation lasts {median} s (median): in milliseconds, where seconds are needed?"
    if found["times"] and not found["counted"] and found["times"]["max"] > LONGEST:
        yield f"times go up to {found['times']['max']:g} s: of another unit than seconds?"


def of_maps(known: Facts) -> Iterator[str]:
    found = known["maps"]
    if not found:
        return
    if found["coloured"]:
        yield (
            f"{found['coloured']} of {found['count']} maps have colours: heat maps, drawn for "
            "eyes, are no densities; needed are grey levels, the lighter the likelier"
        )
    if found["light_rim"] > found["count"] / 2:
        yield (
            f"{found['light_rim']} of {found['count']} maps are lighter at the rim than elsewhere: "
            "black where people look?"
        )


def of_contrast(known: Facts) -> Iterator[str]:
    found = known["contrast"]
    if not found or found["auc"] is None or found["pictures"] < LEAST:
        return
    words, best = max(found["others"].items(), key=lambda pair: pair[1] or 0)
    # Both are as uncertain: 4 errors of one are 3 of their difference.
    better = (best or 0) > found["auc"] + max(BETTER, 4 * found["error"])
    if not better and (found["auc"] > FOLLOWING or found["pictures"] < FEW):
        return
    cure = "is it their order, are x and y in place?"
    if better:
        cure = f"with {words} it would be {best:.3f}: is it that?"
    yield (
        f"fixations hardly follow what is in the pictures, shuffled AUC of contrast "
        f"{found['auc']:.3f} (chance .5, usual .65): {cure}"
    )


def of_sides(known: Facts) -> Iterator[str]:
    across = known["duplicates"]["across"]
    if across:
        names = " and ".join(f"'{name}'" for name in across[0][:2])
        yield (
            f"on both sides of the split: {len(across)} scene{'s' * (len(across) > 1)}"
            f", first {names}: what is validated on was trained on"
        )


def exceeds(found: Facts, name: str, share: float) -> bool:
    """Whether more than a share of the fixations are such, and not only a few."""
    return found[name] > max(share * found["count"], 2)


def part(found: Facts, name: str) -> str:
    """`120 of 4,000 fixations (3 %)`."""
    share = 100 * found[name] / max(found["count"], 1)
    return f"{found[name]:,} of {found['count']:,} fixations ({share:.3g} %)"


def rows(known: Facts) -> list[tuple[str, str]]:
    """Return the numbers as (what, text) in the order of the page and of the terminal."""
    pictures, found, sigma = known["pictures"], known["fixations"], known["sigma"]
    said = [
        ("folder", known["folder"]),
        ("pictures", f"{pictures['count']:,}: {counted(pictures['formats'])}"
                     + unreadable(known["unreadable"])),
        ("sizes", f"{pictures['different_sizes']}: {counted(pictures['sizes'][:5])}"),
        ("input", f"{pictures['input'][0]}x{pictures['input'][1]} (height x width), "
                  f"padding {shares(pictures['padding'])}"),
    ]  # fmt: skip
    if found:
        said += of_record(found)
    if known["maps"]:
        said.append(("maps", f"{known['maps']['count']:,}: {counted(known['maps']['formats'])}"))
    said.append(
        ("sigma", f"{sigma['pixels']:g} px, {sigma['from']}" if sigma["pixels"] else sigma["from"])
    )
    sides = ", ".join(f"{count:,} {side}" for side, count in known["sides"].items())
    said.append(("split", f"{sides}: {known['split']}" if sides else "none"))
    twice = {key: len(groups) for key, groups in known["duplicates"].items()}
    said.append(("twice", f"{twice['exact']} scenes with the same pixels, {twice['near']} nearly "
                          f"the same; {twice['across']} on both sides"))  # fmt: skip
    contrast = known["contrast"]
    if contrast and contrast["auc"] is not None:
        said.append(("contrast", f"shuffled AUC {contrast['auc']:.3f} ± {contrast['error']:.3f} "
                                 "(chance .5; usual .65)"))  # fmt: skip
    return said


def of_record(found: Facts) -> list[tuple[str, str]]:
    """The rows of a record of fixations."""
    said = [
        ("fixations", f"{found['count']:,}; a picture {ends(found['per_picture'])}"),
        ("observers", f"{found['observers'] or 'not known'}; each {ends(found['per_observer'])}"),
        ("scanpaths", f"{found['scanpaths']:,}; a picture {ends(found['scanpaths_per_picture'])}, "
                      f"each of {ends(found['per_scanpath'])}"
                      if found["scanpaths"] else "not known"),
        ("outside", f"{part(found, 'outside')}; {found['missing']:,} missing"),
    ]  # fmt: skip
    if found["reach"]:
        left, top, right, bottom = (f"{100 * value:.0f}" for value in found["reach"])
        said.append(("reach", f"99 % within {left} to {right} % of the width and "
                              f"{top} to {bottom} % of the height"))  # fmt: skip
    said.append(("durations", ends(found["durations"], " s")))
    times = "the order alone" if found["counted"] else ends(found["times"], " s")
    said.append(("times", times))
    return said


def unreadable(found: Mapping[str, str]) -> str:
    """How many pictures cannot be read, and why the first cannot."""
    first = next(iter(found.items()), None)
    return f"; {len(found)} cannot be read, first '{first[0]}': {first[1]}" if first else ""


def counted(pairs) -> str:
    """`800x600 (690), 640x480 (10)`."""
    return ", ".join(f"{name} ({count:,})" for name, count in pairs) or "none"


def ends(found: Facts | None, unit: str = "") -> str:
    """Median, minimum and maximum of a spread."""
    if not found:
        return "not known"
    if found["min"] == found["max"]:
        return f"{found['median']:g}{unit}"
    return f"{found['median']:g}{unit} ({found['min']:g} to {found['max']:g})"


def shares(found: Facts | None) -> str:
    """Mean, minimum and maximum of a share, in percent."""
    if not found:
        return "none"
    mean, low, high = (f"{100 * found[name]:.0f}" for name in ("mean", "min", "max"))
    return f"{mean} %" if low == high else f"{mean} % ({low} to {high} %)"


def lines(known: Facts) -> list[str]:
    """Return what the terminal says: warnings first, the page last."""
    said = [f"! {line}" for line in known["warnings"]]
    said += [f"{what:<10} {text}" for what, text in rows(known)]
    said += [f"train says: {line}" for line in known["notices"]]
    return [*said, f"page: {known['page']}"]


def write_page(path: Path, known: Facts) -> None:
    """Writes the page: warnings, numbers, histograms, pictures, a batch; see `lines` and
    commands/inspecting.py for what is in `known`, whose pictures lie relative to the page."""
    text = template("inspection.html.jinja").render(
        known=known, rows=rows(known), histograms=_histograms(known["fixations"] or {})
    )
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace")


def _histograms(found: Facts) -> list[dict[str, Any]]:
    """The histogram of each spread that has two different values."""
    drawn = []
    for name, (title, what) in HISTOGRAMS.items():
        spread = found.get(name)
        if not spread or math.isclose(spread["min"], spread["max"]):
            continue
        marks = {"mean": spread["median"]}
        svg = bars(spread["edges"], spread["counts"], marks, f"Histogram of {title}", what)
        drawn.append({"title": title, "median": f"{spread['median']:g}", "svg": svg})
    return drawn
