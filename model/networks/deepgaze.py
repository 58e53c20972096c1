"""DeepGaze III: a small read-out of frozen features and of the last fixations.

Kuemmerer, Bethge & Wallis, Journal of Vision 2022, 10.1167/jov.22.5.7. Inside the read-out a map is
(K, B, S, C): K heads, S = height x width places, so that a 1x1 convolution is a product of
matrices. The saliency network works at the features' own resolution: nearest resizing commutes with
all that it does, once its statistics count each place as often as resizing repeats it.
"""

import keras
import numpy as np
from keras import layers, ops

from model.networks import density, encoders

READOUT = 4  # pixels of the input to a place of the read-out, in each direction
HISTORY = 4  # fixations that the next one depends on
_SIGMA = 8.0
_EPSILON = 1e-12


def build(encoder, size, weights="none", *, scanpath=False, missing="none", mixture=1):
    """Return DeepGaze III on the taps of `encoder`, for pictures of (H, W), multiples of 8.

    Inputs: `image` (P, H, W, 3), RGB 0..255; `valid` (N, H, W, 1); `centre_bias` (P, H, W, 1), a
    log-density in nats; with `scanpath` also `history` (N, 4, 2): x, y of the earlier fixations,
    the last one first, in pixels of the input, NaN where there was none. N = P F: picture i is that
    of the rows i F .. (i + 1) F. Output: {"logits": (N, H, W, 1)}, float32, constant over squares
    of 4x4 pixels: a log-density but for its normalisation over the valid pixels.

    A fixation that is missing adds nothing (`missing="none"`), or counts as one on the centre of
    the input (`"centre"`; padding lies around the picture, so that is the picture's own, to half a
    pixel). `mixture`: how many heads. `weights` are the encoder's, see encoders.build.

    The layer `encoder` is frozen, and no gradient reaches it. The layer `readout` is a model of its
    own, of (P, h, w, C) `features` and of the inputs above but `image`.
    """
    eyes = encoders.taps(encoder, size, weights)
    shape = eyes.output.shape[1:]
    readout = _readout(shape, size, scanpath, missing, mixture)
    inputs = {"image": keras.Input((*size, 3), name="image", dtype="float32")}
    inputs |= {name: _input(name, size) for name in readout.input if name != "features"}
    features = ops.stop_gradient(eyes(inputs["image"]))
    rest = {name: tensor for name, tensor in inputs.items() if name != "image"}
    outputs = readout({"features": features, **rest})
    return keras.Model(inputs, outputs, name=f"deepgaze_{encoder}")


def _input(name, size):
    shape = (HISTORY, 2) if name == "history" else (*size, 1)
    return keras.Input(shape, name=name, dtype="float32")


