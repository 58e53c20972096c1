"""Files of weights: whole, of a spatial model into one with scanpaths, of another model."""

import logging
import shutil

import h5py
import keras
import pytest
from helpers import one_line, same

from errors import UsageError
from model.checkpoints import weights
from model.checkpoints.folders import beside
from model.networks import deepgaze
from model.training.trainer import layers_of

SIZE = (32, 32)


def spatial(seed=0, **given):
    keras.utils.set_random_seed(seed)
    return deepgaze.build("small", SIZE, **given)


def table(model):
    """Every layer's arrays by its name."""
    found = [layer for layer in layers_of(model) if not isinstance(layer, keras.Model)]
    return {layer.name: layer.get_weights() for layer in found if layer.weights}


def load(model, path, partly=True):
    weights.load_weights(model, beside(path), partly=partly)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "own.weights.h5"
    weights.write_weights(path, spatial())
    return path


def test_a_file_gives_back_every_array(file):
    model = spatial(seed=1)
    assert not same(table(model), table(spatial()))
    load(model, file)
    assert same(table(model), table(spatial()))


def test_a_spatial_model_starts_one_with_scanpaths(file, caplog):
    model, fresh = spatial(seed=1, scanpath=True), table(spatial(seed=1, scanpath=True))
    with caplog.at_level(logging.INFO):
        load(model, file)
    before, after = table(spatial()), table(model)
    assert set(after) - set(before) == {"scanpath_0", "scanpath_1", "selection_scanpath"}
    for name, arrays in after.items():
        assert same(arrays, before.get(name) or fresh[name])
    assert not same(fresh["saliency_0"], before["saliency_0"])
    assert f"{len(before)} layers are taken; scanpath_0, scanpath_1, selection_scanpath start anew"\
        in caplog.text  # fmt: skip


def test_weights_of_other_shapes_are_refused_and_nothing_is_changed(file):
    model = spatial(seed=1, scanpath=True, mixture=2)
    before = table(model)
    with one_line("its finalizer/centre_bias_weight has the shape .2,., the file .1,."):
        load(model, file)
    assert same(table(model), before)


def test_a_layer_that_is_no_scanpaths_may_not_be_missing(file, tmp_path):
    part = tmp_path / "part.weights.h5"
    shutil.copy(file, part)
    with h5py.File(part, "r+") as content:
        del content["finalizer"]
    with one_line("its finalizer/centre_bias_weight has the shape .1,., the file None"):
        load(spatial(scanpath=True), part)


def test_a_layer_that_finds_no_place_is_refused(file):
    inputs = keras.Input((4,), name="image")
    model = keras.Model(inputs, keras.layers.Dense(3, name="scanpath_0")(inputs))
    with pytest.raises(UsageError, match="its conv1/bias has the shape None, the file"):
        load(model, file)


@pytest.mark.parametrize("scanpath", [False, True])
def test_what_is_no_file_of_weights_is_one_line(tmp_path, scanpath):
    path = tmp_path / "x.weights.h5"
    path.write_text("no HDF5")
    with one_line("not "):
        load(spatial(scanpath=scanpath), path)


def test_weights_of_another_model_are_one_line(file):
    inputs = keras.Input((4,), name="image")
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    with one_line("not the weights of"):
        load(model, file, partly=False)


def test_published_weights_without_an_encoder(tmp_path, monkeypatch):
    """Not where the encoder's weights were to come from the file; fine where from elsewhere."""
    model = spatial()
    encoder = model.get_layer("encoder")

    def read_out_alone(model, path):
        layer = model.get_layer("readout").get_layer("selection_2")
        layer.set_weights([x + 1 for x in layer.get_weights()])

    monkeypatch.setattr(weights, "load_published", read_out_alone)
    with pytest.raises(UsageError, match="a.pth has no weights of the encoder; .*imagenet"):
        weights.load_pytorch(model, tmp_path / "a.pth", whole=True)
    weights.load_pytorch(model, tmp_path / "a.pth", whole=False)

    def both(model, path):
        encoder.set_weights([x + 1 for x in encoder.get_weights()])

    monkeypatch.setattr(weights, "load_published", both)
    weights.load_pytorch(model, tmp_path / "a.pth", whole=True)
