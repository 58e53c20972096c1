"""Fresh starts, which the command that began them goes on with when it is typed again."""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from config import Config
from errors import UsageError
from model.checkpoints import folders
from model.checkpoints.restore import fingerprint_of, read_record
from model.checkpoints.runs import Run
from model.training.trainer import Progress

Planned = tuple[Run, Config, Path | None]  # a run, its configuration and --weights


def begun(runs: Sequence[Planned], corpus, last: Path | None = None) -> tuple[str, set[str]]:
    """Return what a command with --fresh calls its start, and the names of its runs that go on.

    The start is remembered in checkpoints, so that the same command, typed again or requeued, goes
    on with what it began. Where all of that is done, it means another start: then none goes on.

    Args:
        runs: in the order in which the command trains them.
        last: what the command writes after all of them, if anything.
    """
    names = [run.name for run, _, _ in runs]
    records = {run: record_of(run, *rest, corpus, names) for run, *rest in runs}
    began = next((record["began"]["name"] for record in records.values() if record), None)
    going_on = [
        run for run, record in records.items() if record and record["began"]["name"] == began
    ]
    done = len(going_on) == len(runs) and all(over(records[run], plan) for run, plan, _ in runs)
    if not going_on or (done and (last is None or all(written_after(last, r) for r in going_on))):
        return uuid4().hex[:12], set()
    return began, {run.name for run in going_on}


def goes_on(runs: Sequence[Planned], corpus, fresh: bool, last: Path | None = None) -> bool:
    """Return whether a command, typed again, has a checkpoint to go on from; see begun."""
    if fresh:
        return bool(begun(runs, corpus, last)[1])
    return any(folders.newest(run.latest) for run, *_ in runs)


def record_of(
    run: Run, settings: Config, weights: Path | None, corpus, names: Sequence[str]
) -> dict | None:
    """Return what a run's latest checkpoint says, None where no such command began it afresh."""
    try:
        latest = folders.newest(run.latest)
    except UsageError:  # all are damaged
        return None
    record = read_record(latest) if latest else {}
    command = {"runs": list(names), "epochs": settings.epochs, "patience": settings.patience}
    began = record.get("began")
    if not began or {**began, **command} != began:
        return None
    before, wanted = record["fingerprint"], fingerprint_of(corpus, settings, weights)
    return record if all(before.get(name) == value for name, value in wanted.items()) else None


def over(record: dict, settings: Config) -> bool:
    """Return whether a run has no more to do."""
    progress = Progress(**record["progress"])
    waited = settings.patience and progress.waited() >= settings.patience
    return progress.epoch >= settings.epochs or bool(waited)


def written_after(file: Path, run: Run) -> bool:
    """Return whether a file is newer than a run's latest checkpoint."""
    record = folders.newest(run.latest).record
    return file.exists() and file.stat().st_mtime >= record.stat().st_mtime
