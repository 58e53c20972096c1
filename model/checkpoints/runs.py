"""The files of a run, and the JSON in a checkpoint that says what its weights are."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import storage
from errors import UsageError
from model.checkpoints import folders
from model.checkpoints.folders import FLAT, Checkpoint
from model.networks.registry import MODELS

NEEDED = {"corpus": str, "config": dict, "size": list, "epoch": int}  # in the JSON beside weights


@dataclass(frozen=True)
class Run:
    """The files of a run: all of them are below `results` and bear its name."""

    results: Path
    name: str

    def __post_init__(self):
        if not re.fullmatch(r"\w[\w.+ -]*", self.name):
            raise UsageError(
                f"a run called {self.name!r}: must be letters, digits, spaces and any of _ . + -; "
                "--name NAME calls it something else"
            )

    @property
    def best(self) -> Checkpoint | None:
        """The checkpoint that did best in validation, None where none did yet."""
        return folders.find(self.best_place)

    @property
    def best_place(self) -> Path:
        return self.results / "ckpts" / "best" / self.name

    @property
    def latest(self) -> Path:
        """The place of the checkpoint that the run goes on from."""
        return self.results / "ckpts" / "latest" / self.name

    def epoch(self, number: int) -> Path:
        """Return the place of an epoch that was asked for."""
        return self.results / "ckpts" / "epochs" / self.name / f"{number:04d}"

    @property
    def history(self) -> Path:
        return self.results / "history" / f"{self.name}.csv"

    @property
    def log(self) -> Path:
        return self.results / "logs" / self.name

    @property
    def images(self) -> Path:
        return self.results / "images" / self.name

    @property
    def page(self) -> Path:
        return self._report(".html")

    @property
    def table(self) -> Path:
        return self._report(".csv")

    @property
    def metrics(self) -> Path:
        return self._report(".metrics.json")

    def _report(self, ending: str) -> Path:
        return self.results / "reports" / (self.name + ending)

    def on(self, corpus: str) -> "Run":
        """Return the files of its evaluation on another corpus than it was trained on."""
        return Run(self.results, f"{self.name}_on_{corpus}")

    def picture(self, stimulus: str, ending: str) -> Path:
        """Return the path of a picture made of a stimulus, whose sub-folders it keeps."""
        path = self.images / stimulus
        return path.with_name(path.stem + ending)

    def links(self, stimulus: str) -> dict[str, Path]:
        """Return the paths of a stimulus' pictures that the report's page shows."""
        endings = {"stimulus": "_stimulus.jpg", "prediction": "_overlay.jpg", "truth": "_truth.jpg"}
        return {key: self.picture(stimulus, ending) for key, ending in endings.items()}


def run_name(base: str, folds: int = 0, fold: int = 0) -> str:
    """Return a run's name: of one fold of a cross-validation, that of all and the fold's number."""
    return f"{base}_fold{fold}of{folds}" if folds else base


def chosen(results: Path, name: str | None, model: str | None = None) -> tuple[Run, dict]:
    """Return the run `name`, by default the one with the newest best weights; and what it says.

    Of a model, where it is given; else a centre bias, which a test may have fitted, is no newest.

    Raises:
        UsageError: there are no such weights; says what to run.
    """
    runs = with_best(results)
    if not runs:
        raise UsageError(f"{results} has no weights; first run python main.py train -d CORPUS")
    if name is not None and name not in runs:
        raise UsageError(
            f"{results} has no weights of {name}, only of {', '.join(runs)}; first train it, "
            "or choose with --name"
        )
    newest_first = sorted(runs, key=lambda n: runs[n].weights.stat().st_mtime_ns, reverse=True)
    for candidate in newest_first if name is None else [name]:
        about = read_about(Run(results, candidate))
        if name or suits(about, model):
            return Run(results, candidate), about
    raise UsageError(f"{results} has no weights of {model or 'a network'}; first train it")


def with_best(results: Path, kind: str = "best") -> dict[str, Checkpoint]:
    """Return the best, or the latest, checkpoint of each run that has one, by the runs' names."""
    place = results / "ckpts" / kind
    paths = {path.name: path.is_dir() for path in place.glob("[!.]*")}
    flat = {name.removesuffix(FLAT[0]) for name in paths if name.endswith(FLAT[0])}
    names = flat | {name for name in paths if paths[name]}
    checkpoints = {name: folders.find(place / name) for name in sorted(names)}
    return {name: best for name, best in checkpoints.items() if best}


