"""Fresh starts, which the command that began them goes on with when it is typed again."""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from config import Config
from errors import UsageError
from model.checkpoints import states
from model.checkpoints.restore import STATE, shape_before, shape_of
from model.checkpoints.runs import Run, read_json
from model.training.trainer import Progress

Planned = tuple[Run, Config, Path | None]  # a run, its configuration and --weights


def begun(runs: Sequence[Planned], corpus, last: Path | None = None) -> tuple[str, set[str]]:
    """Return what a command with --fresh calls its start, and the names of its runs that go on.

    The start is remembered in states, so that the same command, typed again or requeued, goes on
    with what it began. Where all of that is done, it means another start: then none goes on.

    Args:
        runs: in the order in which the command trains them.
        last: what the command writes after all of them, if anything.
    """
    names = [run.name for run, _, _ in runs]
    found = {planned[0]: state_of(*planned, corpus, names) for planned in runs}
    began = next((state["began"]["name"] for state in found.values() if state), None)
    mine = [run for run, state in found.items() if state and state["began"]["name"] == began]
    done = len(mine) == len(runs) and all(over(found[run], each) for run, each, _ in runs)
    done = done and (last is None or all(written_after(last, run) for run in mine))
    if not mine or done:
        return uuid4().hex[:12], set()
    return began, {run.name for run in mine}


def goes_on(runs: Sequence[Planned], corpus, fresh: bool, last: Path | None = None) -> bool:
    """Return whether a command, typed again, has a state to go on from; see begun."""
    if fresh:
        return bool(begun(runs, corpus, last)[1])
    return any(states.newest(run.latest) for run, *_ in runs)


def state_of(
    run: Run, settings: Config, weights: Path | None, corpus, names: Sequence[str]
) -> dict | None:
    """Return what a run's latest state says, None where no such command began it afresh."""
    try:
        state = states.newest(run.latest)
    except UsageError:  # all are damaged
        return None
    found = read_json(state / STATE) if state else {}
    command = {"runs": list(names), "epochs": settings.epochs, "patience": settings.patience}
    if {**(found.get("began") or {}), **command} != found.get("began"):
        return None
    before, wanted = shape_before(found), shape_of(corpus, settings, weights)
    return found if all(before.get(name) == value for name, value in wanted.items()) else None


def over(state: dict, settings: Config) -> bool:
    """Return whether a run has no more to do."""
    progress = Progress(**state["progress"])
    waited = settings.patience and progress.waited() >= settings.patience
    return progress.epoch >= settings.epochs or bool(waited)


def written_after(file: Path, run: Run) -> bool:
    """Return whether a file is newer than a run's latest state."""
    state = states.newest(run.latest) / STATE
    return file.exists() and file.stat().st_mtime >= state.stat().st_mtime
