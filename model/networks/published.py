"""The weights that DeepGaze III's authors publish: a PyTorch state dict -> our layers.

Their model (github.com/matthias-k/DeepGaze, deepgaze3.pth) takes pictures of twice our input's size
and shrinks them: fixations and blur are in those pixels. So the kernels over maps of a fixation are
doubled here, and sigma, which is in places of half the size, is halved. A picture twice as large is
fitted to our size beforehand; what remains is that we blur at a quarter of our input, not at half.
"""

import re

import numpy as np

import storage
from errors import UsageError
from model.networks.deepgaze import HISTORY

_SHRUNK = 2
_ENCODER = "features.features.1.features."
# Behind the last tap, so not in our graph, or a counter.
_UNUSED = re.compile(
    r"features\.features\.1\.(classifier\.|features\.norm5\."
    r"|features\.denseblock4\.denselayer32\.(norm2|conv2)\.|.*\.num_batches_tracked$)"
)
_SELECTION = "fixation_selection"
# Our layer -> network, normalisation, convolution, bias.
_POINTWISE = {
    "saliency_0": ("saliency", "layernorm0", "conv0", "bias0"),
    "saliency_1": ("saliency", "layernorm1", "conv1", "bias1"),
    "saliency_2": ("saliency", "layernorm2", "conv2", "bias2"),
    "scanpath_1": ("scanpath", "layernorm1", "conv1", "bias1"),
    "selection_saliency": (_SELECTION, "layernorm0.layernorm_part0", "conv0.conv_part0", "bias0"),
    "selection_scanpath": (_SELECTION, "layernorm0.layernorm_part1", "conv0.conv_part1", None),
    "selection_1": (_SELECTION, "layernorm1", "conv1", "bias1"),
    "selection_2": (_SELECTION, None, "conv2", None),
}
_DENSE = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}


def load_published(model, path):
    """Give a deepgaze model on densenet201 the weights of a PyTorch file at `path`.

    Taken are state dicts of a mixture or of a single model, with a scanpath network or without, as
    the model is. The encoder's weights are taken where they are there. UsageError, and nothing
    changed: PyTorch is not installed, the file is none, entries are missing, unknown or of other
    shapes.
    """
    assign(model, _read(path), path)


def assign(model, state, origin):
    """Do as load_published, from a dict of arrays; `origin` is what errors call it."""
    if not _has(model, "readout") or not _has(model.get_layer("encoder"), "conv5_block32_0_bn"):
        raise UsageError(f"{origin}: published weights are for -m deepgaze --encoder densenet201")
    readout, encoder = model.get_layer("readout"), model.get_layer("encoder")
    source = _State(state, origin)
    _check_kind(readout, source)
    plan = [(layer, _readout_arrays(layer, source)) for layer in _weighty(readout)]
    if any(name.startswith("features.") for name in state):
        plan += [(layer, _encoder_arrays(layer, source)) for layer in _weighty(encoder)]
    source.check_used()
    for layer, arrays in plan:
        layer.set_weights(arrays)


def _weighty(model):
    return [layer for layer in model.layers if layer.weights]


def _has(model, name):
    return any(layer.name == name for layer in model.layers)


def _read(path):
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        import torch
    except ImportError:
        raise UsageError(f"{path}: to read it install PyTorch: pip install torch") from None
    try:
        with storage.local(path) as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # from pickle, zipfile or PyTorch, as the damage may be
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UsageError(f"{path}: not a state dict that PyTorch reads ({reason})") from error
    if not isinstance(state, dict) or not all(torch.is_tensor(x) for x in state.values()):
        raise UsageError(f"{path}: not a state dict: wanted tensors by name")
    return {str(name): tensor.float().numpy() for name, tensor in state.items()}


