"""The program as users start it, with corpora and results in a store alone."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import storage

ROOT = Path(__file__).parents[2]
TINY = """
from data.scenes import SYNTHETIC
from data.splits import Shuffled

class TINY(SYNTHETIC):
    '''16 drawn scenes.'''

    split = Shuffled(train=12, valid=4)
"""
SMALL = ("--encoder", "small", "--size", "64x64", "--batch-size", "4")


@pytest.fixture
def start(server, tmp_path):
    """Starts python main.py, its caches in a folder of the test's."""
    (tmp_path / "tiny.py").write_text(TINY)

    def run(command, *argv, **environment):
        more = ("--corpora", tmp_path / "tiny.py")
        return subprocess.Popen(
            [sys.executable, "main.py", command, *map(str, [*argv, *more])],
            cwd=ROOT,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.fixture
def program(start):
    """What a command, which has to end well, says."""

    def run(*argv, **environment):
        process = start(*argv, **environment)
        out, err = process.communicate(timeout=600)
        assert (process.returncode, err) == (0, "")
        return out

    return run


def history(results):
    text = (results / "history" / "msinet_tiny.csv").read_text()
    return list(csv.DictReader(io.StringIO(text)))


def files(folder):
    """The names of all that is below a folder of a store."""
    walked = storage.walk(folder) if folder.is_dir() else ()
    return {str((at / name).relative_to(folder)) for at, _, names in walked for name in names}


def test_from_the_first_download_to_the_test_with_nothing_on_the_disk(program, remote, tmp_path):
    root, results = remote / "corpora", remote / "results"
    common = ("-d", "tiny", "-p", root, "--results", results)
    program("download", "-d", "tiny", "-p", root)
    assert len(files(root / "tiny")) == 16 + 16 + 2
    assert "16 of 16 stimuli, fixations.hdf5" in program("info", "-p", root, "--results", results)
    program("train", *common, *SMALL, "--epochs", "2")
    assert [row["epoch"] for row in history(results)] == ["1", "2"]
    said = program("train", *common, *SMALL, "--epochs", "3")
    assert "latest checkpoint after 2 epochs" in said
    assert [row["epoch"] for row in history(results)] == ["1", "2", "3"]
    whole = tmp_path / "whole"
    program("train", "-d", "tiny", "-p", root, "--results", whole, *SMALL, "--epochs", "3")
    assert losses(history(whole)) == losses(history(results))
    said = program("test", *common)
    assert "IG" in said and f"{results}/reports/msinet_tiny.html" in said
    found = json.loads((results / "reports" / "msinet_tiny.metrics.json").read_text())
    assert found["n_images"] == 4
    there = files(results)
    assert {"history/msinet_tiny.png", "ckpts/best/msinet_tiny.weights.h5"} <= there
    assert {"reports/msinet_tiny.html", "reports/msinet_tiny.csv"} <= there
    assert len([name for name in there if name.startswith("images/msinet_tiny/")]) == 4 * 4
    assert any(name.startswith("logs/msinet_tiny/") for name in there)
    assert not [name for name in there if ".part" in name or ".writable" in name]
    program("test", "-p", root / "tiny" / "stimuli", "--results", results, "--name", "msinet_tiny")
    assert "msinet_tiny" in program("info", "-p", root, "--results", results)


def losses(rows):
    return [(row["loss"], row["val_loss"]) for row in rows]


def test_other_kinds_of_weights_and_the_variable_of_googles_cloud(program, remote):
    root = remote / "corpora"
    program("download", "-d", "tiny", "-p", root)
    place = {"GCS_OUTPUT_PATH": str(remote / "out")}
    common = ("-d", "tiny", "-p", root)
    program("train", *common, "-m", "centerbias", **place)
    program("test", *common, "-m", "centerbias", **place)
    deepgaze = ("-m", "deepgaze", "--encoder", "small", "--size", "64x64", "--epochs", "1")
    program("train", *common, *deepgaze, "--scanpath", **place)
    program("scanpaths", "-p", root / "tiny" / "stimuli" / "003.png", "-d", "tiny", **place)
    there = files(remote / "out")
    assert {"ckpts/best/centerbias_tiny.weights.h5", "reports/centerbias_tiny.html"} <= there
    assert {"ckpts/best/deepgaze_tiny.centerbias.h5"} <= there
    assert any(name.endswith("003_scanpaths.csv") for name in there)
    weights = remote / "out" / "ckpts" / "best" / "deepgaze_tiny.weights.h5"
    again = ("--name", "again", "--weights", weights)
    program("train", *common, *deepgaze, "--scanpath", *again, **place)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_goes_on(start, program, remote, tmp_path, number, code):
    root, results = remote / "corpora", remote / "results"
    program("download", "-d", "tiny", "-p", root)
    train = ("-d", "tiny", "-p", root, *SMALL, "--epochs", "8", "--save-minutes", "0.001")
    process = start("train", *train, "--results", results)
    latest = results / "ckpts" / "latest" / "msinet_tiny" / "latest"
    while not latest.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == code
    assert "msinet_tiny's latest checkpoint" in program("train", *train, "--results", results)
    program("train", *train, "--results", tmp_path / "whole")
    assert losses(history(results)) == losses(history(tmp_path / "whole"))
    states = [path.name for path in latest.parent.iterdir()]
    assert len(states) == 3  # the last two and the name of one


def refused(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 2 and err.count("\n") == 1, (process.returncode, out, err)
    return err


def test_a_download_that_is_killed_is_refused_and_done_again(start, program, remote):
    root = remote / "corpora"
    process = start("download", "-d", "tiny", "-p", root)
    while not len(files(root / "tiny")) > 1:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    if (root / ".tiny.part").exists():  # else it was done before it was killed
        said = refused(start("train", "-d", "tiny", "-p", root, "--results", remote / "results"))
        assert "was cut off" in said and f"download -d tiny -p {root}" in said
    bare = os.environ["S3_ENDPOINT"].removeprefix("http://")
    program("download", "-d", "tiny", "-p", root, S3_ENDPOINT=bare)
    assert len(files(root / "tiny")) == 16 + 16 + 2 and not (root / ".tiny.part").exists()


def test_wrong_addresses_are_one_line(start, remote):
    for argv, said in (
        (("-d", "tiny", "-p", remote), f"tiny is not in {remote}; get it"),
        (("-d", remote / "none"), f"-d {remote}/none: no such corpus or folder"),
        (("-d", "tiny", "-p", remote, "--epochz", "3"), "unknown flag --epochz"),
        (("-d", "tiny", "-p", "s9://bucket/x"), "s9://bucket/x: no such store is known"),
    ):
        assert said in refused(start("train", *argv, "--results", remote / "results"))
