"""MSI-Net: the contract of every model, on every encoder and head, and the paper's figures."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from model.checkpoints.folders import beside
from model.checkpoints.weights import load_weights, write_weights
from model.metrics import densities
from model.networks import density, encoders, msinet

HEADS = ("softmax", "minmax")
SIZE = (32, 48)


def batch(size=SIZE, count=2):
    random = np.random.default_rng(0)
    truth = random.uniform(size=(count, *size, 1)).astype("float32")
    valid = np.ones((count, *size, 1), "float32")
    valid[:, :8] = 0
    truth *= valid
    return {
        "image": random.uniform(0, 255, (count, *size, 3)).astype("float32"),
        "density": truth / truth.sum((1, 2, 3), keepdims=True),
        "valid": valid,
    }


def predict(model, values):
    logits = model({key: values[key] for key in model.input})["logits"]
    return density.log_density(logits, values["valid"])


def check_model(model, values):
    """What every model keeps: inputs named after the batch, one output, a density, gradients."""
    import tensorflow as tf

    assert set(model.input) <= set(values)
    logits = model({key: values[key] for key in model.input})["logits"]
    assert tuple(logits.shape) == values["valid"].shape
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    with tf.GradientTape() as tape:
        result = predict(model, values)
        loss = ops.mean(densities.kld(values["density"], result))
    np.testing.assert_allclose(
        ops.sum(ops.exp(result) * values["valid"], axis=(1, 2, 3)), 1, rtol=1e-4
    )
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    assert all(np.isfinite(ops.convert_to_numpy(gradient)).all() for gradient in gradients)
    assert np.abs(ops.convert_to_numpy(gradients[0])).max() > 0


def check_step(model):
    """One step against the gradient's signs lowers the loss of the batch that it was made on."""
    import tensorflow as tf

    values = batch(count=1)
    with tf.GradientTape() as tape:
        before = ops.mean(densities.kld(values["density"], predict(model, values)))
    gradients = tape.gradient(before, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(1e-5 * ops.sign(gradient))
    after = ops.mean(densities.kld(values["density"], predict(model, values)))
    assert float(after) < float(before)


@pytest.mark.parametrize(
    ("encoder", "head"), [("vgg16", "softmax"), ("small", "softmax"), ("small", "minmax")]
)
def test_every_model_keeps_the_contract_and_learns(encoder, head):
    keras.utils.set_random_seed(0)
    model = msinet.build(encoder, SIZE, head)
    check_model(model, batch())
    check_step(model)


def test_densenet201_keeps_the_contract_and_learns(dense):
    keras.utils.set_random_seed(0)
    model = msinet.build("densenet201", SIZE, "softmax")
    check_model(model, batch())
    check_step(model)


@pytest.mark.parametrize("head", HEADS)
def test_mixed_precision_keeps_float32_logits(head):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras.utils.set_random_seed(0)
        model = msinet.build("small", SIZE, head)
        check_model(model, batch())
        features = model.get_layer("encoder")(batch()["image"])
        assert keras.backend.standardize_dtype(features[0].dtype) == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("head", HEADS)
def test_parameters_are_the_papers(head):
    assert msinet.build("vgg16", (16, 16), head).count_params() == 24_934_209


def test_small_is_small():
    assert 100_000 < msinet.build("small", (16, 16), "softmax").count_params() < 300_000


def test_only_minmax_looks_at_padding():
    assert set(msinet.build("small", SIZE, "softmax").input) == {"image"}
    assert set(msinet.build("small", SIZE, "minmax").input) == {"image", "valid"}


def test_minmax_by_hand():
    scores = np.float32([[-2, 0, 2], [6, 9, -9]]).reshape(1, 2, 3, 1)
    valid = np.float32([[1, 1, 1], [1, 0, 0]]).reshape(1, 2, 3, 1)
    found = ops.exp(msinet.log_minmax(ops.convert_to_tensor(scores), valid))
    np.testing.assert_allclose(
        ops.reshape(found, (2, 3)), [[1e-7, 0.25, 0.5], [1, 1e-7, 1e-7]], rtol=1e-5
    )


def test_minmax_of_a_constant_is_flat():
    found = msinet.log_minmax(ops.ones((1, 2, 3, 1)), ops.ones((1, 2, 3, 1)))
    np.testing.assert_allclose(found, np.log(1e-7), rtol=1e-5)


def test_same_seed_same_logits():
    values, logits = batch(), []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        logits.append(np.array(predict(msinet.build("small", SIZE, "softmax"), values)))
    np.testing.assert_array_equal(*logits)


def test_a_start_is_not_far_from_flat():
    """A start with logits in the hundreds would spend its first epoch on forgetting them."""
    keras.utils.set_random_seed(0)
    values = batch()
    result = predict(msinet.build("small", SIZE, "softmax"), values)
    flat = density.log_density(np.zeros_like(values["valid"]), values["valid"])
    extra = densities.kld(values["density"], result) - densities.kld(values["density"], flat)
    assert float(ops.max(extra)) < 0.5


def test_weights_survive_a_file(tmp_path):
    values = batch()
    first = msinet.build("small", SIZE, "softmax")
    first.save_weights(tmp_path / "model.checkpoints.weights.h5")
    second = msinet.build("small", SIZE, "softmax")
    second.load_weights(tmp_path / "model.checkpoints.weights.h5")
    np.testing.assert_array_equal(predict(first, values), predict(second, values))


def with_gradients(layer, x, upstream):
    """What a layer gives, and the gradients of its sum, weighted by `upstream`."""
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = tf.reduce_sum(y * upstream)
    return y, *tape.gradient(total, [x, *layer.trainable_variables])


def check_same(first, second, x, upstream):
    found = zip(*(with_gradients(layer, x, upstream) for layer in (first, second)), strict=True)
    for one, other in found:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("dilation", [2, 4, 12])
@pytest.mark.parametrize("size", [(30, 40), (13, 5), (4, 26), (2, 3)])
def test_products_are_a_dilated_convolution(size, dilation):
    """Also where rows or columns of the kernel see nothing but padding."""
    random = np.random.default_rng(0)
    given = {"padding": "same", "dilation_rate": dilation, "activation": "tanh"}
    ours, keras_own = (kind(4, 3, **given) for kind in (msinet.ByProducts, layers.Conv2D))
    x = random.normal(size=(2, *size, 6)).astype("float32")
    for layer in (ours, keras_own):
        layer.build(x.shape)
    ours.set_weights([random.normal(size=w.shape) for w in ours.get_weights()])
    keras_own.set_weights(ours.get_weights())
    check_same(ours, keras_own, x, random.normal(size=(2, *size, 4)).astype("float32"))


def test_halfway_by_hand():
    wanted = [[4, 0, 0], [3, 1, 0], [1, 3, 0], [0, 3, 1], [0, 1, 3], [0, 0, 4]]
    np.testing.assert_array_equal(msinet.halfway(3), np.divide(wanted, 4))
    np.testing.assert_array_equal(msinet.halfway(1), [[1], [1]])


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (30, 7)])
def test_doubling_is_bilinear(size):
    random = np.random.default_rng(0)
    x = random.normal(size=(2, *size, 3)).astype("float32")
    upstream = random.normal(size=(2, 2 * size[0], 2 * size[1], 3)).astype("float32")
    products, keras_own = (
        kind(interpolation="bilinear", dtype=keras.DTypePolicy("float64" if ours else "float32"))
        for kind, ours in ((msinet.Doubled, True), (layers.UpSampling2D, False))
    )
    found = with_gradients(products, x.astype("float64"), upstream.astype("float64"))
    wanted = with_gradients(keras_own, x, upstream)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ["vgg16", "small"])
@pytest.mark.parametrize("ours", [False, True])
def test_either_kind_of_layers_takes_the_others_weights(encoder, ours, tmp_path, monkeypatch):
    """The network of a GPU: without products, and without splitting. Its weights in files of ours,
    and as Keras itself has them, which is how those of earlier runs are."""
    values, file = batch(), tmp_path / "model.weights.h5"
    with monkeypatch.context() as patch:
        patch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
        patch.setattr(msinet, "Doubled", layers.UpSampling2D)
        whole = functools.partial(encoders.vgg16, whole=True)
        patch.setitem(encoders.ENCODERS, "vgg16", whole)
        earlier = msinet.build(encoder, SIZE, "softmax")
    now = msinet.build(encoder, SIZE, "softmax")
    kinds = [type(model.get_layer("aspp_dilated4")) for model in (earlier, now)]
    assert kinds == [layers.Conv2D, msinet.ByProducts]
    if ours:
        write_weights(file, earlier)
    else:
        earlier.save_weights(file)
    load_weights(now, beside(file))
    answers = [model({"image": values["image"]})["logits"] for model in (earlier, now)]
    np.testing.assert_allclose(*answers, atol=1e-5 * np.abs(answers[0]).max())
