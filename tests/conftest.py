"""A command line, a small corpus and the devices that many tests share."""

import gc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as main.py does

import numpy as np
import pytest
from helpers import run
from PIL import Image

SHAPE = (48, 64)

# Graphs are many objects that live long: to look through them often took a tenth of the time.
gc.set_threshold(50_000, 20, 100)


def pytest_collection_finish():
    """Part the processor into two devices, which TensorFlow allows until it has made a tensor."""
    if "tensorflow" in sys.modules:
        from model.training.strategy import logical_cpus

        logical_cpus(2)


def make_own(folder, count=13, seed=0):
    """A folder of one's own: pictures with one bright disc, where 3 observers mostly look; a fifth,
    shuffled, is to validate."""
    random = np.random.default_rng(seed)
    (folder / "stimuli").mkdir(parents=True)
    rows = ["image,subject,x,y"]
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for index in range(count):
        cx, cy = random.uniform(8, 56), random.uniform(8, 40)
        picture = random.integers(60, 120, (*SHAPE, 3))
        picture[np.hypot(x - cx, y - cy) < 6] = (240, 230, 40)
        Image.fromarray(np.uint8(picture)).save(folder / "stimuli" / f"{index:02d}.png")
        points = np.clip(random.normal((cx, cy), 3, (12, 2)), 0, (63.9, 47.9))
        rows += [f"{index:02d}.png,{i % 3},{a:.2f},{b:.2f}" for i, (a, b) in enumerate(points)]
    (folder / "fixations.csv").write_text("\n".join(rows) + "\n")
    order = np.arange(count)
    np.random.RandomState(42).shuffle(order)
    validating = (f"{index:02d}.png\n" for index in order[round(count * 4 / 5) :])
    (folder / "val.txt").write_text("".join(validating))
    return folder


SMALL = ("--encoder", "small", "--size", "64x64", "--pixels-per-degree", "4")


@pytest.fixture
def own(tmp_path):
    return make_own(tmp_path / "own")


@pytest.fixture(scope="module")
def quick():
    """Train without what takes a second and is looked at elsewhere: draw no curve of a training,
    fit the centre bias of the same fixations once."""
    from commands import training

    fit, fitted = training.centre_bias, {}

    def once(points):
        known = tuple(rows.tobytes() for rows in points)
        if known not in fitted:
            fitted[known] = fit(points)
        return fitted[known]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("report.curves.save_curves", lambda *_: None)
        patch.setattr(training, "centre_bias", once)
        yield


@pytest.fixture(params=["shallow", pytest.param("whole", marks=pytest.mark.slow)])
def dense(request, monkeypatch):
    """Give each block of DenseNet201, ours and Keras', two layers in place of 6 to 48; return what
    names the layers of the last block by those of the whole network."""
    if request.param == "whole":
        return lambda name: name
    import functools

    import keras
    from keras.src.applications.densenet import DenseNet

    from model.networks import encoders

    def named(name):
        return name.replace("block31", "block1").replace("block32", "block2")

    block, taps = encoders._dense_block, map(named, encoders.TAPS["densenet201"])
    monkeypatch.setattr(
        encoders, "_dense_block", lambda x, count, name, dilation: block(x, 2, name, dilation)
    )
    monkeypatch.setitem(encoders.TAPS, "densenet201", tuple(taps))
    monkeypatch.setattr(
        keras.applications, "DenseNet201", functools.partial(DenseNet, [2, 2, 2, 2])
    )
    return named


@pytest.fixture
def cli(capsys):
    """Runs a command line in this process: (exit code, stdout, stderr)."""
    return lambda *argv: (run(*argv), *capsys.readouterr())
