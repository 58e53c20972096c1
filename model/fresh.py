"""Fresh starts, which the command that began them goes on with when it is typed again."""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from config import Config, UsageError
from model import states
from model.restore import STATE, shape_of
from model.runs import Run, read_json
from model.trainer import Progress

Planned = tuple[Run, Config, Path | None]  # a run, its configuration and --weights


def begun(runs: Sequence[Planned], corpus, last: Path | None = None) -> tuple[str, set[str]]:
    """Return what a command with --fresh calls its start, and the names of its runs that go on.

    The start is remembered in states, so that the same command, typed again or requeued, goes on
    with what it began. Where all of that is done, it means another start: then none goes on.

    Args:
        runs: in the order in which the command trains them.
        last: what the command writes after all of them, if anything.
    """
    states_of = {run.name: state_of(*planned, corpus) for planned in runs for run in planned[:1]}
    first = next(iter(states_of.values()))
    began = first and first["began"]["name"]
    mine = {name for name, state in states_of.items() if state and state["began"]["name"] == began}
    done = len(mine) == len(runs) and all(
        over(states_of[run.name], settings) for run, settings, _ in runs
    )
    if not began or (done and (last is None or written_after(last, runs[-1][0]))):
        return uuid4().hex[:12], set()
    return began, mine


def state_of(run: Run, settings: Config, weights: Path | None, corpus) -> dict | None:
    """Return what a run's latest state says, None where it is of no fresh start of the same."""
    try:
        state = states.newest(run.latest)
    except UsageError:  # all are damaged
        return None
    found = read_json(state / STATE) if state else {}
    if not found.get("began") or found["began"]["epochs"] != settings.epochs:
        return None
    wanted = shape_of(corpus, settings, weights).items()
    return found if all(found["shape"].get(name) == value for name, value in wanted) else None


def over(state: dict, settings: Config) -> bool:
    """Return whether a run has no more to do."""
    progress = Progress(**state["progress"])
    waited = settings.patience and progress.waited() >= settings.patience
    return progress.epoch >= settings.epochs or bool(waited)


def written_after(file: Path, run: Run) -> bool:
    """Return whether a file is newer than a run's latest state."""
    state = states.newest(run.latest) / STATE
    return file.exists() and file.stat().st_mtime >= state.stat().st_mtime
