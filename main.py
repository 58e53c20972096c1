"""The command line: train, test, download, info, demo. Data and models meet here alone."""

import collections
import functools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from absl import app, logging

import config
from config import Config, UsageError
from data import corpora, scenes  # noqa: F401  corpora's classes register themselves
from data.corpus import Corpus, corpus_name, find, listed, open_corpus
from data.install import install
from data.samples import load, pictures
from download import DownloadError
from flags import parse
from model.runs import Run, chosen


def train(args) -> None:
    """Trains on a corpus, from where the restore chain says, and keeps the best weights."""
    settings = Config.make(config.given(args), args.config)
    corpus = open_corpus(args.data, args.path)
    make_writable(args.results)
    import_tensorflow()
    from model import metrics
    from model.restore import find_start, on_pictures

    run = Run(args.results, args.name or f"msinet_{corpus.name}")
    start = find_start(run, corpus, settings, fresh=args.fresh, weights=args.weights)
    metrics.check_names(settings.loss, settings.metrics)
    samples = load(corpus, memory(args), settings.partial, settings.pixels_per_degree)
    start = on_pictures(start, run, *([s.name for s in side] for side in samples))
    learn(settings, corpus, run, start, *samples)
    logging.info("best weights: %s", run.best)
    logging.info("history: %s and .png", run.history)


