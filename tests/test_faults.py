"""Kills, signals, damage, locks, clocks: a training that meets them loses nothing.

Real processes; the environment variable FAULT_SEED draws the moments at which they are killed.
"""

import os
import shlex
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import make_own
from helpers import run
from processes import PATIENCE, Program
from run_files import (
    EPOCHS,
    EVERY_STEP,
    NAME,
    PICTURES,
    command,
    counted,
    cut_off,
    folder,
    left,
    newest,
    progress,
)

from model.checkpoints import folders
from model.checkpoints.restore import so_far

FUTURE = 4e9  # seconds; the year 2096


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return make_own(tmp_path_factory.mktemp("faults") / "own", count=28)


@pytest.fixture(scope="module")
def whole(own, tmp_path_factory):
    """What a run leaves that nothing happens to."""
    results = tmp_path_factory.mktemp("whole")
    assert run(*command(own, results, "--epochs", EPOCHS)) == 0
    return left(results)


class Moments:
    """Draws moments of a program, and waits for them.

    reach: of how many saved steps.
    """

    def __init__(self, reach):
        seed = int(os.environ.get("FAULT_SEED", "1"))
        print("FAULT_SEED", seed)
        self.random, self.reach, self.begin = np.random.default_rng(seed), reach, None

    def wait(self, program, results):
        """Returns the kind of moment: any of its life; in training; while a state is written; or at
        the end of an epoch, which validates and writes history, best weights and a state."""
        kind = self.random.choice(["any", "training", "saving", "ending"], p=[0.2, 0.25, 0.3, 0.25])
        if kind == "any" and self.begin:
            self.sleep(program, 1.2 * self.begin)
            return kind
        begun, count = time.monotonic(), int(self.random.integers(2, self.reach + 2))
        program.waits_for("^saved after")
        self.begin = time.monotonic() - begun
        if kind == "ending":
            program.waits_for("waiting for pictures$")
        else:
            program.waits_for("^saved after", count)
        if kind == "saving":
            end = time.monotonic() + PATIENCE
            while not (cut_off(results) or program.ended or time.monotonic() > end):
                pass
        self.sleep(program, self.begin / (100 if kind == "saving" else 15))
        return kind

    def sleep(self, program, most):
        end = time.monotonic() + self.random.uniform(0, most)
        while time.monotonic() < end and not program.ended:
            time.sleep(0.001)


def kill(argv, results, moments, pictures=PICTURES, meanwhile=None):
    """Runs a command and kills it, once it has saved and something is done meanwhile, if any; what
    it saved before, and after that, is whole."""
    before = counted(results, pictures)
    with Program(*argv) as program:
        if meanwhile:
            program.waits_for("^saved after")
            meanwhile(program)
        kind = moments.wait(program, results)
        program.send(signal.SIGKILL)
        assert program.end() == -signal.SIGKILL, program.lines()
    assert not program.err
    if begun := program.said("^weights: (.*)"):
        expected = (
            f"{NAME}'s latest checkpoint after {so_far(before)}" if before else "the encoder's"
        )
        assert begun[0].group(1).startswith(expected)
    after = counted(results, pictures)
    print(kind, so_far(after) if after else "nothing", "and a part" * bool(cut_off(results)))
    if before:
        assert (after["epoch"], after["step"]) >= (before["epoch"], before["step"])


def go_on(argv):
    """Has a command run to its end; returns what it said."""
    with Program(*argv) as program:
        assert program.end() == 0, program.lines()
    assert not program.err
    return "\n".join(program.out)


