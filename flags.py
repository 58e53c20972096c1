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
from config import MODELS, OUTSIDE, UNITS, Config
from errors import UsageError, near
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
    """The arguments of one of the commands, which is in `command` of the answer.

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
            known = choices.choices[args.command.__name__]._option_string_actions
            parser.error(f"unknown flag {unknown[0]}{near(unknown[0], known)}")
        add_corpora(getattr(args, "corpora", None))
    except UsageError as error:
        parser.error(str(error))
    flags.FLAGS(argv[:1])  # absl's own: app.run wants them parsed, the commands need none
    return args


def add_corpora(file: Path | None) -> None:
    """Imports a user's file of corpus classes, which registers them."""
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
    written(parser)
    cached(parser)
    limits(parser)
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML, or a run's JSON")
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="start anew; until that is done, the same command goes on with it",
    )
    parser.add_argument(
        "--weights", type=storage.path, metavar="FILE",
        help="weights to start from; .pth: the published ones of DeepGaze III",
    )  # fmt: skip
    parser.add_argument(
        "--preset", metavar="|".join(PRESETS), help="a training that has a name, stage by stage"
    )
    add_fields(parser.add_argument_group("configuration"))


def add_fields(parser) -> None:
    """A flag for every field of Config, with its default and help; only given ones are set."""
    for item in dataclasses.fields(Config):
        flag, kind = config.flag_of(item), config.kind(item)
        default = "" if item.default is None else f" [{config.show(item.default)}]"
        common = {"dest": item.name, "default": argparse.SUPPRESS}
        common["help"] = item.metadata["help"] + default
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
            continue
        common |= {"type": config.reader(item), "metavar": config.metavar(item)}
        parser.add_argument(*["-m"] * (item.name == "model"), flag, **common)


def given(args) -> dict:
    """The fields of Config that were given as flags."""
    names = [item.name for item in dataclasses.fields(Config)]
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def for_test(parser: Parser) -> None:
    where(parser, root=None)
    written(parser)
    cached(parser)
    limits(parser)
    add = parser.add_argument
    add("-m", "--model", choices=MODELS, help="trained or baseline; default with -d: msinet")
    add("--partial", action="store_true", help="test on what is there of a corpus")
    add("--on", metavar="CORPUS", help="another corpus than it was trained on")
    add("--folds", type=whole, default=0, metavar="N", help="all folds of a cross-validation")
    add("--fold", type=whole, default=0, metavar="I", help="one of them")
    add("--predictions", type=storage.path, metavar="FOLDER",
        help="what another program predicted: a .npy or picture a stimulus")  # fmt: skip
    add("--kind", choices=("density", "saliency"), help="of --predictions: log-densities or maps")
    add("--pixels-per-degree", type=float, metavar="FLOAT",
        help="sigma of the blur; default: the run's, or the corpus'")  # fmt: skip
    add("--units", choices=UNITS, help="of the fixations; default: the run's")
    add("--outside", choices=OUTSIDE, help="fixations outside their pictures; default: the run's")
    add("--side", choices=("valid", "test"), default="valid", help="which pictures [valid]")
    add("--protocol", choices=("tuebingen", "mit"), default="tuebingen",
        help="mit: the older Matlab code's variants, not comparable [tuebingen]")  # fmt: skip
    add("--maps", choices=("tuebingen",), help="score each metric on the map made for it")
    add("--skip-first", action="store_true",
        help="leave first fixations out of scores, negatives and baselines")  # fmt: skip
    prior(parser)
    add("--compare", nargs=2, metavar="RUN", help="the difference of two tested runs")
    add("--format", choices=("png", "npy"), default="png",
        help="of saliency maps: 8-bit pictures, or float log-densities [png]")  # fmt: skip


def for_scanpaths(parser: Parser) -> None:
    parser.add_argument("-d", "--data", metavar="CORPUS", help=CORPUS + ", for its run")
    parser.add_argument(
        "-p", "--path", type=storage.path, required=True, metavar="PICTURE",
        help="the picture to look at",
    )  # fmt: skip
    parser.add_argument("--count", type=whole, default=10, help="of scanpaths [10]")
    parser.add_argument("--length", type=whole, default=8, help="of each, in fixations [8]")
    parser.add_argument("--seed", type=whole, default=1, help="of the draws [1]")
    prior(parser)
    parser.add_argument("--corpora", type=Path, metavar="FILE.py", help="adds a file's classes")
    written(parser)
    cached(parser)
    limits(parser)