def learn(settings: Config, corpus: Corpus, run, start, training, validation) -> None:
    """Wires data, model and loop together and runs the loop."""
    import keras

    from data.pipeline import batches, keys
    from model import msinet, restore, trainer
    from model.metrics import choose
    from model.strategy import mirrored
    from report.curves import save_history

    size, batch = settings.size or corpus.size, settings.batch_size
    metrics = choose(settings.loss, settings.metrics, keys([*training, *validation]))
    data = trainer.Data(
        train=lambda epoch: batches(
            training, size, batch, seed=settings.seed, epoch=epoch, flip=settings.flip
        ),
        valid=lambda: batches(validation, size, batch),
        steps=-(-len(training) // batch),
        names=[sample.name for sample in training],
    )
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    with mirrored(batch, settings.devices).scope():
        weights = start.encoder_weights(settings)
        model = msinet.build(settings.encoder, size, settings.head, weights)
        model.compile(optimizer=trainer.optimizer(settings, data.steps))
        progress = restore.begin(start, model)
        if progress.epoch >= settings.epochs:
            logging.info("all %d epochs are done; a larger --epochs goes on", progress.epoch)
        about = {"corpus": corpus.reference, "size": size, "config": asdict(settings)}
        about |= {"start": start.line, "initial": start.initial, "train": data.names}
        keeper = restore.Keeper(run, model, start.shape, about, settings.save_every, save_history)
        board = keras.callbacks.TensorBoard(str(run.log), write_graph=False)
        losses = config.weights(settings.loss)
        trainer.fit(
            model, data, losses, metrics, settings.epochs, progress, keeper.keep, callbacks=[board]
        )


def test(args) -> dict[str, float]:
    """Draws where people will look; with truth at hand, says how good the model is."""
    make_writable(args.results)
    import_tensorflow()
    run, about = chosen(args.results, args.name or run_name(args.data))
    settings = Config.make(config.from_json(about["config"], str(run.best)))
    samples, baseline = to_test(args, about, settings)
    found = answers(run, about, settings, samples)
    rows = in_threads(functools.partial(show, run, args.format, baseline), found)
    logging.info("pictures: %s", run.images)
    return evaluation(run, about, samples[0], rows) if baseline else {}


def in_threads(function, items, ahead: int = 8) -> list:
    """What the function makes of each tuple, in order; items are drawn only as they are needed."""
    results, waiting = [], collections.deque()
    with ThreadPoolExecutor() as pool:
        for item in items:
            waiting.append(pool.submit(function, *item))
            if len(waiting) > ahead:
                results.append(waiting.popleft().result())
        return results + [work.result() for work in waiting]


def to_test(args, about: dict, settings: Config):
    """The samples to test on, and what gives the centre bias of the training side at a shape;
    None in its place for pictures without truth."""
    from data.pipeline import relative_points
    from model.baselines import centre_bias

    corpus = corpus_or_pictures(args.path, args.data or about["corpus"])
    if corpus is None:
        return pictures(args.path, memory(args)), None
    samples = load(corpus, memory(args), settings.partial, settings.pixels_per_degree)
    return samples[1], functools.cache(centre_bias(relative_points(samples[0])).log_density)


def corpus_or_pictures(path: Path | None, name: str) -> Corpus | None:
    """The corpus `name` below `path` (by default below data/), or None: `path` has pictures."""
    if path is None or listed(name, path):
        return open_corpus(name, path or Path("data"))
    if not path.exists():
        raise UsageError(f"-p {path}: no such file or folder")
    return None


def answers(run, about: dict, settings: Config, samples):
    """Each sample with its picture and the model's log-density (height, width) of it, in nats."""
    from tqdm import tqdm

    from data.decode import decode
    from data.images import unfit
    from data.pipeline import batches
    from model import msinet, restore, trainer
    from model.density import log_density
    from model.strategy import mirrored

    size = tuple(about["size"])
    with mirrored(settings.batch_size).scope():
        model = msinet.build(settings.encoder, size, settings.head)
        restore.load_weights(model, run.best)
        bare = batches([sample.bare() for sample in samples], size, settings.batch_size)
        for index, frame in tqdm(trainer.predict(model, bare), total=len(samples), disable=None):
            sample = samples[index]
            logits = unfit(frame, sample.shape)[None]
            answer = log_density(logits, logits * 0 + 1).numpy()[0, ..., 0]
            yield sample, decode(sample.stimulus), answer


def show(run, fmt: str, baseline, sample, image, answer) -> dict | None:
    """Writes a sample's saliency map and overlay; with truth at hand, returns its row."""
    from report.pictures import save_map, save_overlay

    save_map(run.picture(sample.name, f".{fmt}"), answer, fmt)
    save_overlay(run.picture(sample.name, "_overlay.jpg"), image, answer)
    return baseline and judge(run, sample, image, answer, baseline(*sample.shape))


def judge(run, sample, image, answer, centre) -> dict:
    """A row of the report: metrics of the model, the centre bias and, where known, the truth."""
    from data.pipeline import truth
    from model.metrics import score
    from report.pictures import save_overlay, save_stimulus

    known, links = truth(sample), run.links(sample.name)
    save_stimulus(links["stimulus"], image, sample.points)
    save_overlay(links["truth"], image, known.pop("log_density"), max_side=400)
    best = known.pop("true_log_density", None)
    return {
        "name": sample.name,
        "fixations": 0 if sample.points is None else len(sample.points),
        **{key: os.path.relpath(path, run.page.parent) for key, path in links.items()},
        "metrics": score(answer, known, centre),
        "baseline": score(centre, known, centre),
        "best": {} if best is None else score(best, known, centre),
    }


def evaluation(run, about: dict, sample, rows: list[dict]) -> dict[str, float]:
    """Writes the report's page and table, prints the means, returns them."""
    from report.page import write_page, write_table
    from report.table import means, text_table

    found, baseline, best = (means(rows, key) for key in ("metrics", "baseline", "best"))
    write_table(run.table, rows)
    write_page(
        run.page,
        title=run.name,
        corpus=about["corpus"],
        model_line=f"MSI-Net on {about['config']['encoder']}, epoch {about['epoch']}",
        metrics=found,
        baseline=baseline,
        rows=rows,
        note="Tuebingen protocol, at the stimuli's own size, from floats; empirical density: "
        + ("the authors' maps." if sample.density_map else f"Gaussian of {sample.sigma:g} px."),
    )
    print(text_table({"model": found, "centre bias": baseline}))
    if best:
        share = found["ig"] / best["ig"]
        print(f"information gain {found['ig']:.3f} bits per fixation over the centre bias, "
              f"{share:.0%} of the true density's {best['ig']:.3f}")  # fmt: skip
    logging.info("report: %s and .csv", run.page)
    return found


def download(args) -> None:
    """Installs a corpus from its authors' archives, or draws a synthetic one."""
    folder = install(
        find(args.data), args.path, args.archive or (), args.mirror, checksums=args.checksum
    )
    logging.info("%s is in %s", args.data, folder)


def info(args) -> None:
    """Lists the corpora, what of each is on disk, and the runs with their weights."""
    from data.corpus import inventory
    from report.table import runs

    print(f"corpora, and what of them is in {args.path}/")
    print("\n".join(f"  {line}" for line in inventory(args.path)))
    print(f"weights in {args.results}/ckpts/best/")
    print("\n".join(f"  {line}" for line in runs(args.results)))


def demo(args) -> None:
    """Draws the synthetic corpora, trains, fine-tunes, tests; fails if nothing was learned."""
    common = ["--results", str(args.results), "-p", str(args.path)]
    small = ["--encoder", "small", "--learning-rate", "1e-3"]
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
    if not answer["ig"] > 0:
        raise UsageError(f"demo: no information gain over the centre bias ({answer['ig']:.3f})")


def run_name(name: str | None) -> str | None:
    """The name that a run on a corpus has by default; None without a corpus."""
    return name and f"msinet_{corpus_name(name)}"


def memory(args) -> Path:
    """The file that remembers which pictures were checked."""
    return args.results / "checked.json"


def make_writable(results: Path) -> None:
    """Makes the folder of results; raises UsageError where nothing can be written to it."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        probe = results / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"--results {results}: cannot write to it: {error.strerror}") from None


def import_tensorflow() -> None:
    """Imports TensorFlow with its start-up lines, which no setting turns off, kept off stderr."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


COMMANDS = {f.__name__: f for f in (train, test, download, info, demo)}


def main(args) -> int:
    """Runs a command; wrong usage and data become one line on stderr and exit code 2, an interrupt
    one line and 130."""
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().python_handler.stream = sys.stdout
    logging.get_absl_handler().setFormatter(None)
    try:
        args.command(args)
    except (UsageError, DownloadError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is saved", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=lambda argv: parse(argv, COMMANDS))
