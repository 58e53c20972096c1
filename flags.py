"""The flags of every command; a wrong one is one line on stderr, its near matches named."""

import argparse
import dataclasses
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from absl import flags
from absl.flags import argparse_flags

import config
import storage
from config import OUTSIDE, UNITS, Config
from errors import UsageError, near
from model.networks.registry import MODELS, TAKE_PRIOR
from presets import PRESETS

CORPUS = "a corpus (see info), or the path of a folder of one's own"
OUTPUT = "GCS_OUTPUT_PATH"


class Parser(argparse_flags.ArgumentParser):
    """argparse, with errors of one line."""

    def __init__(self, **kwargs):
        kwargs["inherited_absl_flags"] = None
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message):
        print(f"{self.prog}: {' '.join(message.split())}", file=sys.stderr)
        raise SystemExit(2)


def parse(argv: Sequence[str], commands: Mapping[str, Callable]) -> argparse.Namespace:
    """Return the arguments of one of the commands, which is in their `command`.

    Exits with 2 and one line on stderr where they are wrong.
    """
    parser = Parser(
        prog="main.py",
        description="Trains, fine-tunes and tests models of where people look.",
        epilog="python main.py COMMAND --help lists a command's flags.",
    )
    choices = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for name, function in commands.items():
        text = function.__doc__.splitlines()[0]
        command = choices.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        ADD[name](command)
    try:
        args, unknown = parser.parse_known_args(argv[1:] or ["--help"])
        if unknown:
            allowed = choices.choices[args.command.__name__]._option_string_actions
            parser.error(f"unknown flag {unknown[0]}{near(unknown[0], allowed)}")
        add_corpora(getattr(args, "corpora", None))
    except UsageError as error:
        parser.error(str(error))
    flags.FLAGS(argv[:1])  # absl's own: app.run wants them parsed, the commands need none
    return args


def add_corpora(file: Path | None) -> None:
    """Import a user's file of corpus classes, which registers them."""
    if file is None:
        return
    if not file.is_file() or file.suffix != ".py":
        raise UsageError(f"--corpora {file}: no such file, or none that ends in .py")
    spec = importlib.util.spec_from_file_location(f"corpora_of_{file.stem}", file)
    try:
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses and pickle look for it
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:  # whatever a user's file raises is for its author to read
        raise UsageError(f"--corpora {file}: {type(error).__name__}: {error}") from error


def for_train(parser: Parser) -> None:
    where(parser, data=True)
    shared(parser, "--results", "--cache-dir", "--name", "--max-pixels", "--config")
    add = parser.add_argument
    add("--fresh", action="store_true",
        help="start anew; until that is done, the same command goes on with it")  # fmt: skip
    add("--weights", type=storage.path, metavar="FILE",
        help="weights to start from, or a checkpoint's folder; .pth: the published ones of "
        "DeepGaze III")  # fmt: skip
    add("--preset", metavar="|".join(PRESETS), help="a training that has a name, stage by stage")
    add_fields(parser.add_argument_group("configuration"))


def add_fields(parser) -> None:
    """Add a flag for every field of Config; only those that are given are set."""
    for item in dataclasses.fields(Config):
        flag, kind = config.flag_of(item), config.kind(item)
        default = "" if item.default is None else f" [{usual(item)}]"
        common = {"dest": item.name, "default": argparse.SUPPRESS}
        common["help"] = item.metadata["help"] + default
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
            continue
        common |= {"type": config.reader(item), "metavar": config.metavar(item)}
        parser.add_argument(*["-m"] * (item.name == "model"), flag, **common)


def usual(item: dataclasses.Field) -> str:
    """A field's default, and those of models whose usual value is another."""
    others = {name: m.usual[item.name] for name, m in MODELS.items() if item.name in m.usual}
    lines = [f"{name}: {config.show(value)}" for name, value in others.items()]
    return "; ".join([config.show(item.default), *lines])


def given(args) -> dict:
    """Return the fields of Config that were given as flags."""
    names = [item.name for item in dataclasses.fields(Config)]
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def for_test(parser: Parser) -> None:
    where(parser, root=None)
    shared(parser, "--results", "--cache-dir", "--name", "--max-pixels", "--prior")
    add = parser.add_argument
    add("-m", "--model", choices=MODELS, help="trained or baseline model; default with -d: msinet")
    add("--partial", action="store_true", help="test on what is there of a corpus")
    add("--on", metavar="CORPUS", help="another corpus than the run was trained on")
    add("--folds", type=whole, default=0, metavar="N",
        help="number of folds of a cross-validation; all of them are tested")  # fmt: skip
    add("--fold", type=whole, default=0, metavar="I", help="the one of these folds to test")
    add("--predictions", type=storage.path, metavar="FOLDER",
        help="what another program predicted: a .npy or picture a stimulus")  # fmt: skip
    add("--kind", choices=("density", "saliency"),
        help="what --predictions holds: log-densities, or saliency maps")  # fmt: skip
    add("--pixels-per-degree", type=float, metavar="FLOAT",
        help="sigma of the blur; default: the run's, or the corpus'")  # fmt: skip
    add("--units", choices=UNITS, help="unit of coordinates; default: the run's")
    add("--outside", choices=OUTSIDE,
        help="treatment of fixations outside their pictures; default: the run's")  # fmt: skip
    add("--side", choices=("valid", "test"), default="valid", help="side of the split [valid]")
    add("--protocol", choices=("tuebingen", "mit"), default="tuebingen",
        help="mit: the older Matlab code's variants, not comparable [tuebingen]")  # fmt: skip
    add("--maps", choices=("tuebingen",), help="score each metric on the map made for it")
    add("--skip-first", action="store_true",
        help="leave first fixations out of scores, negatives and baselines")  # fmt: skip
    add("--compare", nargs=2, metavar="RUN", help="the difference of two tested runs")
    add("--format", choices=("png", "npy"), default="png",
        help="format of saliency maps: 8-bit pictures, or float log-densities [png]")  # fmt: skip


