"""How long a step of training and a prediction of MSI-Net take, beside the same in PyTorch.

    python bench/step.py --torch PYTHON [--size 240x320] [--batch-size 4] [--rounds 8] [--compile]

PYTHON is one that has torch. Both have the same weights, pictures and densities, all cores, and
take the step that training takes: KLD, its gradients, Adam. PyTorch has channels last, autocast and
fused Adam; with --compile also torch.compile, which needs a C++ compiler. Each program at each
precision is a process that waits until it is asked. In a round each does both tasks once, one after
another, so that what else runs on the machine disturbs all alike; a first round warms up and does
not count. Printed are seconds a picture, the least of the rounds and in brackets the median, what
PyTorch's best takes by ours, and how far its log-densities are from ours, by the standard deviation
of those.
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

PEER = Path(__file__).parent / "peers" / "msinet.py"
PRECISIONS, TASKS = ("float32", "mixed_bfloat16"), ("training", "prediction")
WRITTEN = ("here", "peer")  # log-densities
REST = 0.3  # seconds in which the threads of the program before stop waiting for work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", required=True, metavar="PYTHON")
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    peers = ["PyTorch", "compiled"] if args.compile else ["PyTorch"]
    print(f"{'s a picture':25}" + "".join(f"{name:>18}" for name in ["here", *peers, "ratio"]))
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            do = {"folder": folder, "precision": precision, "threads": os.cpu_count()}
            do |= {"size": [*map(int, args.size.split("x"))], "batch": args.batch_size}
            commands = {"here": [sys.executable, __file__, "--worker", json.dumps(do)]}
            for name in peers:
                more = {"compiled": name == "compiled"}
                commands[name] = [args.torch, "-W", "ignore", str(PEER), json.dumps(do | more)]
            compare(precision, measured(commands, args.rounds), args.batch_size)
            ours, theirs = (np.fromfile(Path(folder) / name, "float32") for name in WRITTEN)
            print(f"{'':25}differ by {np.abs(ours - theirs).max() / ours.std():.1e}")


def measured(commands: dict[str, list[str]], rounds: int) -> dict[tuple[str, str], list[float]]:
    """The seconds that each round took, by program and task."""
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    programs, found = {}, {}
    try:
        for name, command in commands.items():  # the peers read what ours has written
            programs[name] = subprocess.Popen(command, **piped)
            ask(programs[name], "prediction")
        for _ in range(1 + rounds):
            for name, program in programs.items():
                for task in TASKS:
                    found.setdefault((name, task), []).append(ask(program, task))
    finally:
        for program in programs.values():
            program.kill()
    return {key: values[1:] for key, values in found.items()}


def ask(program: subprocess.Popen, task: str) -> float:
    """Has a program do a task; the seconds that it took."""
    time.sleep(REST)
    program.stdin.write(task + "\n")
    program.stdin.flush()
    return float(program.stdout.readline())


def compare(precision: str, found: dict[tuple[str, str], list[float]], batch: int) -> None:
    for task in TASKS:
        seconds = {name: times for (name, what), times in found.items() if what == task}
        least = {name: min(times) / batch for name, times in seconds.items()}
        line = f"{precision + ' ' + task:25}"
        for name, times in seconds.items():
            line += f"{least[name]:9.4f} ({statistics.median(times) / batch:.4f})"
        ours = least.pop("here")
        print(f"{line}{min(least.values()) / ours:18.2f}", flush=True)


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

    from config import Config
    from model import build, optimizer, steps, strategy, trainer

    settings = Config.make({"head": "softmax", "precision": do["precision"]})
    keras.config.set_dtype_policy(settings.precision)
    devices = strategy.choose("one", do["batch"])
    with devices.scope():
        keras.utils.set_random_seed(0)
        model = build.build(settings, tuple(do["size"]))
        last = model.get_layer("decoder_logits").kernel
        last.assign(1000 * last)  # it starts so small that answers would differ by rounding alone
        adam = optimizer.make(settings, steps=1)
        adam.build(model.trainable_variables)
    batch = made(do)
    folder = Path(do["folder"])
    for name in ("image", "density"):
        batch[name].tofile(folder / name)
    np.concatenate([weight.numpy().ravel() for weight in model.weights]).tofile(folder / "weights")
    step, _ = steps.make_steps(devices, model, adam, {"kld": 1.0}, [])
    pictures = tf.data.Dataset.from_tensors(batch).repeat()
    answers = trainer.predict(devices, model, pictures)
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
