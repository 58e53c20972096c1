"""Published weights: names, shapes and units of theirs, and what is said of other files."""

import sys
from pathlib import Path

import numpy as np
import pytest
from gaze_reference import convolve, distances, layer_norm, resize, softplus
from helpers import one_line
from scipy import special

from errors import UsageError
from model.networks import deepgaze, density, encoders, published

SIZE = (64, 72)
DENSE = "features.features.1."
NETWORKS = {  # of one head: entry -> shape, as the published classes make them
    "saliency_network": {
        "layernorm0.weight": (2048,),
        "layernorm0.bias": (2048,),
        "conv0.weight": (8, 2048, 1, 1),
        "bias0.bias": (8,),
        "layernorm1.weight": (8,),
        "layernorm1.bias": (8,),
        "conv1.weight": (16, 8, 1, 1),
        "bias1.bias": (16,),
        "layernorm2.weight": (16,),
        "layernorm2.bias": (16,),
        "conv2.weight": (1, 16, 1, 1),
        "bias2.bias": (1,),
    },
    "scanpath_network": {
        **{f"encoding0.convolutions.{k}.weight": (128, 3, 1, 1) for k in range(4)},
        **{f"encoding0.convolutions.{k}.bias": (128,) for k in range(4)},
        "layernorm1.weight": (128,),
        "layernorm1.bias": (128,),
        "conv1.weight": (16, 128, 1, 1),
        "bias1.bias": (16,),
    },
    "fixation_selection_network": {
        "layernorm0.layernorm_part0.weight": (1,),
        "layernorm0.layernorm_part0.bias": (1,),
        "layernorm0.layernorm_part1.weight": (16,),
        "layernorm0.layernorm_part1.bias": (16,),
        "conv0.conv_part0.weight": (128, 1, 1, 1),
        "conv0.conv_part1.weight": (128, 16, 1, 1),
        "bias0.bias": (128,),
        "layernorm1.weight": (128,),
        "layernorm1.bias": (128,),
        "conv1.weight": (16, 128, 1, 1),
        "bias1.bias": (16,),
        "conv2.weight": (1, 16, 1, 1),
    },
    "finalizer": {"gauss.sigma": (), "center_bias_weight": (1,)},
}


def readout_shapes(heads, scanpath=True):
    """Name -> shape; `heads` None: of a single model."""
    shapes = {}
    for network, entries in NETWORKS.items():
        for k in [None] if heads is None else range(heads):
            prefix = f"{network}." if k is None else f"{network}s.{k}."
            shapes |= {prefix + name: shape for name, shape in entries.items()}
    hidden = () if scanpath else ("scanpath_network", "_part1")
    return {n: shape for n, shape in shapes.items() if not any(word in n for word in hidden)}


