"""The command line: train, launch, test, scanpaths, download, inspect, info, demo."""

import os

# Before NumPy is imported: its products are small, and threads that wait for one another make them
# ten times as long on few cores. TensorFlow has threads of its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import shlex
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path

from absl import app, logging

import presets
import storage
from config import Config, flag_of, show
from data import corpora, scenes  # noqa: F401  corpora's classes register themselves
from data.corpus import corpus_name, find, in_folder, open_corpus
from data.install import install
from download import DownloadError
from errors import Ended, UsageError
from flags import given, parse
from formats import cached
from formats.pictures.decode import allow
from model.checkpoints.folders import record_of
from model.checkpoints.runs import Run, run_name, with_best

# Fields that decide what of a corpus is read, and how.
READING = ("size", "pixels_per_degree", "units", "outside", "folds", "fold", "subset", "hold_out")
READING += ("partial",)


def train(args) -> None:
    """Train on a corpus, from where the restore chain says, and keep the best weights."""
    runs = planned(args)
    corpus = open_corpus(args.data, args.path)
    logging.info("to look at it first: python main.py inspect %s", shlex.join(named(args)))
    storage.import_tensorflow()
    from commands import training
    from commands.stopping import Stopped
    from model.checkpoints.fresh import begun, goes_on

    stages = []
    for name, settings in runs.items():
        # A later stage starts from the one before it, not from --weights.
        weights = None if settings.initial in runs else args.weights
        stages.append((Run(args.results, name), settings, weights))
    name = args.name or f"{settings.model}_{corpus_name(args.data)}"
    folds = len({settings.fold for settings in runs.values()})
    pooled = Run(args.results, f"{name}_{folds}folds") if folds > 1 else None
    last, began, going_on = pooled and pooled.metrics, None, set(runs)
    if args.fresh:
        called, going_on = begun(stages, corpus, last)
        began = {"name": called, "runs": list(runs)}
    try:
        for run, settings, weights in stages:
            logging.info("run %s", run.name)
            start = {"fresh": run.name not in going_on, "weights": weights, "began": began}
            start["follow_initial"] = args.fresh or settings.initial in runs
            where = {"root": args.path, "cache": args.cache_dir}
            training.train(run, corpus, settings, **where, **start)
        if pooled and training.is_chief(training.strategy_of(settings)):
            pool(args, settings)
    except KeyboardInterrupt:
        if not goes_on(stages, corpus, args.fresh, last):
            raise
        raise Stopped(signal.SIGINT, "at once; what was saved before stays") from None


def planned(args) -> dict[str, Config]:
    """Return the runs of a command by name: a preset's stages, each for the folds asked for."""
    runs, before = {}, None
    for stage, options in presets.stages(args.preset).items():
        settings = Config.make({**options, **given(args)}, record_of(args.config))
        base = args.name or f"{settings.model}_{corpus_name(args.data)}"
        base = f"{base}_{stage}" if stage else base
        every = range(1, settings.folds + 1) or [0]
        for fold in [settings.fold] if settings.fold else every:
            chained = {"initial": run_name(before, settings.folds, fold)} if before else {}
            name = run_name(base, settings.folds, fold)
            runs[name] = replace(settings, fold=fold, **chained)
        before = base
    return runs


def pool(args, settings: Config) -> None:
    """Test every fold of a cross-validation on the pictures it left out, as one."""
    step = ["test", *corpus_flags(args), "-m", settings.model, "--folds", str(settings.folds)]
    step += ["--results", str(args.results)]
    step += ["--cache-dir", str(args.cache_dir)] if args.cache_dir else []
    test(parse(["main.py", *step, *(["--name", args.name] if args.name else [])], COMMANDS))


def named(args) -> list[str]:
    """Return the flags by which a command reads its corpus, for another that is typed."""
    flags = corpus_flags(args) + (["--corpora", str(args.corpora)] if args.corpora else [])
    for item in fields(Config):
        value = getattr(args, item.name, None)
        if item.name in READING and value:
            flags += [flag_of(item)] if value is True else [flag_of(item), show(value)]
    return flags


def corpus_flags(args) -> list[str]:
    """Return the same for one that follows in this process, where classes are defined already."""
    return ["-d", args.data, *([] if in_folder(args.data) else ["-p", str(args.path)])]


