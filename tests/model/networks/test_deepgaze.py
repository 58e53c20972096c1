"""DeepGaze III: against its description in NumPy float64, and what it promises its users."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from gaze_reference import blur, convolve, distances, layer_norm, resize, softplus
from keras import ops
from scipy import special

from errors import UsageError
from model.networks import deepgaze, density, encoders

SIZE = (32, 48)
NAN = np.nan


def batch(size=SIZE, pictures=2, fixations=1, history=False, seed=0):
    random = np.random.default_rng(seed)
    rows = pictures * fixations
    values = {
        "image": random.uniform(0, 255, (pictures, *size, 3)),
        "valid": np.ones((rows, *size, 1)),
        "centre_bias": random.normal(-7, 1, (pictures, *size, 1)),
    }
    if history:
        values["history"] = random.uniform(0, size[0], (rows, 4, 2))
        values["history"][0, 1:] = NAN
        values["history"][1] = NAN
        values["history"][-1, 3] = NAN
    return {name: value.astype("float32") for name, value in values.items()}


def shake(model, seed=1):
    """Every weight of the read-out moved, so that none could be left out unseen."""
    random = np.random.default_rng(seed)
    for layer in model.get_layer("readout").layers:
        layer.set_weights([w + random.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    return model


def call(model, values):
    return model({name: values[name] for name in model.input})["logits"]


class Reference:
    """One head by the description, on the weights of our layers."""

    def __init__(self, readout, head):
        self.weights = {
            layer.name: [np.asarray(w[head], np.float64) for w in layer.get_weights()]
            for layer in readout.layers
            if layer.weights
        }

    def stage(self, x, name, activation=softplus):
        gain, offset, kernel, *bias = self.weights[name]
        x = convolve(layer_norm(x, gain, offset), kernel)
        return activation(x + bias[0][:, None, None] if bias else x)

    def saliency(self, features, size):
        x = resize(np.moveaxis(features, -1, 0), size[0] // 4, size[1] // 4)
        for name in ("saliency_0", "saliency_1", "saliency_2"):
            x = self.stage(x, name)
        return x

    def scanpath(self, history, size):
        kernel, bias = self.weights["scanpath_0"]
        total = np.zeros((kernel.shape[-1], size[0] // 4, size[1] // 4))
        for index, (x, y) in enumerate(history):
            if np.isnan(x):
                continue
            maps = resize(distances(x, y, size), *total.shape[1:])
            total += convolve(maps, kernel[index]) + bias[index][:, None, None]
        return self.stage(softplus(total), "scanpath_1")

    def log_density(self, features, centre_bias, valid, history=None):
        size = valid.shape
        x = self.stage(self.saliency(features, size), "selection_saliency", np.array)
        if history is not None:
            y = self.scanpath(history, size)
            x = x + self.stage(y, "selection_scanpath", np.array)
        x = self.stage(softplus(x), "selection_1")
        x = convolve(x, self.weights["selection_2"][0])[0]
        log_sigma, weight = self.weights["finalizer"]
        x = blur(x, np.exp(log_sigma)) + weight * resize(centre_bias, *x.shape)
        x = resize(x, *size)
        return x - special.logsumexp(x[valid > 0])


def reference(readout, features, values):
    """(N, H, W): the log-density by the description, a mixture of the read-out's heads."""
    heads = [Reference(readout, k) for k in range(readout.get_layer("finalizer").heads)]
    rows, answers = len(values["valid"]), []
    for row in range(rows):
        picture = row * len(features) // rows
        answers.append(
            special.logsumexp(
                [
                    head.log_density(
                        np.float64(features[picture]),
                        np.float64(values["centre_bias"][picture, ..., 0]),
                        values["valid"][row, ..., 0],
                        np.float64(values["history"][row]) if "history" in values else None,
                    )
                    for head in heads
                ],
                axis=0,
            )
            - np.log(len(heads))
        )
    return np.stack(answers)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("scanpath", [False, True])
def test_equals_its_description_in_float64(scanpath, heads):
    model = shake(deepgaze.build("small", SIZE, scanpath=scanpath, mixture=heads))
    values = batch(fixations=3 if scanpath else 1, history=scanpath)
    # Padding that cuts places in two, but not their first pixels, which are what is sampled.
    values["valid"][-1, :4], values["valid"][-1, 29:] = 0, 0
    features = ops.convert_to_numpy(model.get_layer("encoder")(values["image"]))
    wanted = reference(model.get_layer("readout"), features, values)
    found = density.log_density(call(model, values), values["valid"])
    assert np.ptp(wanted, axis=(1, 2)).min() > 0.3  # not a flat map, on which all would agree
    inside = values["valid"][..., 0] > 0
    np.testing.assert_allclose(found[..., 0][inside], wanted[inside], atol=1e-5, rtol=0)


