"""What many tests need: command lines, lines of errors, noise, comparisons, files of runs."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

import flags
import main
from errors import UsageError
from model.checkpoints.runs import Run


def run(*argv) -> int:
    """Run a command line in this process; return its exit code."""
    try:
        return main.main(flags.parse(["main.py", *map(str, argv)], main.COMMANDS))
    except SystemExit as stop:
        return stop.code


@contextmanager
def one_line(match: str | None = None, error: type = UsageError) -> Iterator:
    """Check that the block raises an error whose text is one printable line."""
    with pytest.raises(error, match=match) as caught:
        yield caught
    assert str(caught.value).isprintable()


def refusal(do: Callable, *args, error: type = UsageError, **options) -> str:
    """Return the one line of the error that a call raises."""
    with one_line(error=error) as caught:
        do(*args, **options)
    return str(caught.value)


def refusal_of(path: Path, do: Callable, *args, **options) -> str:
    """Return the same of an error that begins with a file's name, which is left out."""
    said = refusal(do, *args, **options)
    assert said.startswith(f"{path}: ")
    return said.removeprefix(f"{path}: ")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Return bytes of a shape, drawn evenly."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def same(one, other) -> bool:
    """Tell whether arrays, or dicts and lists of them, have the same types, shapes and values."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one.dtype == other.dtype and np.array_equal(one, other)


def flip(path: Path, place: int = -1) -> None:
    """Change the lowest bit of one byte of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def arrays(file: Path) -> dict[str, bytes]:
    """Return the bytes of all arrays of an HDF5 file by their names."""
    found = {}

    def collect(name, node):
        if isinstance(node, h5py.Dataset):
            found[name] = node[()].tobytes()

    with h5py.File(file) as content:
        content.visititems(collect)
    assert len(found) > 10
    return found


def history(results: Path, name: str = "msinet_own") -> list[dict[str, str]]:
    """Return a run's epochs as its CSV has them."""
    return rows(results / f"history/{name}.csv")


def about(results: Path, name: str = "msinet_own") -> dict:
    """Return what the JSON of a run's best checkpoint says."""
    return json.loads(Run(results, name).best.record.read_text())


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open() as file:
        return list(csv.DictReader(file))


@contextmanager
def killed(when: str) -> Iterator[None]:
    """Have trainings end in a step of an epoch, `epoch 2, step 1`, as Ctrl-C ends them."""
    from model.training import trainer

    fine = trainer.check_finite

    def check(sums, batch, strategy, names, now):
        if now == when:
            raise KeyboardInterrupt
        fine(sums, batch, strategy, names, now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "check_finite", check)
        yield