def dense_shapes():
    """torchvision's DenseNet201 with its last layers, which no tap needs."""
    shapes = {"features.conv0.weight": (64, 3, 7, 7), **norm("features.norm0", 64)}
    channels = 64
    for block, count in enumerate((6, 12, 48, 32), start=1):
        for index in range(1, count + 1):
            layer = f"features.denseblock{block}.denselayer{index}"
            shapes |= norm(f"{layer}.norm1", channels) | norm(f"{layer}.norm2", 128)
            shapes[f"{layer}.conv1.weight"] = (128, channels, 1, 1)
            shapes[f"{layer}.conv2.weight"] = (32, 128, 3, 3)
            channels += 32
        if block < 4:
            shapes |= norm(f"features.transition{block}.norm", channels)
            shapes[f"features.transition{block}.conv.weight"] = (channels // 2, channels, 1, 1)
            channels //= 2
    shapes |= norm("features.norm5", 1920)
    shapes |= {"classifier.weight": (1000, 1920), "classifier.bias": (1000,)}
    return {DENSE + name: shape for name, shape in shapes.items()}


def norm(name, channels):
    parts = {part: (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {
        f"{name}.{part}": shape for part, shape in (parts | {"num_batches_tracked": ()}).items()
    }


def filled(shapes, seed=0):
    random = np.random.default_rng(seed)
    state = {name: random.normal(0, 0.3, shape).astype("float32") for name, shape in shapes.items()}
    for name in state:
        if name.endswith(("gauss.sigma", "running_var")):
            state[name] = np.abs(state[name]) + np.float32(0.5)
    return state


@pytest.fixture(scope="module")
def model():
    return deepgaze.build("densenet201", SIZE, scanpath=True, mixture=2)


@pytest.fixture
def spatial(model, monkeypatch):
    """A function of heads -> a spatial model, on the same encoder, which takes seconds to make."""
    monkeypatch.setattr(encoders, "taps", lambda *_: model.get_layer("encoder"))
    return lambda heads: deepgaze.build("densenet201", SIZE, mixture=heads)


@pytest.fixture
def state():
    return filled(readout_shapes(2))


def published_head(state, k, features, centre_bias, history):
    """Their forward pass at twice our size; a blur so narrow that it does nothing."""
    size, grid = centre_bias.shape, (centre_bias.shape[0] // 8, centre_bias.shape[1] // 8)

    def get(name):
        return np.asarray(state[name], np.float64)

    def stage(x, network, norm, conv, bias):
        x = layer_norm(x, get(f"{network}{norm}.weight"), get(f"{network}{norm}.bias"))
        x = convolve(x, get(f"{network}{conv}.weight")[..., 0, 0].T)
        return x if bias is None else x + get(f"{network}{bias}.bias")[:, None, None]

    x = resize(np.moveaxis(features, -1, 0), *grid)
    for i in range(3):
        x = softplus(stage(x, f"saliency_networks.{k}.", f"layernorm{i}", f"conv{i}", f"bias{i}"))
    y = 0.0
    for i, (column, row) in enumerate(history):
        convolution = f"scanpath_networks.{k}.encoding0.convolutions.{i}."
        maps = resize(distances(column, row, size), *grid)
        y = y + convolve(maps, get(convolution + "weight")[..., 0, 0].T)
        y = y + get(convolution + "bias")[:, None, None]
    y = softplus(stage(softplus(y), f"scanpath_networks.{k}.", "layernorm1", "conv1", "bias1"))
    network = f"fixation_selection_networks.{k}."
    x = stage(x, network, "layernorm0.layernorm_part0", "conv0.conv_part0", "bias0")
    x = x + stage(y, network, "layernorm0.layernorm_part1", "conv0.conv_part1", None)
    x = softplus(stage(softplus(x), network, "layernorm1", "conv1", "bias1"))
    x = convolve(x, get(f"{network}conv2.weight")[..., 0, 0].T)[0]
    x = resize(x, size[0] // 4, size[1] // 4)
    x = x + get(f"finalizers.{k}.center_bias_weight") * resize(centre_bias, *x.shape)
    x = resize(x, *size)
    return x - special.logsumexp(x)


def test_read_out_answers_as_the_published_one_on_pictures_twice_as_large(model, state):
    state |= {f"finalizers.{k}.gauss.sigma": np.float32(0.1) for k in range(2)}
    published.assign(model, state, "state")
    random = np.random.default_rng(1)
    assert model.get_layer("encoder").output.shape == (None, 2, 2, 2048)
    features = random.normal(1, 2, (1, 2, 2, 2048)).astype("float32")
    # Constant over squares of 8 pixels, as their map is only sampled twice as finely as ours.
    centre_bias = np.kron(random.normal(-9, 1, (16, 18)), np.ones((8, 8)))
    history = random.uniform(0, 128, (4, 2))
    heads = [published_head(state, k, features[0], centre_bias, history) for k in range(2)]
    wanted = (special.logsumexp(heads, axis=0) - np.log(2))[::2, ::2] + np.log(4)
    valid = np.ones((1, *SIZE, 1), "float32")
    inputs = {
        "features": features,
        "valid": valid,
        "centre_bias": np.float32(centre_bias[None, ::2, ::2, None]),
        "history": np.float32(history[None] / 2),
    }
    found = density.log_density(model.get_layer("readout")(inputs)["logits"], valid)
    assert np.ptp(wanted) > 0.3
    np.testing.assert_allclose(found[0, ..., 0], wanted, atol=2e-5, rtol=0)


def test_blur_is_in_places_of_half_their_number(model, state):
    state["finalizers.1.gauss.sigma"] = np.float32(6.0)
    published.assign(model, state, "state")
    log_sigma = model.get_layer("readout").get_layer("finalizer").get_weights()[0]
    np.testing.assert_allclose(np.exp(log_sigma[1]), 3.0, rtol=1e-6)


def test_every_entry_moves_a_weight_of_its_own(model, state):
    published.assign(model, state, "state")
    weights = np.concatenate([w.ravel() for w in model.get_layer("readout").get_weights()])
    entries = np.concatenate([np.ravel(array) for array in state.values()])
    assert weights.size == entries.size
    assert len(np.unique(weights)) == len(np.unique(entries)) > 0.99 * weights.size


def test_encoder_gets_torchvisions_arrays(model, state):
    state |= filled(dense_shapes(), seed=2)
    published.assign(model, state, "state")
    encoder = model.get_layer("encoder")
    for ours, theirs in {
        "conv1_conv": "conv0",
        "conv2_block1_1_conv": "denseblock1.denselayer1.conv1",
        "conv4_block47_2_conv": "denseblock3.denselayer47.conv2",
        "pool3_conv": "transition2.conv",
        "conv5_block32_1_conv": "denseblock4.denselayer32.conv1",
    }.items():
        wanted = state[f"{DENSE}features.{theirs}.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(encoder.get_layer(ours).get_weights()[0], wanted)
    for ours, theirs in {
        "conv1_bn": "norm0",
        "conv3_block12_0_bn": "denseblock2.denselayer12.norm1",
        "conv3_block12_1_bn": "denseblock2.denselayer12.norm2",
        "pool4_bn": "transition3.norm",
        "conv5_block32_0_bn": "denseblock4.denselayer32.norm1",
    }.items():
        layer = encoder.get_layer(ours)
        for weight, part in (
            (layer.gamma, "weight"),
            (layer.beta, "bias"),
            (layer.moving_mean, "running_mean"),
            (layer.moving_variance, "running_var"),
        ):
            np.testing.assert_array_equal(weight, state[f"{DENSE}features.{theirs}.{part}"])


def test_single_spatial_model_is_taken_too(spatial):
    single = spatial(1)
    state = filled(readout_shapes(None, scanpath=False))
    published.assign(single, state, "state")
    kernel = single.get_layer("readout").get_layer("saliency_0").kernel
    np.testing.assert_array_equal(kernel[0], state["saliency_network.conv0.weight"][..., 0, 0].T)


def missing(state):
    del state["saliency_networks.1.conv1.weight"]


def reshaped(state):
    state["scanpath_networks.0.bias1.bias"] = np.zeros(15, "float32")


def unexpected(state):
    state["saliency_networks.0.conv3.weight"] = state["teacher"] = np.zeros(3, "float32")


def more_heads(state):
    for name, array in list(state.items()):
        state[name.replace("s.1.", "s.2.")] = array


def no_scanpath(state):
    for name in [name for name in state if name.startswith("scanpath_")]:
        del state[name]


def half_an_encoder(state):
    state |= filled(dense_shapes())
    del state[f"{DENSE}features.denseblock2.denselayer3.norm2.running_var"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (missing, r"^x.pth: saliency_networks.1.conv1.weight is missing$"),
        (reshaped, r"scanpath_networks.0.bias1.bias has shape \(15,\), wanted \(16,\)$"),
        (unexpected, r"saliency_networks.0.conv3.weight and 1 more: no such weights"),
        (more_heads, r"holds 3 heads, the model has 2: take --mixture 3$"),
        (no_scanpath, r"holds no scanpath network: leave out --scanpath$"),
        (half_an_encoder, r"denselayer3.norm2.running_var is missing$"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_changed(model, state, damage, message):
    published.assign(model, state, "x.pth")
    before = model.get_layer("readout").get_weights()
    other = filled(readout_shapes(2), seed=5)
    damage(other)
    with one_line(message):
        published.assign(model, other, "x.pth")
    for one, two in zip(before, model.get_layer("readout").get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_scanpath_weights_are_not_for_a_spatial_model(spatial, state):
    with pytest.raises(UsageError, match="holds a scanpath network: take --scanpath$"):
        published.assign(spatial(2), state, "x.pth")


def test_published_weights_are_not_for_another_encoder(state):
    other = deepgaze.build("small", SIZE, scanpath=True, mixture=2)
    with pytest.raises(UsageError, match="are for -m deepgaze --encoder densenet201$"):
        published.assign(other, state, "x.pth")


def test_file_of_pytorch_is_read(model, state, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    state |= filled(dense_shapes(), seed=2)
    torch.save({n: torch.from_numpy(np.array(a)) for n, a in state.items()}, tmp_path / "x.pth")
    published.load_published(model, tmp_path / "x.pth")
    found = [w.copy() for w in model.get_weights()]
    published.assign(model, state, "state")
    for one, two in zip(found, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("content", ["text", "list", "nested", "code", "cut"])
def test_files_that_hold_no_state_dict_are_refused_in_one_line(model, state, tmp_path, content):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    path = tmp_path / "x.pth"
    if content == "text":
        path.write_text("not found\n")
    else:
        values = {"list": [1], "nested": {"model": {"a": torch.zeros(1)}}, "code": Path("x")}
        torch.save(values.get(content, {"a": torch.zeros(99)}), path)
    if content == "cut":
        path.write_bytes(path.read_bytes()[:200])
    with one_line("x.pth: not a state dict"):
        published.load_published(model, path)


def test_without_pytorch_the_way_to_it_is_said(model, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.pth").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"x.pth: .*pip install torch$"):
        published.load_published(model, tmp_path / "x.pth")


def test_missing_file_is_named(model, tmp_path):
    with pytest.raises(UsageError, match="y.pth: no such file$"):
        published.load_published(model, tmp_path / "y.pth")
