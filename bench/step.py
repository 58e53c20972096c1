"""How long a step of training and a prediction of MSI-Net take, beside the same in PyTorch.

    python bench/step.py --torch PYTHON [--size 240x320] [--batch-size 4] [--rounds 8] [--compile]

PYTHON is one that has torch. Both have the same weights, pictures and densities, all cores, and
take the step that training takes: KLD, its gradients, Adam. PyTorch has channels last, autocast and
fused Adam; with --compile also torch.compile, which needs a C++ compiler. Each program at each
precision is a process that waits until it is asked. In a round each does both tasks once, one after
another; there are rounds until every program had so many in which others took less than 3 % of the
processors' time (or until ten times as many are over). Printed are, of these, seconds a picture,
the least and in brackets the median; what PyTorch's best takes by ours; and how far its
log-densities are from ours, by the standard deviation of those.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402

import storage  # noqa: E402

PEER = Path(__file__).parent / "peers" / "msinet.py"
PRECISIONS, TASKS = ("float32", "mixed_bfloat16"), ("training", "prediction")
WRITTEN = ("here", "peer")  # log-densities
REST = 0.3  # seconds in which the threads of the program before stop waiting for work
CALM, TRIES = 0.03, 10  # share of the processors' time that others may take; tries for a round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", required=True, metavar="PYTHON")
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    peers = ["PyTorch", "compiled"] if args.compile else ["PyTorch"]
    print(f"{'s a picture':25}" + "".join(f"{name:>18}" for name in ["here", *peers]) + "   ratio")
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            do = {"folder": folder, "precision": precision, "threads": storage.cores()}
            do |= {"size": [*map(int, args.size.split("x"))], "batch": args.batch_size}
            commands = {"here": [sys.executable, __file__, "--worker", json.dumps(do)]}
            for name in peers:
                more = {"compiled": name == "compiled"}
                commands[name] = [args.torch, "-W", "ignore", str(PEER), json.dumps(do | more)]
            compare(precision, measured(commands, args.rounds), args.batch_size)
            ours, theirs = (np.fromfile(Path(folder) / name, "float32") for name in WRITTEN)
            print(f"{'':25}differ by {np.abs(ours - theirs).max() / ours.std():.1e}")


def measured(commands: dict[str, list[str]], rounds: int) -> dict[tuple[str, str], list[float]]:
    """The seconds of calm rounds, by task and program; of all where none was calm."""
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    programs, found = {}, {(task, name): [] for task in TASKS for name in commands}
    try:
        for name, command in commands.items():  # the peers read what ours has written
            programs[name] = subprocess.Popen(command, **piped)
            for task in TASKS:
                ask(programs[name], task)
        for _ in range(TRIES * rounds):
            lacking = {task for (task, _), times in found.items() if len(calm(times)) < rounds}
            for name, program in programs.items():
                for task in lacking:
                    found[task, name].append(ask(program, task))
    finally:
        for program in programs.values():
            program.kill()
    return {key: calm(times) or [s for s, _ in times] for key, times in found.items()}


def calm(times: list[tuple[float, float]]) -> list[float]:
    """The seconds during which other programs took little."""
    return [seconds for seconds, share in times if share < CALM]


def ask(program: subprocess.Popen, task: str) -> tuple[float, float]:
    """Has a program do a task; the seconds that it took, and the share of the processors' time that
    others took meanwhile."""
    time.sleep(REST)
    before = others(program.pid)
    program.stdin.write(task + "\n")
    program.stdin.flush()
    seconds = float(program.stdout.readline())
    return seconds, (others(program.pid) - before) / seconds / storage.cores()


def others(pid: int) -> float:
    """The seconds that processors have worked for all programs but one; 0 without Linux' /proc."""
    if not Path("/proc/stat").exists():
        return 0.0
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    ticks = user + nice + system + sum(rest) - sum(map(int, own))
    return ticks / os.sysconf("SC_CLK_TCK")


def compare(precision: str, found: dict[tuple[str, str], list[float]], batch: int) -> None:
    for task in TASKS:
        seconds = {name: times for (what, name), times in found.items() if what == task}
        least = {name: min(times) / batch for name, times in seconds.items()}
        line = f"{precision + ' ' + task:25}"
        for name, times in seconds.items():
            line += f"{least[name]:9.4f} ({statistics.median(times) / batch:.4f})"
        count = "/".join(str(len(times)) for times in seconds.values())
        ours = least.pop("here")
        print(f"{line}{min(least.values()) / ours:8.2f}  {count} rounds", flush=True)


def worker(do: dict) -> None:
    """Does the tasks that stdin names; says the seconds that each took."""
    from storage import import_tensorflow

    import_tensorflow()
    known = tasks(do)
    for line in sys.stdin:
        start = time.perf_counter()
        known[line.strip()]()
        print(time.perf_counter() - start, flush=True)


def tasks(do: dict) -> dict:
    """A step of training and a prediction, as functions; writes what the peers need."""
    import keras
    import tensorflow as tf

    from batches import pipeline
    from config import Config
    from model.networks.registry import build
    from model.training import optimizer, steps, strategy, trainer

    settings = Config.make({"head": "softmax", "precision": do["precision"]})
    keras.config.set_dtype_policy(settings.precision)
    devices = strategy.choose("one", do["batch"])
    with devices.scope():
        keras.utils.set_random_seed(0)
        model = build(settings, tuple(do["size"]))
        last = model.get_layer("decoder_logits").kernel
        last.assign(1000 * last)  # it starts so small that answers would differ by rounding alone
        adam = optimizer.make(settings, steps=1)
        adam.build(model.trainable_variables)
    batch = made(do)
    folder = Path(do["folder"])
    for name in ("image", "density"):
        batch[name].tofile(folder / name)
    np.concatenate([weight.numpy().ravel() for weight in model.weights]).tofile(folder / "weights")
    step, _ = steps.make_steps(devices, model, adam, {"kld": 1.0}, [], dict)
    pictures = tf.data.Dataset.from_tensors(batch).repeat().with_options(pipeline.settled())
    answers = trainer.predict(devices, model, lambda share: pictures, dict)
    first = [next(answers)[1] for _ in range(do["batch"])]
    np.stack(first).tofile(folder / WRITTEN[0])
    given = {name: tf.constant(value) for name, value in batch.items()}
    return {
        "training": lambda: step(given, tf.constant(0.0)),
        "prediction": lambda: [next(answers) for _ in range(do["batch"])],
    }


def made(do: dict) -> dict[str, np.ndarray]:
    """A batch of noise."""
    random, shape = np.random.default_rng(0), (do["batch"], *do["size"], 1)
    density = random.uniform(size=shape)
    return {
        "image": np.float32(random.uniform(0, 255, (*shape[:3], 3))),
        "density": np.float32(density / density.sum((1, 2, 3), keepdims=True)),
        "valid": np.ones(shape, "float32"),
        "weight": np.ones(do["batch"], "float32"),
        "id": np.arange(do["batch"]),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(json.loads(sys.argv[2]))
    else:
        main()
