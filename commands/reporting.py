"""What is written and said of an evaluation."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from commands.evaluation import Subject
from data.samples import fingerprint
from errors import UsageError
from model.checkpoints.runs import Run
from report.page import write_page
from report.statistics import summarise
from report.table import compare, text_table, write_metrics, write_table

PROTOCOLS = {"tuebingen": "Tuebingen protocol", "mit": "old MIT protocol"}


def report(
    subject: Subject, cases: Sequence, measured: Mapping, rows: Sequence[Mapping], args
) -> dict[str, float]:
    """Write an evaluation's page, table and numbers; print and return its means.

    cases: what was tested, on the sides of a corpus; measured: all that two evaluations must share
    for their numbers to be compared.
    """
    files, corpus, sample = subject.files, cases[0].corpus, cases[0].tested[0]
    curve = files.history.with_suffix(".png")
    files = Run(files.results, files.name + mode(args))
    side = "; the test side" if args.side == "test" else ""
    blur = "the authors' maps" if sample.density_map else f"Gaussian of {sample.sigma:g} px"
    found = {
        "protocol": f"{measured['protocol']}; empirical density: {blur}{side}",
        "measured": measured,
        "corpus": corpus.name,
        "side": args.side,
        "model": subject.line,
        "name": files.name,
        **summarise(rows, subject.conditional),
    }
    write_metrics(files.metrics, found)
    write_table(files.table, rows)
    write_page(
        files.page,
        title=files.name,
        model_line=subject.line,
        found=found,
        rows=rows,
        note="At the stimuli's own size, from floats.",
        curve=os.path.relpath(curve, files.page.parent) if curve.is_file() else None,
    )
    print(text_table(found, files.name))
    logging.info("report: %s, .csv and .metrics.json", files.page)
    return found["image"]


def mode(args) -> str:
    """Return what tells the report of another protocol from the usual one."""
    parts = {"_mit": args.protocol == "mit", "_maps": args.maps, "_skipfirst": args.skip_first}
    parts["_test"] = args.side == "test"
    return "".join(part for part, asked in parts.items() if asked)


def measured(cases: Sequence, args) -> dict:
    """Return what an evaluation's numbers depend on beside what is tested, as fingerprints: the
    protocol, the pictures and their fixations, their empirical densities, the training sides that
    baselines are fitted on, and the pictures whose fixations are negatives."""
    maps = "; each metric on the map made for it" if args.maps else ""
    first = "; without the first fixation of each scanpath" if args.skip_first else ""
    tested = [sample for case in cases for sample in case.tested]
    ordered = sorted(tested, key=lambda sample: sample.name)
    return {
        "protocol": f"{PROTOCOLS[args.protocol]}{maps}{first}",
        "pictures": fingerprint(ordered),
        "density": fingerprint(ordered, blur=True),
        "baseline": [fingerprint(case.training) for case in cases],
        # The ten others of the old protocol are drawn from the pictures in their order.
        "negatives": fingerprint(ordered if args.protocol == "tuebingen" else tested),
    }


def difference(results: Path, a: str, b: str) -> None:
    """Print how two tested runs differ, picture by picture."""
    try:
        print(compare(*(Run(results, name).metrics for name in (a, b))))
    except ValueError as error:
        raise UsageError(str(error)) from None
