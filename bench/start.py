"""How long the program takes to answer, and to take the first step of a training.

    python bench/start.py ROOT CORPUS [--torch PYTHON]

`--help`; the import of TensorFlow alone, and of PyTorch by a PYTHON that has it, which nothing
that trains with them can be faster than; then `train` on a corpus of ROOT with MSI-Net on VGG16
until its first step is done, for the first time, and again when pictures are checked and fitted.
The least of some rounds.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

MAIN = str(Path(__file__).parents[1] / "main.py")
ROUNDS = 5
FLAGS = ["--encoder-weights", "none", "--initial", "none", "--fresh", "--save-minutes", "0.0001"]
STEP = "saved after 0 epochs and 1 steps"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("corpus")
    parser.add_argument("--torch", metavar="PYTHON")
    args = parser.parse_args()
    say("--help", [sys.executable, MAIN, "--help"])
    say("import tensorflow", [sys.executable, "-c", "import tensorflow"])
    if args.torch:
        say("import torch", [args.torch, "-c", "import torch"])
    train = [sys.executable, MAIN, "train", "-d", args.corpus, "-p", args.root, *FLAGS]
    with tempfile.TemporaryDirectory() as results:
        train += ["--results", results]
        print(f"first step, nothing known of the pictures: {first_step(train):.2f} s", flush=True)
        again = min(first_step(train) for _ in range(ROUNDS))
        print(f"first step, pictures checked and fitted before: {again:.2f} s")


def say(what: str, command: Sequence[str]) -> None:
    """Prints the least time that a command takes to its end."""
    print(f"{what}: {min(whole(command) for _ in range(ROUNDS)):.2f} s", flush=True)


def whole(command: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def first_step(command: Sequence[str]) -> float:
    """The seconds until a training says that its first step is saved."""
    begun = time.perf_counter()
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **piped) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith(STEP):
                seconds = time.perf_counter() - begun
                process.kill()
                return seconds
    sys.exit("".join(said))


if __name__ == "__main__":
    main()
