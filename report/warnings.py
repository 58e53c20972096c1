"""What looks wrong with a corpus, by its facts alone: what was found, and what it may come of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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


def warnings(facts: Facts) -> list[str]:
    """Return what looks wrong, a line each."""
    lines = [*of_reading(facts)]
    record = facts["fixations"]
    if record and record["count"]:
        lines += [*of_places(record), *of_numbers(record), *of_times(record)]
    if facts["maps"]:
        lines += of_maps(facts["maps"])
    if facts["contrast"] and facts["contrast"]["auc"] is not None:
        lines += of_contrast(facts["contrast"])
    return [*lines, *of_sides(facts["duplicates"]["across"])]


def of_reading(facts: Facts) -> Iterator[str]:
    if facts["refusal"]:
        yield f"train refuses this: {facts['refusal']}"
    padding = facts["pictures"]["padding"]
    if padding and padding["mean"] > PADDING:
        share, size = 100 * padding["mean"], "x".join(map(str, facts["pictures"]["input"]))
        yield f"{share:.0f} % of the input of {size} is padding; --size gives another"


def of_places(record: Facts) -> Iterator[str]:
    if record["missing"]:
        yield f"{part(record, 'missing')} have no coordinates"
    if exceeds(record, "fractions", 0.5):
        yield (
            f"{part(record, 'fractions')} lie within 0..1 of the corner: fractions of the "
            "picture's sides, where pixels are needed?"
        )
        return
    _, _, right, bottom = record["reach"] or (0, 0, 1, 1)
    if exceeds(record, "outside", OUTSIDE):
        pictures = f"{record['pictures_outside']} pictures, most of '{record['worst_outside']}'"
        yield f"{part(record, 'outside')} lie outside their picture, on {pictures}: {guess(record)}"
    elif min(right, bottom) < REACH and record["count"] >= FEW:
        yield (
            f"99 % of the fixations keep to the left {100 * right:.0f} % and the upper "
            f"{100 * bottom:.0f} % of their picture: coordinates of smaller pictures?"
        )
    if exceeds(record, "edge", AT_EDGE):
        yield f"{part(record, 'edge')} lie on the outermost 1 % of their picture: clipped to it?"


def guess(record: Facts) -> str:
    """Return what fixations outside their picture may come of."""
    if record["outside_swapped"] < record["outside"] / 4:
        return f"x and y swapped? {record['outside_swapped']} would, the other way round"
    if exceeds(record, "negative", 0.2):
        return f"{part(record, 'negative')} are negative: counted from the picture's centre?"
    return "are these the pictures that were shown, in their size, and in this order?"


def of_numbers(record: Facts) -> Iterator[str]:
    point, length = record["commonest"], record["per_scanpath"]
    if point and point["count"] >= max(FEW, SAME * record["count"]):
        yield (
            f"{part({**record, 'n': point['count']}, 'n')} are exactly at ({point['x']:g}, "
            f"{point['y']:g}): lost samples, or where everyone had to look first?"
        )
    elif exceeds(record, "centre", CENTRE):
        yield f"{part(record, 'centre')} are at the very centre: where everyone had to look first?"
    if exceeds(record, "repeated", REPEATED):
        yield f"{part(record, 'repeated')} are where the one before them is: raw samples?"
    elif length and length["median"] > RAW:
        yield f"scanpaths have {length['median']:g} fixations (median): raw samples?"
    if record["observers"] == 1:
        yield "all fixations are of one observer: one person's density is no one else's"
    if record["pictures_without"]:
        yield f"{record['pictures_without']} pictures have no fixations"


def of_times(record: Facts) -> Iterator[str]:
    durations, times = record["durations"], record["times"]
    if durations and not DURATIONS[0] <= durations["median"] <= DURATIONS[1]:
        median = f"{durations['median']:g} s (median)"
        yield f"a fixation lasts {median}: in milliseconds, where seconds are needed?"
    if times and not record["counted"] and times["max"] > LONGEST:
        yield f"times go up to {times['max']:g} s: of another unit than seconds?"


def of_maps(maps: Facts) -> Iterator[str]:
    if maps["coloured"]:
        yield (
            f"{maps['coloured']} of {maps['count']} maps have colours: heat maps, drawn for eyes, "
            "are no densities; needed are grey levels, the lighter the likelier"
        )
    if maps["light_rim"] > maps["count"] / 2:
        yield (
            f"{maps['light_rim']} of {maps['count']} maps are lighter at the rim than elsewhere: "
            "black where people look?"
        )


def of_contrast(contrast: Facts) -> Iterator[str]:
    if contrast["pictures"] < LEAST:
        return
    words, best = max(contrast["others"].items(), key=lambda pair: pair[1] or 0)
    # Both are as uncertain: 4 errors of one are 3 of their difference.
    better = (best or 0) > contrast["auc"] + max(BETTER, 4 * contrast["error"])
    if not better and (contrast["auc"] > FOLLOWING or contrast["pictures"] < FEW):
        return
    cure = "is it their order, are x and y in place?"
    if better:
        cure = f"with {words} it would be {best:.3f}: is it that?"
    yield (
        f"fixations hardly follow what is in the pictures, shuffled AUC of contrast "
        f"{contrast['auc']:.3f} (chance .5, usual .65): {cure}"
    )


def of_sides(across: list[list[str]]) -> Iterator[str]:
    if across:
        names = " and ".join(f"'{name}'" for name in across[0][:2])
        yield (
            f"on both sides of the split: {len(across)} scene{'s' * (len(across) > 1)}"
            f", first {names}: what is validated on was trained on"
        )


def exceeds(record: Facts, name: str, share: float) -> bool:
    """Return whether more than a share of the fixations are such, and not only a few."""
    return record[name] > max(share * record["count"], 2)


def part(record: Facts, name: str) -> str:
    """Return such as `120 of 4,000 fixations (3 %)`."""
    share = 100 * record[name] / max(record["count"], 1)
    return f"{record[name]:,} of {record['count']:,} fixations ({share:.3g} %)"
