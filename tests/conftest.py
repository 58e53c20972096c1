"""A command line and a small corpus that many tests share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from PIL import Image

import flags
import main

SHAPE = (48, 64)


def make_own(folder, count=13, seed=0):
    """A folder of one's own: pictures with one bright disc, where 3 observers mostly look."""
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
    return folder


SMALL = ("--encoder", "small", "--size", "64x64", "--pixels-per-degree", "4")


@pytest.fixture
def own(tmp_path):
    return make_own(tmp_path / "own")


@pytest.fixture
def cli(capsys):
    """Runs a command line in this process: (exit code, stdout, stderr)."""

    def run(*argv):
        try:
            code = main.main(flags.parse(["main.py", *map(str, argv)], main.COMMANDS))
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run
