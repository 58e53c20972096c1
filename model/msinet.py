"""MSI-Net: a contextual encoder-decoder network (Kroner et al., Neural Networks 129, 2020)."""

import keras
from keras import layers, ops

from model import encoders

_EPSILON = 1e-7
_WIDTHS = {"small": 32}


def build(encoder, size, head, weights="none"):
    """MSI-Net on `encoder` for pictures of size (H, W), both divisible by 8.

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
    """log(scores scaled to 0..1 over the valid pixels + 1e-7); (B, H, W, 1) each."""
    inside = ops.greater(valid, 0)
    top = ops.max(scores, axis=(1, 2, 3), keepdims=True)
    low = ops.min(ops.where(inside, scores, top), axis=(1, 2, 3), keepdims=True)
    high = ops.max(ops.where(inside, scores, low), axis=(1, 2, 3), keepdims=True)
    # Outside, scores may lie below the minimum, where the logarithm has no value.
    scaled = ops.where(inside, ops.divide(scores - low, high - low + _EPSILON), 0.0)
    return ops.log(scaled + _EPSILON)


def _conv(filters, size, name, dilation=1):
    return layers.Conv2D(
        filters,
        size,
        padding="same",
        dilation_rate=dilation,
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )


def _aspp(x, width):
    """Atrous spatial pyramid: one view of the point, three of its surroundings, one of all."""
    branches = [_conv(width, 1, "aspp_point")(x)]
    for dilation in (4, 8, 12):
        branches.append(_conv(width, 3, f"aspp_dilated{dilation}", dilation)(x))
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    mean = _conv(width, 1, "aspp_global")(mean)
    branches.append(ops.add(ops.zeros_like(branches[0]), mean))
    return _conv(width, 1, "aspp_fuse")(layers.Concatenate(name="aspp")(branches))


def _decoder(x, width, head):
    for index, divisor in enumerate((2, 4, 8), start=1):
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"decoder_up{index}")(x)
        x = _conv(width // divisor, 3, f"decoder_conv{index}")(x)
    # Encoder features come in hundreds. A small last kernel lets a softmax start near the uniform
    # density instead of 17 nats away; scaled to 0..1 it would only make steps large, and round-off.
    small = keras.initializers.RandomNormal(stddev=1e-4)
    start = small if head == "softmax" else "glorot_uniform"
    return layers.Conv2D(
        1, 3, padding="same", kernel_initializer=start, dtype="float32", name="decoder_logits"
    )(x)
