"""Files of weights: Keras', and PyTorch's as they were published; from and into models."""

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import h5py
import keras
import numpy as np
from absl import logging

import storage
from errors import UsageError
from model.checkpoints.runs import WEIGHTS, about_of, write_json
from model.networks.published import load_published
from model.training.trainer import layers_of


def save_weights(path: Path, model: keras.Model, about: Mapping) -> None:
    """Writes weights without the optimizer, and the JSON beside them that says what they are."""
    with storage.replacing(path) as part:
        write_weights(part, bare(model))
    write_json(about_of(path), about)


def write_weights(path: Path, model: keras.Model) -> None:
    """Writes a model's weights, and the state of its optimizer where it has one, to a file on disk.

    By way of memory: HDF5 on a full disk crashes the process at its end, files it cannot close.
    """
    content = Memory()
    model.save_weights(content)
    path.write_bytes(content.getbuffer())


class Memory(io.BytesIO):
    """A file in memory, whose name has the ending that Keras demands."""

    def __str__(self) -> str:
        return f"memory{WEIGHTS}"


def bare(model: keras.Model) -> keras.Model:
    """The same layers without the optimizer, whose state Keras would keep among the weights."""
    return keras.Model(model.input, model.output, name=model.name)


def load_weights(model: keras.Model, weights: Path) -> None:
    """Loads weights into a model; UsageError where they are of another one."""
    try:
        with warnings.catch_warnings(), storage.local(weights) as file:
            warnings.simplefilter("error", UserWarning)  # Keras' word for layers left as they were
            model.load_weights(file)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{weights}: not the weights of {model.name}: {reason}") from None


def load_pytorch(model: keras.Model, weights: Path, whole: bool) -> None:
    """Loads published weights; UsageError where `whole` and they have none of the encoder."""
    encoder = model.get_layer("encoder").weights
    before = [weight.numpy() for weight in encoder]
    load_published(model, weights)
    same = all(np.array_equal(a, b.numpy()) for a, b in zip(before, encoder, strict=True))
    if same and whole:
        raise UsageError(
            f"{weights} has no weights of the encoder; say where they come from: "
            "--encoder-weights imagenet, or the path of a no-top .h5"
        )


def load_partly(model: keras.Model, weights: Path) -> None:
    """Loads weights into a model; layers of a scanpath network may start anew.

    Keras finds layers by their order in a file, which other layers between them change; here they
    are found by their names. Says what was taken.

    Raises:
        UsageError: any other layer is not in the file, is of other shapes, or finds no place.
    """
    there = arrays_of(weights)
    layers = {layer.name: layer for layer in layers_of(model) if own_arrays(layer)}
    anew = [name for name in layers if "scanpath" in name and name not in there]
    if not anew:
        return load_weights(bare(model), weights)
    for name in sorted({*layers, *there} - {*anew}):
        wanted = [array.shape for array in own_arrays(layers[name])] if name in layers else []
        found = [array.shape for array in there.get(name, [])]
        if found != wanted:
            raise UsageError(
                f"{weights}: not the weights of {model.name}: its layer {name} has shapes "
                f"{wanted}, the file {found}"
            )
    for name in {*layers} - {*anew}:
        layers[name].set_weights(there[name])
    logging.info("%d layers are taken; %s start anew", len(there), ", ".join(anew))


def own_arrays(layer: keras.Layer) -> list:
    """The arrays of a layer; none of a model, whose layers are listed themselves."""
    return [] if isinstance(layer, keras.Model) else layer.get_weights()


def arrays_of(weights: Path) -> dict[str, list[np.ndarray]]:
    """The arrays in a file that Keras wrote, by the names of their layers."""
    found = {}

    def collect(_, node):
        if isinstance(node, h5py.Group) and "name" in node.attrs and len(node):
            found[str(node.attrs["name"])] = [node[key][()] for key in sorted(node, key=int)]

    try:
        with storage.local(weights) as copy, h5py.File(copy, "r") as file:
            file.visititems(collect)
    except (OSError, ValueError) as error:
        raise UsageError(f"{weights}: not a file of weights: {error}") from None
    return found
