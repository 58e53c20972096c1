"""MSI-Net: a contextual encoder-decoder network (Kroner et al., Neural Networks 129, 2020)."""

import keras
import numpy as np
from keras import layers, ops

from model.networks import encoders

_EPSILON = 1e-7
_WIDTHS = {"small": 32}


def build(encoder, size, head, weights="none"):
    """Return MSI-Net on `encoder` for pictures of size (H, W), both divisible by 8.

    Inputs: `image` (B, H, W, 3), RGB 0..255; for the head `minmax` also `valid` (B, H, W, 1).
    Output: {"logits": (B, H, W, 1)}, float32 under every dtype policy. `head`: `softmax` gives
    the last convolution as it is, `minmax` the logarithm of its values scaled to 0..1 over the
    valid pixels, as in the paper. `weights` are the encoder's, see encoders.build.
    """
    image = keras.Input((*size, 3), name="image", dtype="float32")
    inputs = {"image": image}
    features = encoders.build(encoder, size, weights)(image)
    width = _WIDTHS.get(encoder, 256)
    x = layers.Concatenate(name="features")(features)
    logits = _decoder(_aspp(x, width), width, head)
    if head == "minmax":
        inputs["valid"] = keras.Input((*size, 1), name="valid", dtype="float32")
        logits = log_minmax(logits, inputs["valid"])
    return keras.Model(inputs, {"logits": logits}, name=f"msinet_{encoder}")


def log_minmax(scores, valid):
    """Return log(scores scaled to 0..1 over the valid pixels + 1e-7); (B, H, W, 1) each."""
    inside = ops.greater(valid, 0)
    top = ops.max(scores, axis=(1, 2, 3), keepdims=True)
    low = ops.min(ops.where(inside, scores, top), axis=(1, 2, 3), keepdims=True)
    high = ops.max(ops.where(inside, scores, low), axis=(1, 2, 3), keepdims=True)
    # Outside, scores may lie below the minimum, where the logarithm has no value.
    scaled = ops.where(inside, ops.divide(scores - low, high - low + _EPSILON), 0.0)
    return ops.log(scaled + _EPSILON)


def _conv(filters, size, name, dilation=1):
    kind = dilated() if dilation > 1 else layers.Conv2D
    return kind(
        filters,
        size,
        padding="same",
        dilation_rate=dilation,
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )


def dilated():
    """Return what computes dilated convolutions: Keras' own where there is a GPU or a TPU."""
    first, *_ = keras.distribution.list_devices()  # CPUs where there is nothing else
    return ByProducts if first.startswith("cpu") else layers.Conv2D


class ByProducts(layers.Conv2D):
    """A dilated 3x3 convolution by products of matrices, for processors.

    TensorFlow pads its input, takes it apart into dilation * dilation small pictures and convolves
    those, which a processor is three to six times as long at. Here a product for each row of the
    kernel gives what every place adds to three others, a product with zeros and ones brings that
    there within its row, a last one into its row.
    """

    def call(self, inputs):
        _, height, width, channels = inputs.shape
        kernel = ops.transpose(self.kernel, (0, 2, 1, 3))
        kernel = ops.reshape(kernel, (3, channels, 3 * self.filters))
        across = np.stack([np.eye(width, k=away) for away in self.away], axis=-1)
        across = ops.cast(across.reshape(width, 3 * width), inputs.dtype)
        products, ways = [], []
        for away, weights in zip(self.away, ops.unstack(kernel, 3), strict=True):
            first, last = max(away, 0), height + min(away, 0)
            if first >= last:  # all that this row of the kernel sees is padding
                continue
            x = rows(inputs, first, last) if away else inputs
            x = ops.matmul(ops.reshape(x, (-1, channels)), weights)
            x = ops.matmul(across, ops.reshape(x, (-1, 3 * width, self.filters)))
            products.append(ops.reshape(x, (-1, last - first, width * self.filters)))
            ways.append(np.eye(height, k=away)[:, first:last])
        down = ops.cast(np.concatenate(ways, axis=1), inputs.dtype)
        x = ops.matmul(down, ops.concatenate(products, axis=1))
        x = ops.reshape(x, (-1, height, width, self.filters))
        return self.activation(ops.add(x, self.bias))

    @property
    def away(self):
        """How far from a place lies what the rows, or columns, of the kernel see."""
        return -self.dilation_rate[0], 0, self.dilation_rate[0]


def rows(x, first, last):
    """Return x[:, first:last], whose gradient TensorFlow is slow at."""
    batch, *shape = ops.shape(x)
    return ops.slice(x, (0, first, 0, 0), (batch, last - first, *shape[1:]))


class Doubled(layers.UpSampling2D):
    """Bilinear interpolation to twice the height and width: (B, H, W, C) -> (B, 2 H, 2 W, C).

    TensorFlow interpolates in float32 alone. In other types products of matrices are faster than
    that, its casts and its clipping: on a processor by three times, the gradient by six.
    """

    def call(self, inputs):
        if self.compute_dtype == "float32":
            return super().call(inputs)
        _, height, width, channels = inputs.shape
        x = ops.reshape(inputs, (-1, width, channels))
        x = ops.matmul(ops.cast(halfway(width), inputs.dtype), x)
        x = ops.reshape(x, (-1, height, 2 * width * channels))
        x = ops.matmul(ops.cast(halfway(height), inputs.dtype), x)
        return ops.reshape(x, (-1, 2 * height, 2 * width, channels))


def halfway(count):
    """Return (2 count, count): how much of each of `count` places is in each of twice as many."""
    places = np.clip((np.arange(2 * count) - 0.5) / 2, 0, count - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(count)))


def _aspp(x, width):
    """Apply atrous convolutions: one view of the point, three of its surroundings, one of all."""
    branches = [_conv(width, 1, "aspp_point")(x)]
    for dilation in (4, 8, 12):
        branches.append(_conv(width, 3, f"aspp_dilated{dilation}", dilation)(x))
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    mean = _conv(width, 1, "aspp_global")(mean)
    branches.append(ops.add(ops.zeros_like(branches[0]), mean))
    return _conv(width, 1, "aspp_fuse")(layers.Concatenate(name="aspp")(branches))


def _decoder(x, width, head):
    for index, divisor in enumerate((2, 4, 8), start=1):
        x = Doubled(interpolation="bilinear", name=f"decoder_up{index}")(x)
        x = _conv(width // divisor, 3, f"decoder_conv{index}")(x)
    # Encoder features come in hundreds. A small last kernel lets a softmax start near the uniform
    # density instead of 17 nats away; scaled to 0..1 it would only make steps large, and round-off.
    small = keras.initializers.RandomNormal(stddev=1e-4)
    start = small if head == "softmax" else "glorot_uniform"
    return layers.Conv2D(
        1, 3, padding="same", kernel_initializer=start, dtype="float32", name="decoder_logits"
    )(x)