def for_scanpaths(parser: Parser) -> None:
    add = parser.add_argument
    add("-d", "--data", metavar="CORPUS", help=CORPUS + ", for its run")
    add("-p", "--path", type=storage.path, required=True, metavar="PICTURE",
        help="the picture to look at")  # fmt: skip
    add("--count", type=whole, default=10, help="number of scanpaths [10]")
    add("--length", type=whole, default=8, help="number of fixations in each [8]")
    add("--seed", type=whole, default=1, help="seed of the draws [1]")
    shared(parser, "--results", "--cache-dir", "--name", "--max-pixels", "--prior", "--corpora")


def whole(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def for_launch(parser: Parser) -> None:
    parser.usage = "%(prog)s [-h] --workers N -- train ..."
    add = parser.add_argument
    add("--workers", type=whole, required=True, metavar="N", help="processes of this machine")
    add("started", nargs=argparse.REMAINDER, metavar="train ...", help="the command that they run")


def for_download(parser: Parser) -> None:
    where(parser, data=True)
    shared(parser, "--max-pixels")
    add = parser.add_argument
    add("--archive", type=Path, nargs="+", metavar="FILE", help="archives on disk to take")
    add("--mirror", metavar="URL", help="a folder that serves the archives by name")
    add("--checksum", action=argparse.BooleanOptionalAction, default=True,
        help="refuse downloads that are not what the authors published")  # fmt: skip
    add("--partial", action="store_true",
        help="take downloads of fewer stimuli than the corpus has")  # fmt: skip


def for_inspect(parser: Parser) -> None:
    where(parser, data=True)
    shared(parser, "--results", "--cache-dir", "--max-pixels", "--config")
    parser.add_argument("--json", action="store_true", help="the numbers alone, as JSON")
    add_fields(parser.add_argument_group("configuration, as train takes it"))


def for_info(parser: Parser) -> None:
    for_all_corpora(parser)
    shared(parser, "--cache-dir")
    add = parser.add_argument
    add("--caches", action="store_true", help="list what can be made again, and who uses it")
    add("--remove-unused", action="store_true", help="the same, and remove what no run here uses")


def for_all_corpora(parser: Parser) -> None:
    where(parser, data=None)
    shared(parser, "--results")


def where(parser: Parser, *, data: bool | None = False, root: str | None = "data") -> None:
    """Add -d (required, optional, or None: absent), -p and --corpora."""
    if data is not None:
        parser.add_argument("-d", "--data", required=data, metavar="CORPUS", help=CORPUS)
    text = "root of the corpora, or its address gs://... or s3://... [data]"
    if root is None:
        text += ", or a picture, or a folder of pictures"
    parser.add_argument("-p", "--path", type=storage.path, default=root, metavar="PATH", help=text)
    shared(parser, "--corpora")


def on_disk(text: str) -> Path:
    """Return a folder on a disk."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} must lie on a disk")
    return Path(text).expanduser()


def shared(parser: Parser, *names: str) -> None:
    """Add flags that several commands have."""
    # What runs trainings in Google's cloud says by OUTPUT where to write.
    results = os.environ.get(OUTPUT) or "results"
    flags_of = {
        "--cache-dir": {
            "type": on_disk, "metavar": "DIR",
            "help": "folder of what can be made again, on a disk [RESULTS/cache]",
        },
        "--config": {
            "type": storage.path, "metavar": "FILE",
            "help": "YAML, or a checkpoint's folder or JSON",
        },
        "--corpora": {"type": Path, "metavar": "FILE.py", "help": "a file of further corpora"},
        "--max-pixels": {
            "type": whole, "default": 0, "metavar": "N",
            "help": "read larger pictures than of 67 million pixels; JPEGs are read at a smaller "
            "scale",
        },
        "--name": {"help": "name of the run [MODEL_CORPUS]"},
        "--prior": {
            "metavar": "CORPUS|uniform|FILE",
            "help": f"{', '.join(TAKE_PRIOR)}: the centre bias that it is told, or a file of one "
            "[that of its training]",
        },
        "--results": {
            "type": storage.path, "default": results, "metavar": "DIR",
            "help": f"folder of all that is written [${OUTPUT}, or results]",
        },
    }  # fmt: skip
    for name in names:
        parser.add_argument(name, **flags_of[name])


ADD = {
    "train": for_train,
    "launch": for_launch,
    "test": for_test,
    "scanpaths": for_scanpaths,
    "download": for_download,
    "inspect": for_inspect,
    "info": for_info,
    "demo": for_all_corpora,
}
