"""How much memory a training takes, and how that grows with the pictures of a corpus.

    python bench/memory.py STIMULI

Corpora of 700, 7,000 and 70,000 names are made of links to the pictures of a folder, ten fixations
each; a small model is trained on them for some steps, and stopped by SIGTERM. Then MSI-Net on
VGG16, at 240x320 and batches of 4, 8, and of 8 in 2 and 8 parts (--accumulate). What is printed is
the largest resident memory of the process.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MAIN = Path(__file__).parents[1] / "main.py"
NAMES, STEPS = (700, 7_000, 70_000), 5
SMALL = "--encoder small --size 64x64"
LARGE = "--encoder-weights none --size 240x320"
MODELS = (
    f"{LARGE} --batch-size 4",
    f"{LARGE} --batch-size 8",
    f"{LARGE} --batch-size 8 --accumulate 2",
    f"{LARGE} --batch-size 8 --accumulate 8",
    f"{LARGE} --batch-size 4 --precision mixed_bfloat16",
)


def main(stimuli: str) -> None:
    files = sorted(Path(stimuli).iterdir())
    with tempfile.TemporaryDirectory() as folder:
        for count in NAMES:
            corpus = made(Path(folder) / f"{count}", files, count)
            report(f"{count} names, {SMALL}", peak(corpus, Path(folder), SMALL))
        for flags in MODELS:
            report(flags, peak(Path(folder) / f"{NAMES[0]}", Path(folder), flags))


def made(folder: Path, files: list[Path], count: int) -> Path:
    """A corpus of so many names."""
    (folder / "stimuli").mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = ["image,subject,x,y"]
    for index in range(count):
        file = files[index % len(files)]
        name = f"{index:06d}{file.suffix}"
        (folder / "stimuli" / name).symlink_to(file.resolve())
        rows += [f"{name},0,{x:.1f},{y:.1f}" for x, y in random.uniform(50, 250, (10, 2))]
    (folder / "fixations.csv").write_text("\n".join(rows) + "\n")
    return folder


def peak(corpus: Path, folder: Path, flags: str) -> int:
    """The largest resident memory, in bytes, of a training of some steps."""
    results = folder / "results"
    command = [sys.executable, MAIN, "train", "-d", corpus, "--results", results, "--fresh"]
    # A state after each step tells how far it is.
    command += ["--pixels-per-degree", "24", "--initial", "none", "--save-minutes", "0.0001"]
    pointer = results / "ckpts" / "latest" / f"msinet_{corpus.name}" / "latest"
    pointer.unlink(missing_ok=True)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *shlex.split(flags)], stdout=log, stderr=log)
        while process.poll() is None and not pointer.exists():
            time.sleep(0.2)
        before = int(pointer.read_text()) if pointer.exists() else 0
        while process.poll() is None and int(pointer.read_text()) < before + STEPS:
            time.sleep(0.2)
        process.terminate()
        _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 128 + signal.SIGTERM:
        sys.exit(Path(log.name).read_text()[-2000:])
    return used.ru_maxrss * 1024


def report(what: str, found: int) -> None:
    print(f"{what}: {found / 2**20:,.0f} MiB", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