def test_features_of_a_size_that_does_not_divide_are_resized_as_described():
    """7x5 features for a grid of 10x12: places repeat unequally, and count so in the statistics."""
    size, shape = (40, 48), (7, 5, 16)
    readout = deepgaze._readout(shape, size, False, "none", 2)
    model = shake(keras.Model(readout.input, readout(readout.input)))
    features = np.random.default_rng(2).normal(3, 2, (2, *shape)).astype("float32")
    values = batch(size) | {"features": features}
    found = density.log_density(call(model, values), values["valid"])[..., 0]
    np.testing.assert_allclose(found, reference(readout, features, values), atol=1e-5, rtol=0)


def test_centre_stands_in_for_missing_fixations():
    models = [
        shake(deepgaze.build("small", SIZE, scanpath=True, missing=missing), seed=3)
        for missing in ("none", "centre")
    ]
    models[1].set_weights(models[0].get_weights())
    values = batch(fixations=3, history=True)
    filled = values | {
        "history": np.where(np.isnan(values["history"]), np.float32([24, 16]), values["history"])
    }
    without, centred = (ops.convert_to_numpy(call(model, values)) for model in models)
    np.testing.assert_array_equal(centred, call(models[0], filled))
    assert np.abs(centred - without)[1].max() > 1e-3