def suits(about: Mapping, model: str | None) -> bool:
    """Return whether what JSON describes is of a model, or of any network."""
    name = about["config"].get("model", "msinet")
    return name == model if model else name not in MODELS or MODELS[name].module is not None


def read_about(run: Run) -> dict:
    """Return what the JSON of a run's best checkpoint says; UsageError where it lacks something."""
    record = run.best.record
    about = read_json(record)
    if lacking := faults(about):
        raise UsageError(
            f"{record}: damaged, it has no {' and no '.join(lacking)}; move it and the weights "
            "beside it away, or take another run: --name"
        )
    return {"address": about["corpus"], **about, "corpus": corpus_called(about["corpus"])}


def faults(about: object) -> list[str]:
    """Return the keys under which JSON beside weights does not say what it should; those that
    versions before did not write yet may be absent."""

    def has(value: object, kind: type, *keys: str) -> bool:
        return isinstance(value, dict) and all(isinstance(value.get(k), kind) for k in keys)

    if not isinstance(about, dict):
        return ["corpus"]
    size, chain = about.get("size"), about.get("chain") or []
    fits = {key: has(about, kind, key) for key, kind in NEEDED.items()}
    fits["size"] = fits["size"] and [type(side) for side in size] == [int, int] and min(size) > 0
    fits["address"] = isinstance(about.get("address", ""), str)
    fits["train"] = isinstance(about.get("train", {}), dict | list)
    split = about.get("split")
    fits["split"] = split is None or (
        has(split, str, "origin") and has(split, dict, "train", "valid", "test")
    )
    fits["chain"] = isinstance(chain, list) and all(
        has(seen, str | None, "corpus")
        and has(seen, dict | None, "train")
        and {"run", "corpus", "train"} <= {*seen}
        for seen in chain
    )
    return [key for key, fit in fits.items() if not fit]


def corpus_called(reference: str) -> str:
    """Return the name of a corpus; runs of before folders were known by names have its path."""
    return PurePosixPath(reference).name.lower() if "/" in reference else reference


def link(
    run: str, corpus: str | None = None, train: Mapping | None = None, held: Mapping | None = None
) -> dict:
    """Return a link of a chain: a run, its corpus' name, and by their names the digests of the
    pictures that it was trained on, None where these are not known, and of the training pictures
    that were held out to choose its epoch."""
    seen = {"run": run, "corpus": corpus, "train": None if train is None else dict(train)}
    return {**seen, "held": dict(held)} if held else seen


def chain_of(about: Mapping, run: str) -> list[dict]:
    """Return the chain that made weights, given what the JSON beside them says: a link for their
    run, and for each that it was fine-tuned from in turn."""
    if "chain" in about:
        chain = about["chain"]
        return [{**seen, "corpus": corpus_called(seen["corpus"] or "") or None} for seen in chain]
    if "train" not in about:
        return [link(run)]
    # As the first version wrote it: names alone, and of an initial run only its name.
    before = [link(about["initial"])] if about.get("initial") else []
    return [link(run, corpus_called(about["corpus"]), dict.fromkeys(about["train"], "")), *before]


def read_json(path: Path) -> dict:
    """Return a JSON file that this program wrote; UsageError where it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None


def write_json(path: Path, content: Mapping) -> None:
    """Write a JSON file in one piece."""
    with storage.replacing(path) as part:
        part.write_text(json.dumps(jsonable(content), indent=1) + "\n")


def jsonable(content: Mapping) -> dict:
    """Return content as it comes back from JSON: tuples are lists there, paths are text."""
    return json.loads(json.dumps(content, default=str))