def damage(checkpoint):
    """Flip a byte in the middle of a checkpoint's arrays."""
    content = bytearray(checkpoint.weights.read_bytes())
    content[len(content) // 2] ^= 255
    checkpoint.weights.write_bytes(content)


def test_a_run_killed_and_damaged_ends_as_one_that_was_not(own, whole, tmp_path, cli):
    """A second process is refused while there is the first, and changes nothing."""
    argv, moments = command(own, tmp_path, "--epochs", EPOCHS, *EVERY_STEP), Moments(reach=8)

    def refused(program):
        program.send(signal.SIGSTOP)
        before = {path: path.stat().st_mtime_ns for path in folder(tmp_path).rglob("*")}
        code, _, err = cli(*argv)
        after = {path: path.stat().st_mtime_ns for path in folder(tmp_path).rglob("*")}
        program.send(signal.SIGCONT)
        assert code == 2 and err.count("\n") == 1
        assert f"{NAME} is being trained by another process" in err and f"{NAME}.lock" in err
        assert after == before

    kill(argv, tmp_path, moments, meanwhile=refused)
    damaged = newest(tmp_path)
    damage(damaged)
    code, out, err = cli(*argv)
    assert (code, err) == (0, "")
    assert f"{damaged.folder}: weights.h5 is damaged; the checkpoint before it is tried" in out
    assert left(tmp_path) == whole
    assert counted(tmp_path)["epoch"] == EPOCHS


@pytest.mark.slow
def test_a_run_killed_twice_and_then_damaged_ends_as_one_that_was_not(own, whole, tmp_path):
    argv, moments = command(own, tmp_path, "--epochs", EPOCHS, *EVERY_STEP), Moments(reach=5)
    kill(argv, tmp_path, moments)
    for older in set(folders.numbered(folder(tmp_path))) - {newest(tmp_path).folder}:
        for path in (older, *older.iterdir()):  # which the clock says will be later
            os.utime(path, (FUTURE, FUTURE))
    kill(argv, tmp_path, moments)
    damaged = newest(tmp_path)
    damage(damaged)
    assert f"{damaged.folder}: weights.h5 is damaged; the checkpoint before it is tried" in go_on(
        argv
    )
    assert left(tmp_path) == whole
    assert counted(tmp_path)["epoch"] == EPOCHS


@pytest.mark.slow
def test_signals_end_a_run_that_goes_on_by_the_command_it_says(own, whole, tmp_path):
    argv = command(own, tmp_path, "--epochs", EPOCHS)
    with Program(*argv, before=("sh", "-c", '"$0" "$@" && echo done')) as program:
        program.waits_for("^Epoch 2/")
        os.kill(child(program.process.pid), signal.SIGTERM)
        assert program.end() == 143
    assert "done" not in program.out
    again = stopped(program, tmp_path, "SIGTERM")
    assert again == ["python", "main.py", *map(str, argv)]

    begun = so_far(progress(tmp_path))
    with Program(*again[2:]) as program:
        program.waits_for("waiting for pictures$")  # an epoch's last step is over
        program.send(signal.SIGINT)
        assert program.end() == 130
    assert program.said(f"latest checkpoint after {begun}$")
    stopped(program, tmp_path, "SIGINT")
    assert progress(tmp_path)["step"] == 6  # and its validation was not
    go_on(argv)
    assert left(tmp_path) == whole


def child(shell):
    """The process that a shell started."""
    return int(Path(f"/proc/{shell}/task/{shell}/children").read_text())


def stopped(program, results, name):
    """The command to go on, in the words in which a program says that it was stopped."""
    first, last = program.err
    assert first == f"{name}: stops after this step; once more: at once"
    said = f"stopped by {name} after {so_far(counted(results))}, which are saved; to go on: "
    assert last.startswith(said)
    return shlex.split(last.removeprefix(said))


@pytest.mark.slow
def test_a_second_signal_ends_a_long_step_at_once(own, tmp_path):
    long = ("--size", "1024x1024", "--batch-size", "30", "--accumulate", "30")
    with Program(*command(own, tmp_path, *long)) as program:
        program.waits_for("^Epoch 1/")
        program.send(signal.SIGTERM)
        program.waits_for("stops after this step")
        program.send(signal.SIGINT)
        assert program.end() == 130
    assert len(program.err) == 1 and counted(tmp_path) is None


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_program_that_starts(own, tmp_path, number):
    moments = Moments(reach=0)
    for _ in range(4):
        with Program(*command(own, tmp_path)) as program:
            moments.sleep(program, 4)
            program.send(number)
            assert program.end() in (-number, 128 + number)


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_as_one_that_was_not(tmp_path):
    own, moments = make_own(tmp_path / "own", count=60), Moments(reach=4)
    flags = ("--epochs", "16", *EVERY_STEP)
    go_on(command(own, tmp_path / "whole", *flags))
    argv = command(own, tmp_path / "parts", *flags)
    for _ in range(20):
        kill(argv, tmp_path / "parts", moments, pictures=48)
    go_on(argv)
    assert left(tmp_path / "parts") == left(tmp_path / "whole")
    assert counted(tmp_path / "parts", pictures=48)["epoch"] == 16


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [
    lambda latest: latest.weights.write_bytes(latest.weights.read_bytes()[:-1000]),
    lambda latest: latest.weights.unlink(),
    lambda latest: (latest.folder / "checks.json").write_text("{"),
    lambda latest: shutil.rmtree(latest.folder),
])  # fmt: skip
def test_a_damaged_latest_checkpoint_gives_way_to_the_one_before(own, whole, tmp_path, spoil):
    argv = command(own, tmp_path, "--epochs", EPOCHS, *EVERY_STEP)
    with Program(*argv) as program:
        program.waits_for("^saved after", 5)
        program.send(signal.SIGKILL)
    damaged = newest(tmp_path)
    spoil(damaged)
    before = so_far(counted(tmp_path))
    out = go_on(argv)
    assert f"{damaged.folder}: " in out or not damaged.folder.is_dir()
    assert f"latest checkpoint after {before}" in out
    assert left(tmp_path) == whole


@pytest.mark.slow
def test_a_process_whose_clock_is_days_behind_goes_on(own, whole, tmp_path):
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("no libfaketime")
    behind = {"LD_PRELOAD": str(library), "FAKETIME": "-3d", "DONT_FAKE_MONOTONIC": "1"}
    argv = command(own, tmp_path, "--epochs", EPOCHS, *EVERY_STEP)
    for environment in ({}, behind, {}):
        before = progress(tmp_path)
        with Program(*argv, **environment) as program:
            program.waits_for("^saved after", 4)
            program.send(signal.SIGKILL)
        assert not before or program.said(f"latest checkpoint after {so_far(before)}$")
    go_on(argv)
    assert left(tmp_path) == whole