class _State:
    """Arrays by published name, each handed out once and checked."""

    def __init__(self, state, origin):
        self.state, self.origin, self.taken = state, origin, set()
        heads = {name.split(".")[1] for name in state if name.startswith("saliency_networks.")}
        self.heads = len(heads) or 1
        self.places = [f"s.{k}." for k in range(len(heads))] or ["."]  # `s.3.` in a mixture

    def head(self, network, name, shape):
        """Return (K, *shape): the entries of all heads."""
        return np.stack([self.take(network + place + name, shape) for place in self.places])

    def take(self, name, shape):
        if name not in self.state:
            raise UsageError(f"{self.origin}: {name} is missing")
        array = self.state[name]
        if array.shape != tuple(shape):
            raise UsageError(
                f"{self.origin}: {name} has shape {array.shape}, wanted {tuple(shape)}"
            )
        self.taken.add(name)
        return array

    def check_used(self):
        rest = [n for n in self.state if n not in self.taken and not _UNUSED.match(n)]
        if rest:
            more = f" and {len(rest) - 1} more" if len(rest) > 1 else ""
            raise UsageError(f"{self.origin}: {rest[0]}{more}: no such weights in DeepGaze III")


def _check_kind(readout, source):
    """Raise UsageError where the file is of a model that other flags make."""
    heads = readout.get_layer("finalizer").heads
    if heads != source.heads:
        raise UsageError(
            f"{source.origin}: holds {source.heads} heads, the model has {heads}: "
            f"take --mixture {source.heads}"
        )
    scanpath = any(name.startswith("scanpath_") for name in source.state)
    if scanpath != _has(readout, "scanpath_0"):
        differs = "a scanpath network: take" if scanpath else "no scanpath network: leave out"
        raise UsageError(f"{source.origin}: holds {differs} --scanpath")


def _readout_arrays(layer, source):
    """Return the arrays of one of our layers, in the order of its weights."""
    if layer.name == "finalizer":
        sigma = source.head("finalizer", "gauss.sigma", ())
        weight = source.head("finalizer", "center_bias_weight", (1,))
        return [np.log(sigma / _SHRUNK), weight[:, 0]]
    if layer.name == "scanpath_0":
        return _history_arrays(layer, source)
    network, norm, convolution, bias = _POINTWISE[layer.name]
    network += "_network"
    _, channels, filters = layer.kernel.shape
    arrays = [
        source.head(network, f"{norm}.{part}", (channels,)) for part in ("weight", "bias") if norm
    ]
    kernel = source.head(network, f"{convolution}.weight", (filters, channels, 1, 1))
    arrays.append(np.swapaxes(kernel[..., 0, 0], 1, 2))
    if bias:
        arrays.append(source.head(network, f"{bias}.bias", (filters,)))
    return arrays


def _history_arrays(layer, source):
    names = [f"encoding0.convolutions.{k}." for k in range(HISTORY)]
    shape = (layer.filters, 3, 1, 1)
    kernels = [source.head("scanpath_network", f"{name}weight", shape) for name in names]
    biases = [source.head("scanpath_network", f"{name}bias", shape[:1]) for name in names]
    kernel = np.swapaxes(np.stack(kernels, axis=1)[..., 0, 0], 2, 3)
    return [_SHRUNK * kernel, np.stack(biases, axis=1)]


def _encoder_arrays(layer, source):
    """Return torchvision's arrays of a layer of keras.applications, in the order of its weights."""
    name = _ENCODER + _torchvision(layer.name)
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if layer.name.endswith("bn"):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [source.take(f"{name}.{part}", shapes[0]) for part in parts]
    height, width, channels, filters = shapes[0]
    kernel = source.take(f"{name}.weight", (filters, channels, height, width))
    return [kernel.transpose(2, 3, 1, 0)]


def _torchvision(name):
    """Return torchvision's name of a layer of DenseNet, given Keras'."""
    if match := re.fullmatch(r"conv(\d)_block(\d+)_(\w+)", name):
        block, index, part = match.groups()
        return f"denseblock{int(block) - 1}.denselayer{index}.{_DENSE[part]}"
    group, part = name.rsplit("_", 1)
    part = "norm" if part == "bn" else part
    return f"{part}0" if group == "conv1" else f"transition{int(group[-1]) - 1}.{part}"
