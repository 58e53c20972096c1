"""What is written and said of an evaluation."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from config import UsageError
from data.corpus import Corpus
from data.samples import Sample
from model.runs import Run
from report.page import write_page
from report.statistics import summarise
from report.table import (
    compare,
    comparison_text,
    read_metrics,
    text_table,
    write_metrics,
    write_table,
)

PROTOCOLS = {"tuebingen": "Tuebingen protocol", "mit": "old MIT protocol"}


def report(
    files: Run, line: str, corpus: Corpus, sample: Sample, rows: Sequence[Mapping], args
) -> dict[str, float]:
    """Writes an evaluation's page, table and numbers; prints and returns its means."""
    curve = files.history.with_suffix(".png")
    files = Run(files.results, files.name + mode(args))
    found = {
        "protocol": protocol(args, sample),
        "corpus": corpus.reference,
        "model": line,
        "name": files.name,
        **summarise(rows),
    }
    write_metrics(files.metrics, found)
    write_table(files.table, rows)
    write_page(
        files.page,
        title=files.name,
        model_line=line,
        found=found,
        rows=rows,
        note="At the stimuli's own size, from floats.",
        curve=os.path.relpath(curve, files.page.parent) if curve.is_file() else None,
    )
    print(text_table(found, files.name))
    logging.info("report: %s, .csv and .metrics.json", files.page)
    return found["image"]


def mode(args) -> str:
    """What tells the report of another protocol from the usual one."""
    return ("_mit" if args.protocol == "mit" else "") + ("_maps" if args.maps else "")


def protocol(args, sample: Sample) -> str:
    """All that two evaluations must share for their numbers to be compared."""
    blur = "the authors' maps" if sample.density_map else f"Gaussian of {sample.sigma:g} px"
    maps = "; each metric on the map made for it" if args.maps else ""
    return f"{PROTOCOLS[args.protocol]}; empirical density: {blur}{maps}"


def difference(results: Path, a: str, b: str) -> None:
    """Prints how two tested runs differ, picture by picture."""
    paths = [Run(results, name).metrics for name in (a, b)]
    try:
        pairing = compare(*paths)
    except ValueError as error:
        raise UsageError(str(error)) from None
    print(comparison_text(pairing, a, b, read_metrics(paths[0])["protocol"]))