def prior(parser: Parser) -> None:
    """--prior, in place of the one that a run was trained with."""
    parser.add_argument(
        "--prior", metavar="CORPUS|uniform|FILE",
        help="deepgaze: the centre bias that it is told, or a file of one [that of its training]",
    )  # fmt: skip


def whole(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def for_launch(parser: Parser) -> None:
    parser.usage = "%(prog)s [-h] --workers N -- train ..."
    parser.add_argument(
        "--workers", type=whole, required=True, metavar="N", help="processes of this machine"
    )
    parser.add_argument(
        "started", nargs=argparse.REMAINDER, metavar="train ...", help="what they run"
    )


def for_download(parser: Parser) -> None:
    where(parser, data=True)
    limits(parser)
    parser.add_argument(
        "--archive", type=Path, nargs="+", metavar="FILE", help="take archives from disk"
    )
    parser.add_argument("--mirror", metavar="URL", help="a folder that serves the archives by name")
    parser.add_argument(
        "--checksum", action=argparse.BooleanOptionalAction, default=True,
        help="refuse downloads that are not what the authors published",
    )  # fmt: skip
    parser.add_argument(
        "--partial", action="store_true", help="take downloads of fewer stimuli than the corpus has"
    )


def for_inspect(parser: Parser) -> None:
    where(parser, data=True)
    results(parser)
    cached(parser)
    limits(parser)
    parser.add_argument("--json", action="store_true", help="the numbers alone, as JSON")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML, or a run's JSON")
    add_fields(parser.add_argument_group("configuration, as train takes it"))


def for_info(parser: Parser) -> None:
    where(parser, data=None)
    results(parser)
    cached(parser)
    add = parser.add_argument
    add("--caches", action="store_true", help="list what can be made again, and who uses it")
    add("--remove-unused", action="store_true", help="the same, and remove what no run here uses")


def for_demo(parser: Parser) -> None:
    where(parser, data=None)
    results(parser)


def where(parser: Parser, *, data: bool | None = False, root: str | None = "data") -> None:
    """-d (required, optional, or None: absent), -p and --corpora."""
    if data is not None:
        parser.add_argument("-d", "--data", required=data, metavar="CORPUS", help=CORPUS)
    text = "root of the corpora, or its address gs://... or s3://... [data]"
    if root is None:
        text += ", or a picture, or a folder of pictures"
    parser.add_argument("-p", "--path", type=storage.path, default=root, metavar="PATH", help=text)
    parser.add_argument("--corpora", type=Path, metavar="FILE.py", help="adds a file's classes")


def written(parser: Parser) -> None:
    """--results and --name."""
    results(parser)
    parser.add_argument("--name", help="the run's name [MODEL_CORPUS]")


def cached(parser: Parser) -> None:
    """--cache-dir."""
    parser.add_argument(
        "--cache-dir", type=on_disk, metavar="DIR",
        help="where what can be made again is kept, on a disk [RESULTS/cache]",
    )  # fmt: skip


def on_disk(text: str) -> Path:
    """A folder on a disk."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} must lie on a disk")
    return Path(text).expanduser()


def limits(parser: Parser) -> None:
    """--max-pixels."""
    parser.add_argument(
        "--max-pixels", type=whole, default=0, metavar="N",
        help="read larger pictures than of 67 million pixels; JPEGs are read at a smaller scale",
    )  # fmt: skip


def results(parser: Parser) -> None:
    """--results; what runs trainings in Google's cloud says where by an environment variable."""
    parser.add_argument(
        "--results", type=storage.path, default=os.environ.get(OUTPUT) or "results", metavar="DIR",
        help=f"where everything is written [${OUTPUT}, or results]",
    )  # fmt: skip


ADD = {
    "train": for_train,
    "launch": for_launch,
    "test": for_test,
    "scanpaths": for_scanpaths,
    "download": for_download,
    "inspect": for_inspect,
    "info": for_info,
    "demo": for_demo,
}
