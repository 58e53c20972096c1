"""What `-m` can name: networks and baselines, a record each, without TensorFlow."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

FREE_VIEWING, SCANPATHS = "free viewing", "scanpaths"  # names of tasks, see batches.tasks


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network, or a baseline, which has no module.

    title: what a report calls it.
    module: has `build(encoder, size, weights=..., **options)`; imported when the network is built.
    options: the fields of a configuration that it alone is built with.
    prior: whether it takes a centre bias, and with it the field `prior`.
    usual: fields whose usual value is not their default.
    depends: fields by which trained weights mean something: with another value of one of them
        they would load, and say something else.
    tasks: what it can be trained for, the first by default, and what its weights then depend on
        too. Weights that were trained for a task start it and those after it.
    frozen: its layer `encoder` never trains, so that its features can be kept on disk for its layer
        `readout`.
    published: where weights of its authors' can be read (.pth), the options that they have.
    fitted: of a baseline: `train` and `test` fit it on the training side; else nothing is trained.
    """

    title: str
    module: str | None = None
    options: tuple[str, ...] = ()
    prior: bool = False
    usual: Mapping[str, object] = field(default_factory=dict)
    depends: tuple[str, ...] = ()
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {FREE_VIEWING: ()})
    frozen: bool = False
    published: Mapping[str, object] | None = None
    fitted: bool = False

    @property
    def trained(self) -> bool:
        """Whether `train` leaves weights of it."""
        return self.fitted or self.module is not None

    @property
    def own(self) -> tuple[str, ...]:
        """The fields that belong to it."""
        return self.options + ("prior",) * self.prior


MODELS = {
    "msinet": Model(
        title="MSI-Net",
        module="model.networks.msinet",
        options=("head",),
        depends=("encoder", "head"),
    ),
    "deepgaze": Model(
        title="DeepGaze III",
        module="model.networks.deepgaze",
        options=("scanpath", "missing", "mixture"),
        prior=True,
        usual={"encoder": "densenet201", "loss": "nll:1", "learning_rate": 1e-3, "flip": False},
        depends=("encoder", "mixture"),
        tasks={FREE_VIEWING: (), SCANPATHS: ("scanpath", "missing")},
        frozen=True,
        published={"missing": "none"},
    ),
    "uniform": Model(title="uniform density"),
    "centerbias": Model(title="centre bias", fitted=True),
    "goldstandard": Model(title="gold standard"),
}


TAKE_PRIOR = tuple(name for name, model in MODELS.items() if model.prior)


def foreign(name: str) -> set[str]:
    """Return the fields that a model has no use for: a network those of other networks."""
    if MODELS[name].module is None:
        return {"scanpath", "prior", "hold_out"}
    return {field for model in MODELS.values() for field in model.own} - {*MODELS[name].own}


def task_of(fields: Mapping) -> str:
    """Return the name of the task that a configuration's fields ask for."""
    return SCANPATHS if fields["scanpath"] else next(iter(MODELS[fields["model"]].tasks))


def depends_on(fields: Mapping) -> tuple[str, ...]:
    """Return the fields by which weights mean something that were trained with such a
    configuration."""
    if fields["model"] not in MODELS:  # of another version of this program
        return ("model",)
    model = MODELS[fields["model"]]
    return ("model", *model.depends, *model.tasks[task_of(fields)])


def build(settings, size: tuple[int, int], weights: str = "none"):
    """Return the network of a configuration for pictures of size (H, W); `weights` are its
    encoder's, see encoders.build."""
    model = MODELS[settings.model]
    options = {name: getattr(settings, name) for name in model.options}
    module = importlib.import_module(model.module)
    return module.build(settings.encoder, size, weights=weights, **options)