def _readout(shape, size, scanpath, missing, heads):
    """Return (P, h, w, C) features and the rest of the inputs -> {"logits": (N, H, W, 1)}."""
    names = ("valid", "centre_bias", "history") if scanpath else ("valid", "centre_bias")
    inputs = {"features": keras.Input(shape, name="features", dtype="float32")}
    inputs |= {name: _input(name, size) for name in names}
    grid = tuple(side // READOUT for side in size)
    x = _saliency(inputs["features"], grid, heads)
    x = Pointwise(128, heads, activation=None, name="selection_saliency")(x)
    if scanpath:
        y = History(128, heads, size, missing, name="scanpath_0")(inputs["history"])
        y = Pointwise(16, heads, name="scanpath_1")(y)
        y = Pointwise(128, heads, bias=False, activation=None, name="selection_scanpath")(y)
        x = PerPicture(name="selection_sum")([x, y])
    x = layers.Activation("softplus", name="selection_0")(x)
    x = Pointwise(16, heads, name="selection_1")(x)
    x = Pointwise(
        1, heads, normalise=False, bias=False, activation=None, dtype="float32", name="selection_2"
    )(x)
    x = ops.reshape(x, (heads, -1, *grid))
    logits = Finalizer(heads, name="finalizer")([x, inputs["centre_bias"], inputs["valid"]])
    return keras.Model(inputs, {"logits": logits}, name="readout")


def _saliency(features, grid, heads):
    """Apply the saliency network: (P, h, w, C) -> (K, P, S, 1)."""
    height, width, channels = features.shape[1:]
    rows, columns = (_nearest(*pair) for pair in zip((height, width), grid, strict=True))
    repeats = np.outer(np.bincount(rows, minlength=height), np.bincount(columns, minlength=width))
    x = ops.reshape(features, (1, -1, height * width, channels))
    for index, filters in enumerate((8, 16, 1)):
        x = Pointwise(filters, heads, repeats.ravel(), name=f"saliency_{index}")(x)
    places = (rows[:, None] * width + columns).ravel()
    return ops.take(x, places, axis=2)


def _nearest(source, target):
    """Return the place of `source` that PyTorch's nearest resizing takes for each of `target`."""
    return np.arange(target) * source // target


class Pointwise(layers.Layer):
    """Joint LayerNorm, 1x1 convolution, bias and softplus: (K | 1, B, S, C) -> (K, B, S, filters).

    Mean and variance are over places and channels together, gain and offset are per channel.
    `repeats` (S,): how often each place counts in them; None for once.
    """

    def __init__(
        self, filters, heads, repeats=None, normalise=True, bias=True, activation="softplus", **rest
    ):
        super().__init__(**rest)
        self.filters, self.heads, self.repeats = filters, heads, repeats
        self.normalise, self.use_bias = normalise, bias
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        places, channels = shape[2:]
        repeats = np.ones(places) if self.repeats is None else self.repeats
        self.shares = (repeats / repeats.sum()).astype("float32")
        if self.normalise:
            self.gain = self.add_weight((self.heads, channels), "ones", name="gain")
            self.offset = self.add_weight((self.heads, channels), "zeros", name="offset")
        self.kernel = self.add_weight(
            (self.heads, channels, self.filters), _uniform(channels), name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight((self.heads, self.filters), "zeros", name="bias")

    def call(self, x):
        x = self._normalised(x) if self.normalise else _project(x, self.kernel)
        if self.use_bias:
            x = x + self.bias[:, None, None]
        return self.activation(x)

    def _normalised(self, x):
        """Convolve the normalised input; gain and deviation go where there is less.

        An input that is nearly constant (no fixation before) has round-off of its mean for a
        deviation, so the mean is taken out twice. The first time needs no gradient.
        """
        x = ops.cast(x, "float32")
        x = x - ops.stop_gradient(self._mean(x))
        mean = self._mean(x)
        variance = ops.maximum(self._mean(ops.square(x)) - ops.square(mean), 0.0)
        inverse = ops.rsqrt(variance + _EPSILON)
        if self.kernel.shape[1] <= self.filters:
            x = ops.cast((x - mean) * inverse, self.compute_dtype)
            return _project(x * self.gain[:, None, None] + self.offset[:, None, None], self.kernel)
        kernel = self.gain[..., None] * self.kernel
        x = ops.cast(_project(ops.cast(x, self.compute_dtype), kernel), "float32")
        total = ops.cast(ops.sum(kernel, axis=1), "float32")[:, None, None]
        x = (x - mean * total) * inverse
        shift = ops.matmul(self.offset[:, None], self.kernel)[:, None]
        return ops.cast(x, self.compute_dtype) + shift

    def _mean(self, x):
        """Average over places and channels: (K, B, S, C) -> (K, B, 1, 1)."""
        return ops.sum(ops.multiply(ops.mean(x, axis=-1), self.shares), axis=-1)[..., None, None]


def _project(x, kernel):
    """Multiply (K | 1, B, S, C) by (K, C, D) -> (K, B, S, D).

    In three dimensions: with four, one head crashes TensorFlow 2.21 on processors (oneDNN).
    """
    flat = ops.reshape(x, (x.shape[0], -1, x.shape[3]))
    return ops.reshape(ops.matmul(flat, kernel), (kernel.shape[0], -1, x.shape[2], kernel.shape[2]))


def _uniform(channels):
    """Return PyTorch's start of a convolution, which the published model was trained from."""
    limit = channels**-0.5
    return keras.initializers.RandomUniform(-limit, limit)


class History(layers.Layer):
    """The last four fixations, (N, 4, 2) x and y in pixels -> (K, N, S, filters).

    From each the maps dx, dy and distance to every place go through a 1x1 convolution with bias of
    its own; their sum, after softplus, comes out. One that is NaN adds nothing, its bias neither.
    """

    def __init__(self, filters, heads, size, missing, **rest):
        super().__init__(dtype="float32", **rest)
        self.filters, self.heads, self.missing = filters, heads, missing
        height, width = size
        # Nearest resizing takes the first pixel of four.
        rows, columns = np.mgrid[0:height:READOUT, 0:width:READOUT].astype("float32")
        self.places = np.stack([columns.ravel(), rows.ravel()], axis=-1)
        self.centre = np.array([width / 2, height / 2], "float32")

    def build(self, shape):
        start = _uniform(3)
        self.kernel = self.add_weight((self.heads, HISTORY, 3, self.filters), start, name="kernel")
        self.bias = self.add_weight((self.heads, HISTORY, self.filters), start, name="bias")

    def call(self, history):
        made = ops.logical_not(ops.any(ops.isnan(history), axis=-1, keepdims=True))
        history = ops.where(made, history, self.centre)
        if self.missing == "centre":
            made = ops.ones_like(made)
        away = ops.subtract(self.places[:, None], history[:, None])  # (N, S, 4, 2)
        distance = ops.sqrt(ops.sum(ops.square(away), axis=-1, keepdims=True))
        maps = ops.concatenate([away, distance, ops.ones_like(distance)], axis=-1)
        maps = maps * ops.cast(made, "float32")[:, None]
        maps = ops.reshape(maps, (1, -1, len(self.places), HISTORY * 4))
        kernel = ops.concatenate([self.kernel, self.bias[:, :, None]], axis=2)
        kernel = ops.reshape(kernel, (self.heads, HISTORY * 4, self.filters))
        return ops.softplus(_project(maps, kernel))


class PerPicture(layers.Layer):
    """Adds what is known of a picture, (K, P, S, C), to each of its fixations, (K, P F, S, C)."""

    def call(self, inputs):
        picture, fixations = inputs
        heads, _, *rest = fixations.shape
        grouped = ops.reshape(fixations, (heads, ops.shape(picture)[1], -1, *rest))
        return ops.reshape(grouped + picture[:, :, None], (heads, -1, *rest))


class Finalizer(layers.Layer):
    """Blur, weighted centre bias, mixture of heads, and nearest resizing to the input's size.

    (K, N | P, h, w) maps, (P, H, W, 1) centre bias, (N, H, W, 1) valid -> (N, H, W, 1). Each head
    has its own blur (8 places at the start) and weight of the centre bias (1).
    """

    def __init__(self, heads, **rest):
        super().__init__(dtype="float32", **rest)
        self.heads = heads

    def build(self, shapes):
        # Learned as a logarithm: by Adam's steps of 0.001, 8 places would take an age to become 2.
        start = keras.initializers.Constant(np.log(_SIGMA))
        self.log_sigma = self.add_weight((self.heads,), start, name="log_sigma")
        self.weight = self.add_weight((self.heads,), "ones", name="centre_bias_weight")

    def call(self, inputs):
        maps, centre_bias, valid = inputs
        pictures, fixations = ops.shape(centre_bias)[0], ops.shape(valid)[0]
        valid = _cells(valid)
        shown = ops.max(ops.reshape(valid, (pictures, -1, *valid.shape[1:])), axis=1)
        prior = _at_cells(_cells(centre_bias), shown) * self.weight[:, None, None, None]
        logits = density.blur(maps, ops.exp(self.log_sigma), reach=int(12 * _SIGMA))
        logits = _repeat(logits, fixations) + _repeat(prior, fixations)
        if self.heads == 1:
            return _enlarge(logits[0])
        return _enlarge(density.mixture(logits, ops.sum(valid, axis=(2, 4))))


def _cells(x):
    """Split into squares: (B, H, W, 1) -> (B, h, 4, w, 4)."""
    height, width = (side // READOUT for side in x.shape[1:3])
    return ops.reshape(x, (-1, height, READOUT, width, READOUT))


def _at_cells(x, valid):
    """Take (P, h, 4, w, 4) -> (P, h, w): the first pixel, as nearest resizing, where it is valid.

    Where it is padding, which says nothing of the centre bias: the mean of the valid ones.
    """
    valid = ops.cast(ops.greater(valid, 0), x.dtype)
    mean = ops.sum(x * valid, axis=(2, 4)) / ops.maximum(ops.sum(valid, axis=(2, 4)), 1)
    return ops.where(ops.greater(valid[:, :, 0, :, 0], 0), x[:, :, 0, :, 0], mean)


def _repeat(x, rows):
    """Repeat each picture F times, to `rows` in total: (K, P, ...) -> (K, P F, ...)."""
    return ops.repeat(x, rows // ops.shape(x)[1], axis=1)


def _enlarge(x):
    """Repeat each place: (N, h, w) -> (N, H, W, 1)."""
    rows, (height, width) = ops.shape(x)[0], x.shape[1:]
    cells = ops.broadcast_to(x[:, :, None, :, None], (rows, height, READOUT, width, READOUT))
    return ops.reshape(cells, (rows, height * READOUT, width * READOUT, 1))