def test_a_fixation_depends_on_its_own_history_and_picture_alone():
    model = shake(deepgaze.build("small", SIZE, scanpath=True))
    values = batch(fixations=3, history=True)
    whole = ops.convert_to_numpy(call(model, values))
    for row in (0, 2, 3):
        one = {
            name: value[row : row + 1] if len(value) == 6 else value[row // 3][None]
            for name, value in values.items()
        }
        np.testing.assert_allclose(call(model, one), whole[row : row + 1], atol=1e-5)


def test_fixations_per_picture_may_change_inside_one_graph():
    model = deepgaze.build("small", SIZE, scanpath=True)
    free = {k: tf.TensorSpec((None, *v.shape[1:])) for k, v in batch(history=True).items()}
    graph = tf.function(lambda values: call(model, values), input_signature=[free])
    for pictures, fixations in ((2, 3), (1, 2)):
        values = batch(pictures=pictures, fixations=fixations, history=True)
        np.testing.assert_allclose(graph(values), call(model, values), atol=1e-5)


def gradients(model, values):
    encoder = [weight.value for weight in model.get_layer("encoder").weights]
    with tf.GradientTape() as tape:
        tape.watch(encoder)
        found = density.log_density(call(model, values), values["valid"])
        loss = -tf.reduce_mean(found[:, 9, 13])
    sources = {"read-out": model.trainable_variables, "encoder": encoder}
    return dict(zip(sources, tape.gradient(loss, [*sources.values()]), strict=True))


@pytest.mark.parametrize("missing", ["none", "centre"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_gradients_are_finite_and_stop_before_the_encoder(policy, missing):
    keras.config.set_dtype_policy(policy)
    try:
        model = deepgaze.build("small", SIZE, scanpath=True, missing=missing, mixture=2)
    finally:
        keras.config.set_dtype_policy("float32")
    values = batch(fixations=3, history=True)
    values["history"][0, 0] = (12.0, 8.0)  # on a place itself: the root of 0 has no slope
    found = gradients(model, values)
    assert found["encoder"] == [None] * len(found["encoder"])
    assert not model.get_layer("encoder").trainable_variables
    assert len(model.trainable_variables) == len(found["read-out"]) == 32
    for variable, gradient in zip(model.trainable_variables, found["read-out"], strict=True):
        assert np.isfinite(gradient).all(), variable.path
    assert call(model, values).dtype == "float32"


def test_slope_of_the_blur_is_the_difference_quotient():
    """Only that of the kernel; its length, like the published model's, has none."""
    maps = np.random.default_rng(4).normal(size=(1, 1, 9, 11))
    target = np.random.default_rng(5).normal(size=maps.shape)

    def value(sigma):
        return ops.sum(density.blur(maps, ops.convert_to_tensor([sigma], "float64"), 20) * target)

    sigma = tf.Variable(1.5, dtype="float64")
    with tf.GradientTape() as tape:
        loss = value(sigma)
    wanted = (value(1.5 + 1e-6) - value(1.5 - 1e-6)) / 2e-6
    np.testing.assert_allclose(tape.gradient(loss, sigma), wanted, rtol=1e-6)


def test_half_precision_answers_nearly_the_same():
    single = shake(deepgaze.build("small", SIZE, scanpath=True))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = deepgaze.build("small", SIZE, scanpath=True)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(single.get_weights())
    values = batch(fixations=3, history=True)
    found, wanted = (density.log_density(call(m, values), values["valid"]) for m in (half, single))
    np.testing.assert_allclose(found, wanted, atol=0.1)


def test_spatial_weights_find_their_place_in_a_scanpath_model():
    models = [deepgaze.build("small", SIZE, scanpath=scanpath) for scanpath in (False, True)]
    spatial, scanpath = (
        {
            layer.name: [tuple(weight.shape) for weight in layer.weights]
            for layer in model.get_layer("readout").layers
            if layer.weights
        }
        for model in models
    )
    added = {"scanpath_0", "scanpath_1", "selection_scanpath"}
    assert spatial == {name: shapes for name, shapes in scanpath.items() if name not in added}
    assert added < set(scanpath)


def test_weights_survive_a_file(tmp_path):
    first, second = (deepgaze.build("small", SIZE, scanpath=True, mixture=2) for _ in range(2))
    shake(first).save_weights(tmp_path / "gaze.weights.h5")
    second.load_weights(tmp_path / "gaze.weights.h5")
    values = batch(fixations=3, history=True)
    np.testing.assert_array_equal(call(first, values), call(second, values))


@pytest.mark.parametrize("heads", [1, 2])
def test_padding_does_not_touch_the_picture(heads):
    """Sides that are no multiple of 4, and centre bias as the pipeline pads it: with 0."""
    model = shake(deepgaze.build("small", SIZE, mixture=heads))
    values = batch()
    valid = np.zeros_like(values["valid"])
    valid[:, 3:29, 6:43] = 1
    found = []
    for padding in (0.0, -50.0):
        bias = np.where(valid > 0, np.float32(-7), np.float32(padding))
        logits = call(model, values | {"valid": valid, "centre_bias": bias})
        found.append(ops.convert_to_numpy(density.log_density(logits, valid)))
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(np.exp(found[0]).sum((1, 2, 3), where=valid > 0), 1, rtol=1e-5)
    assert found[0][valid > 0].min() > -12  # 962 pixels: -6.9 on average


def test_rows_without_a_valid_pixel_harm_nothing():
    model = deepgaze.build("small", SIZE, scanpath=True, mixture=2)
    values = batch(fixations=3, history=True)
    values["valid"][5] = 0
    found = gradients(model, values)["read-out"]
    assert all(np.isfinite(gradient).all() for gradient in found)


def test_cached_features_give_what_pictures_do():
    model = deepgaze.build("small", SIZE, scanpath=True)
    values = batch(fixations=3, history=True)
    features = ops.convert_to_numpy(model.get_layer("encoder")(values["image"]))
    readout = model.get_layer("readout")
    assert set(readout.input) == {"features", "valid", "centre_bias", "history"}
    found = call(readout, values | {"features": features})
    np.testing.assert_allclose(found, call(model, values), atol=1e-6)


@pytest.mark.parametrize(("name", "channels"), [("vgg16", 1792), ("small", 128)])
def test_taps_are_those_of_the_encoder_after_their_relu(name, channels):
    encoder = encoders.taps(name, (64, 96))
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    found = ops.convert_to_numpy(encoder(image))
    assert found.shape == (1, 8, 12, channels) and np.isfinite(found).all()
    assert found.min() == 0
    assert encoder.trainable_variables == []
    parts = [keras.Model(encoder.input, encoder.get_layer(t).output) for t in encoders.TAPS[name]]
    wanted = np.concatenate([part(image) for part in parts], axis=-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_densenet_taps_are_those_of_keras_plain_network(dense):
    plain = keras.applications.DenseNet201(include_top=False, weights=None)
    encoder = encoders.taps("densenet201", (64, 104))
    for layer in encoder.layers:
        if layer.weights:
            layer.set_weights(plain.get_layer(layer.name).get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 104, 3)).astype("float32")
    names = map(dense, ("conv5_block32_0_bn", "conv5_block32_1_conv", "conv5_block31_2_conv"))
    wanted = keras.Model(plain.input, [plain.get_layer(name).output for name in names])(
        keras.applications.densenet.preprocess_input(image.copy())
    )
    found = encoder(image, training=True)  # frozen: the batch's own statistics must not matter
    assert found.shape[:3] == (1, 2, 3)
    np.testing.assert_allclose(found, np.concatenate(wanted, axis=-1), rtol=1e-3, atol=1e-4)


def test_size_must_be_divisible_by_eight():
    with pytest.raises(UsageError, match="60x64.*divisible by 8"):
        deepgaze.build("densenet201", (60, 64))