def launch(args) -> None:
    """Start workers of a training on this machine, such as: launch --workers 2 -- train ..."""
    from commands import launch

    started = args.started[1:] if args.started[:1] == ["--"] else args.started
    if started[:1] == ["train"]:
        planned(parse(["main.py", *started], COMMANDS))  # what is wrong is said once
    code = launch.launch(args.workers, started)
    if code:
        raise SystemExit(code)


def test(args) -> dict[str, float]:
    """Draw where people will look; with truth at hand, say how good the model is."""
    storage.check_writable(args.results)
    storage.import_tensorflow()
    from commands import testing

    return testing.test(args)


def scanpaths(args) -> None:
    """Draw scanpaths over a picture, from a model that was trained on scanpaths."""
    storage.check_writable(args.results)
    storage.import_tensorflow()
    from commands import sampling

    sampling.scanpaths(args)


def download(args) -> None:
    """Install a corpus from its authors' archives, or draw a synthetic one."""
    folder = install(
        find(args.data),
        args.path,
        args.archive or (),
        args.mirror,
        checksums=args.checksum,
        partial=args.partial,
    )
    logging.info("%s is in %s", args.data, folder)


def inspect(args) -> None:
    """Show on a page what train would read of a corpus, and what looks wrong with it."""
    if args.json:
        logging.get_absl_handler().python_handler.stream = sys.stderr
    settings = Config.make(given(args), record_of(args.config))
    storage.check_writable(args.results)
    storage.import_tensorflow()
    from commands import inspecting

    inspecting.inspect(args, settings)


def info(args) -> None:
    """List the corpora, what of each is on disk, and the runs with their weights; or caches."""
    if args.caches or args.remove_unused:
        storage.import_tensorflow()
        from commands import caches

        caches.caches(args)
        return
    from data.corpus import inventory
    from report.table import runs

    print(f"corpora, and what of them is in {args.path}/")
    print("\n".join(f"  {line}" for line in inventory(args.path)))
    print(f"weights in {args.results}/ckpts/best/")
    records = {name: best.record for name, best in with_best(args.results).items()}
    print("\n".join(f"  {line}" for line in runs(records)))


def demo(args) -> None:
    """Draw the synthetic corpora, train, fine-tune, test; fail if nothing was learned."""
    common = ["--results", str(args.results), "-p", str(args.path)]
    # Trained from nothing, minmax scores stay at colour alone for epochs, at some seeds.
    small = ["--encoder", "small", "--head", "softmax", "--learning-rate", "1e-3"]
    first, second = scenes.DEMO
    steps = [
        ["download", "-d", first, "-p", str(args.path)],
        ["train", "-d", first, *small, "--epochs", "6", *common],
        ["download", "-d", second, "-p", str(args.path)],
        ["train", "-d", second, *small, "--epochs", "6", *common],
        ["test", "-d", second, *common],
    ]
    for step in steps:
        print(f"\n$ python main.py {' '.join(step)}", flush=True)
        args = parse(["main.py", *step], COMMANDS)
        answer = args.command(args)
    if not answer["IG"] > 0:
        raise UsageError(f"demo: no information gain over the centre bias ({answer['IG']:.3f})")


COMMANDS = {f.__name__: f for f in (train, launch, test, scanpaths, download, inspect, info, demo)}


def main(args) -> int:
    """Run a command; what went wrong becomes one line on stderr and an exit code: 2 for wrong
    usage and data, 1 for a lost worker, 128 and the signal's number for what was stopped."""
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().python_handler.stream = sys.stdout
    logging.get_absl_handler().setFormatter(None)
    allow(getattr(args, "max_pixels", 0))
    if "results" in args and getattr(args, "cache", None) is not False:
        cached.keep_in(getattr(args, "cache_dir", None) or storage.cache(args.results))
    try:
        args.command(args)
    except (UsageError, DownloadError, OSError) as error:
        return failed(2, error)
    except Ended as ended:
        return failed(ended.code, f"{ended}; to go on: {command_line()}")
    except KeyboardInterrupt:
        return failed(130, "interrupted")
    return 0


def failed(code: int, why: object) -> int:
    """Say why in one line; return the exit code."""
    print(" ".join(str(why).split()), file=sys.stderr)
    return code


def command_line() -> str:
    """Return what was typed; in a worker, what started it."""
    return os.environ.get("LAUNCHED_AS") or shlex.join([Path(sys.executable).name, *sys.argv])


if __name__ == "__main__":
    try:
        app.run(main, flags_parser=lambda argv: parse(argv, COMMANDS))
    except SystemExit as end:
        if "tensorflow_io" in sys.modules:  # which would abort in its destructors
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code or 0)
        raise
