"""Files of weights: ours, Keras', and PyTorch's as they were published; from and into models."""

from itertools import zip_longest
from pathlib import Path

import h5py
import keras
import numpy as np
from absl import logging
from keras import ops

import storage
from errors import UsageError
from model.checkpoints.folders import Checkpoint
from model.networks.encoders import arrays_by_layer
from model.networks.published import load_published
from model.training.trainer import layers_of

OPTIMIZER = "optimizer"


def write_weights(path: Path, model: keras.Model, optimizer: bool = False) -> None:
    """Write a model's weights, and with `optimizer` its optimizer's state, to an HDF5 file.

    Each array bears the path of its variable, such as conv1/kernel and optimizer/iteration: Keras'
    own files count layers by the names of their classes, and what computes a layer may change.
    """
    with storage.hdf5(path) as file:
        for name, variable in variables_of(model, optimizer).items():
            file[name] = ops.convert_to_numpy(variable)


def load_weights(
    model: keras.Model, checkpoint: Checkpoint, *, optimizer: bool = False, partly: bool = False
) -> None:
    """Load a checkpoint's weights into a model, and with `optimizer` its optimizer's state.

    Args:
        partly: layers of a scanpath network that the file has not start anew, which is said.

    Raises:
        UsageError: the file is damaged or of another model; then nothing is changed.
    """
    checkpoint.check()
    variables = variables_of(model, optimizer)
    arrays = read_arrays(checkpoint.weights, model, optimizer)
    stored = {layer_of(name) for name in arrays}
    anew = {name for name in variables if "scanpath" in name and layer_of(name) not in stored}
    for name in sorted({*variables, *arrays} - (anew if partly else set())):
        shapes = [getattr(table.get(name), "shape", None) for table in (variables, arrays)]
        if shapes[0] != shapes[1]:
            raise UsageError(
                f"{checkpoint.weights}: not the weights of {model.name}: its {name} has the shape "
                f"{shapes[0]}, the file {shapes[1]}"
            )
    for name, array in arrays.items():
        variables[name].assign(array)
    if anew:
        layers = ", ".join(sorted({layer_of(name) for name in anew}))
        logging.info("%d layers are taken; %s start anew", len(stored), layers)


def variables_of(model: keras.Model, optimizer: bool = False) -> dict[str, keras.Variable]:
    """Return a model's variables by their paths, and with `optimizer` its optimizer's."""
    variables = {variable.path: variable for variable in model.weights}
    for variable in model.optimizer.variables if optimizer else ():
        _, _, path = variable.path.partition("/")  # behind a name that Keras counts: adam, adam_1
        variables[f"{OPTIMIZER}/{path}"] = variable
    return variables


def layer_of(name: str) -> str:
    """Return the layer of a variable, given its path."""
    return name.partition("/")[0]


def read_arrays(weights: Path, model: keras.Model, optimizer: bool) -> dict[str, np.ndarray]:
    """Return the arrays in a file by the paths of variables; raise UsageError where it has none."""
    arrays = {}

    def collect(name, node):
        if isinstance(node, h5py.Dataset):
            arrays[name] = node[()]

    try:
        with storage.local(weights) as copy, h5py.File(copy, "r", locking=False) as file:
            if "layers" in file:
                arrays = renamed(arrays_by_layer(file), model, optimizer)
            else:
                file.visititems(collect)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{weights}: not a file of weights: {reason}") from None
    return {name: a for name, a in arrays.items() if optimizer or layer_of(name) != OPTIMIZER}


def renamed(
    table: dict[str, list[np.ndarray]], model: keras.Model, optimizer: bool
) -> dict[str, np.ndarray]:
    """Return the arrays of one of Keras' files, which has them by layer and number, by the paths
    that a model has for them; what is too many or too few by the layer's name."""
    names = {layer.name: [w.path for w in layer.weights] for layer in layers_of(model)}
    names[OPTIMIZER] = [n for n in variables_of(model, optimizer) if layer_of(n) == OPTIMIZER]
    return {
        path: array
        for layer, arrays in table.items()
        for path, array in zip_longest(names.get(layer, ()), arrays, fillvalue=layer)
    }


def load_pytorch(model: keras.Model, weights: Path, whole: bool) -> None:
    """Load published weights; UsageError where `whole` and they have none of the encoder."""
    encoder = model.get_layer("encoder").weights
    before = [weight.numpy() for weight in encoder]
    load_published(model, weights)
    same = all(np.array_equal(a, b.numpy()) for a, b in zip(before, encoder, strict=True))
    if same and whole:
        raise UsageError(
            f"{weights} has no weights of the encoder; say where they come from: "
            "--encoder-weights imagenet, or the path of a no-top .h5"
        )
