"""Disks that are full or cannot be written to, pictures that go while a run trains on them.

The disks are real, small ones in memory, and mounting them takes root.
"""

import os
import shutil
import signal
import subprocess

import pytest
from helpers import arrays, history
from processes import Program
from run_files import EVERY_STEP, NAME, best_epoch, command, counted, cut_off

import storage
from batches import making
from model.checkpoints.keeper import GOES_ON
from model.checkpoints.restore import so_far
from model.checkpoints.runs import Run
from model.training import trainer

pytestmark = pytest.mark.usefixtures("quick")
FULL = f"No space left on device; {GOES_ON}"
PICTURES = 10  # 13, 80 to 20


@pytest.fixture
def disk():
    """Makes a folder a disk of its own, of so many bytes."""
    mounted = []

    def make(place, size):
        place.mkdir(parents=True)
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place]
        done = shutil.which("mount") and subprocess.run(mounting, capture_output=True, text=True)
        if not done or done.returncode:
            pytest.skip(f"a disk cannot be mounted: {done.stderr.strip() if done else 'no mount'}")
        mounted.append(place)
        return place

    yield make
    for place in reversed(mounted):
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place, room=0):
    """Fills a disk but for some bytes; returns the file that does."""
    filler = place / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(place).free - room)
    return filler


@pytest.fixture
def when(monkeypatch):
    """Does something once a step of a training in this process is over."""

    def when(step, action):
        fine = trainer.check_finite

        def check(sums, batch, strategy, names, now):
            if now == step:
                action()
            fine(sums, batch, strategy, names, now)

        monkeypatch.setattr(trainer, "check_finite", check)

    return when


@pytest.mark.parametrize(
    ("room", "rows", "best"),
    [
        pytest.param(2_000_000, 2, 2, id="for all but the state"),
        pytest.param(400_000, 2, 1, id="for the history alone", marks=pytest.mark.slow),
        pytest.param(0, 1, 1, id="for nothing", marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_has_room_in_the_second_epoch(
    own, tmp_path, disk, cli, when, monkeypatch, room, rows, best
):
    results, fillers = disk(tmp_path / "results", "20m"), []
    argv = command(own, results, "--epochs", "3")
    when("epoch 2, step 1", lambda: fillers.append(fill(results, room)))
    code, _, err = cli(*argv)
    assert (code, err) == (2, f"{NAME} cannot be saved: {FULL}\n")
    assert (len(history(results)), best_epoch(results)) == (rows, best)
    assert arrays(Run(results, NAME).best.weights)
    assert counted(results, PICTURES)["epoch"] == 1 and not cut_off(results)
    monkeypatch.undo()
    fillers[0].unlink()
    code, out, err = cli(*argv)
    assert (code, err) == (0, "") and "latest checkpoint after 1 epochs\n" in out
    assert counted(results, PICTURES)["epoch"] == len(history(results)) == 3


def test_a_disk_without_room_for_the_cache_or_the_log(own, tmp_path, disk, cli):
    filler = fill(disk(tmp_path / "logs", "64k"))
    disk(tmp_path / "cache", "64k")
    argv = command(own, tmp_path, "--epochs", "1")
    code, out, err = cli(*argv)
    assert "GB free" in out and ": pictures are decoded in every epoch\n" in out
    assert code == 2 and err.count("\n") == 1
    assert f"{tmp_path}/logs/{NAME}/train/events.out" in err and FULL in err
    filler.unlink()
    assert cli(*argv)[0] == 0
    assert counted(tmp_path, PICTURES)["epoch"] == 1


@pytest.mark.slow
def test_a_log_whose_disk_fills_up(own, tmp_path, disk, cli):
    logs = disk(tmp_path / "logs", "64k")
    argv = command(own, tmp_path, "--epochs", "30", "--metrics", "cc,sim,nss")
    with Program(*argv) as program:
        program.waits_for("^Epoch 2/")
        program.send(signal.SIGSTOP)
        filler = fill(logs)
        program.send(signal.SIGCONT)
        assert program.end() == 2, program.lines()
    (said,) = program.err
    assert "events.out.tfevents" in said and said.endswith(FULL)
    assert counted(tmp_path, PICTURES)["epoch"] > 1
    filler.unlink()
    assert cli(*argv)[0] == 0
    assert counted(tmp_path, PICTURES)["epoch"] == 30


@pytest.mark.slow
def test_a_disk_that_has_no_room_for_a_centre_bias(own, tmp_path, disk):
    results = disk(tmp_path / "results", "1m")
    fill(results, 16_384)  # which the memory of pictures and the JSON beside weights halve
    with Program(*command(own, results, "-m", "centerbias")) as program:
        assert program.end() == 2, program.lines()
    assert program.err == [f"centerbias_own cannot be saved: {FULL}"]


def test_a_cache_whose_disk_fills_up_is_done_without(own, tmp_path, disk, cli, monkeypatch):
    cache, made = disk(tmp_path / "full/cache", "2m"), []
    make = making.MAKE["density"]

    def filling(*arguments):
        made.append(fill(cache, 10_000) if len(made) == 7 else None)  # half of what is lacking
        return make(*arguments)

    monkeypatch.setitem(making.MAKE, "density", filling)
    monkeypatch.setattr(storage, "cores", lambda: 1)  # one after another
    argv = ("--epochs", "1")
    code, out, err = cli(*command(own, tmp_path / "full", *argv))
    assert (code, err) == (0, "") and "pictures are decoded in every epoch" in out
    assert cli(*command(own, tmp_path / "roomy", *argv))[0] == 0
    assert history(tmp_path / "full") == history(tmp_path / "roomy")


def test_results_on_a_disk_that_cannot_be_written_to(own, tmp_path, disk, cli):
    results = disk(tmp_path / "results", "1m")
    filler = fill(results)
    for why in ("No space left on device", "Read-only file system"):
        code, out, err = cli(*command(own, results))
        assert code == 2 and "checking" not in out
        assert err == f"--results {results}: cannot write to it: {why}\n"
        assert list(results.iterdir()) == [filler]
        subprocess.run(["mount", "-o", "remount,ro", results], check=True)


def damage(path):
    path.write_bytes(b"GIF89a")


@pytest.mark.parametrize("lose", [os.remove, pytest.param(damage, marks=pytest.mark.slow)])
def test_a_picture_that_is_lost_in_mid_epoch(own, tmp_path, cli, when, lose):
    picture = own / "stimuli/05.png"
    kept = shutil.copy2(picture, tmp_path)

    argv = command(own, tmp_path, "--epochs", "2", *EVERY_STEP)
    when("epoch 1, step 1", lambda: lose(picture))
    code, out, err = cli(*argv, "--no-cache")
    # Batches are read ahead: it may be seen in the first epoch or in the second.
    assert code == 2 and err.count("\n") == 1 and err.startswith(f"{picture}: ")
    before = counted(tmp_path, PICTURES)
    assert before["step"] or before["epoch"]
    shutil.copy2(kept, picture)

    when("epoch 2, step 3", lambda: lose(picture))
    code, out, err = cli(*argv)
    assert (code, err) == (0, "") and f"latest checkpoint after {so_far(before)}\n" in out
    assert counted(tmp_path, PICTURES)["epoch"] == 2
