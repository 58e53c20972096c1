"""Metrics: hand numbers, brute force, and pysaliency's values for ten real pictures."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from errors import UsageError
from model.metrics import scoring
from model.networks.density import OUTSIDE, log_density

REFERENCE = Path(__file__).parents[4] / "shared" / "reference"


def column(values):
    return np.float64(values).reshape(1, 1, -1, 1)


def both(*maps):
    """Maps as NumPy's arrays and as tensors: the two ways that every metric is computed."""
    yield maps
    yield tuple(map(ops.convert_to_tensor, maps))


def auc(fixations, values, valid=None, metric=scoring.auc):
    valid = np.ones(len(values)) if valid is None else valid
    maps = both(column(fixations), column(values), column(valid))
    first, second = (float(metric(*arrays)[0]) for arrays in maps)
    assert first == second
    return first


@pytest.mark.parametrize(
    ("fixations", "values", "wanted"),
    [
        ([0, 0, 0, 1], [-4, -3, -2, -1], 3.5 / 4),  # the fixated pixel is a negative too: a tie
        ([1, 0, 0, 0], [-4, -3, -2, -1], 0.5 / 4),
        ([2, 0, 0, 1], [-4, -3, -2, -1], (0.5 + 0.5 + 3.5) / 3 / 4),
        ([1, 0, 0, 0], [-1, -1, -2, -1], (1 + 1.5) / 4),
        ([1, 0, 2, 0], [-1, -1, -1, -1], 0.5),
        ([0, 0, 0, 0], [-4, -3, -2, -1], 0.5),
    ],
)
def test_auc_by_hand(fixations, values, wanted):
    np.testing.assert_allclose(auc(fixations, values), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("fixations", "values", "wanted"),
    [
        ([0, 0, 0, 1], [-4, -3, -2, -1], 1),  # no pixel without a fixation is as high
        ([1, 0, 0, 0], [-4, -3, -2, -1], 0.5),  # the diagonal from (0, 0) by (1, 1)
        ([0, 0, 1, 0], [-4, -3, -2, -1], (1 + 2 / 3) / 2),
        # 3, 3, 5, 9 among 1, 3, 3, 4, 5, 7: corners (0, 1/4), (2/6, 2/4), (5/6, 1).
        ([2, 1, 1, 0, 0, 0, 0, 0, 0], [3, 5, 9, 1, 3, 3, 4, 5, 7], 2 / 3),
        ([1, 0, 2, 0], [-1, -1, -1, -1], 0.5),
        ([0, 0, 0, 0], [-4, -3, -2, -1], 0.5),
        ([1, 1, 2, 1], [-4, -3, -2, -1], 0.5),  # nothing is left to be a negative
    ],
)
def test_auc_judd_by_hand(fixations, values, wanted):
    found = auc(fixations, values, metric=scoring.auc_judd)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("negatives", "wanted"),
    [
        ([0, 0, 1, 0], 1),
        ([0, 0, 0, 3], 0.5),
        ([4, 1, 0, 1], (4 + 1 + 0.5) / 6),
        ([0, 0, 0, 0], 0.5),
    ],
)
def test_sauc_by_hand(negatives, wanted):
    """Three fixations on a pixel of -2; the others' values are -3, -3, -4, -2."""
    for arrays in both(column([0, 0, 0, 3]), column([-3, -3, -4, -2]), column(negatives)):
        np.testing.assert_allclose(scoring.sauc(*arrays), [wanted], rtol=1e-12)


def test_auc_without_the_padding():
    found = auc([0, 0, 1, 0], [-3, -2, -1, OUTSIDE], [1, 1, 1, 0])
    np.testing.assert_allclose(found, 2.5 / 3, rtol=1e-12)


def crowd(seed=0, shape=(4, 9, 11, 1)):
    """A batch with many ties, repeats and padding, of float64."""
    random = np.random.default_rng(seed)
    valid = np.float64(random.uniform(size=shape) < 0.8)
    density = valid * random.uniform(0.1, 1, shape)
    values = np.where(valid > 0, np.float64(random.integers(-6, 0, shape)), OUTSIDE)
    return {
        "log_density": values - np.log(np.exp(values).sum((1, 2, 3), keepdims=True)),
        "baseline": np.where(valid > 0, -np.log(valid.sum((1, 2, 3), keepdims=True)), OUTSIDE),
        "fixations": valid * random.poisson(0.4, shape),
        "negatives": valid * random.poisson(0.3, shape),
        "density": density / density.sum((1, 2, 3), keepdims=True),
        "valid": valid,
    }


def pairs(positives, negatives):
    """The share of pairs in which the positive is higher, ties counting half."""
    more, ties = positives[:, None] > negatives, positives[:, None] == negatives
    return more.mean() + ties.mean() / 2


def repeated(values, counts):
    return np.repeat(values.ravel(), counts.ravel().astype(int))


def test_areas_are_what_counting_pairs_gives():
    batch = crowd()
    rows = [dict(zip(batch, maps, strict=True)) for maps in zip(*batch.values(), strict=True)]
    positives = [repeated(row["log_density"], row["fixations"]) for row in rows]
    pixels = [row["log_density"][row["valid"] > 0] for row in rows]
    others = [repeated(row["log_density"], row["negatives"]) for row in rows]
    for name, negatives in (("auc", pixels), ("sauc", others)):
        wanted = [pairs(p, n) for p, n in zip(positives, negatives, strict=True)]
        found = scoring.call(scoring.METRICS[name], batch)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_auc_judd_is_the_area_below_the_drawn_curve():
    batch = crowd()
    for index in range(4):
        values, seen, valid = (batch[k][index] for k in ("log_density", "fixations", "valid"))
        positives, free = repeated(values, seen), values[(valid > 0) & (seen == 0)]
        corners = np.unique(positives)[::-1]
        hits = [0, *((positives >= corner).mean() for corner in corners), 1]
        alarms = [0, *((free >= corner).mean() for corner in corners), 1]
        arrays = (batch[k] for k in ("fixations", "log_density", "valid"))
        found = scoring.auc_judd(*arrays)[index]
        area = np.sum(np.diff(alarms) * np.add(hits[1:], hits[:-1]) / 2)
        np.testing.assert_allclose(found, area, rtol=1e-12)


@pytest.mark.parametrize("name", ["auc", "auc_judd", "sauc"])
def test_areas_are_unchanged_by_monotone_maps(name):
    batch = crowd()
    wanted = scoring.call(scoring.METRICS[name], batch)
    inside = batch["valid"] > 0
    for change in (lambda x: -(x**2), lambda x: 3 * x - 1, np.exp):
        batch["log_density"] = np.where(inside, change(batch["log_density"]), OUTSIDE)
        np.testing.assert_array_equal(scoring.call(scoring.METRICS[name], batch), wanted)


@pytest.mark.parametrize("name", list(scoring.METRICS))
def test_a_graph_of_unknown_size_gives_what_numpy_gives(name):
    import tensorflow as tf

    batch, function = crowd(), scoring.METRICS[name]
    wanted = scoring.call(function, batch)
    spec = [tf.TensorSpec((None, None, None, 1), "float64")] * len(scoring.needs(function))
    graph = tf.function(function, input_signature=spec)
    found = graph(*(batch[key] for key in scoring.needs(function)))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_ll_and_ig_by_hand():
    fixations = column([1, 1, 0, 0])
    predicted, baseline = np.log(column([0.5, 0.25, 0.2, 0.05])), np.log(column([0.25] * 4))
    np.testing.assert_allclose(scoring.ll(fixations, predicted, column([1] * 4)), [0.5])
    np.testing.assert_allclose(scoring.ig(fixations, predicted, baseline), [0.5])
    np.testing.assert_allclose(scoring.ig(fixations, baseline, predicted), [-0.5])


def test_a_density_of_zero_where_nobody_looked_counts_nowhere():
    predicted, uniform = column([0, -np.inf, 0, -1]) - 2, column([1, 1, 1, 1])
    for arrays in both(column([1, 0, 3, 0]), predicted, uniform):
        np.testing.assert_allclose(scoring.ll(*arrays), [2 - 2 / np.log(2)])
    for arrays in both(column([1, 1, 3, 0]), predicted, uniform):
        np.testing.assert_array_equal(scoring.ll(*arrays), [-np.inf])


def test_names_do_the_wiring():
    assert scoring.needs(scoring.METRICS["nss"]) == ("fixations", "log_density", "valid")
    values = {"fixations": column([1, 0]), "log_density": np.log(column([0.5, 0.5])), "name": "a"}
    np.testing.assert_allclose(scoring.call(scoring.METRICS["nll"], values), [1])
    with pytest.raises(UsageError, match="kld needs density; there is fixations, log_density"):
        scoring.call(scoring.METRICS["kld"], values)


@pytest.fixture(scope="module")
def reference():
    if not (REFERENCE / "osie10.npz").is_file():
        pytest.skip("shared/reference is not beside the checkout")
    return np.load(REFERENCE / "osie10.npz"), json.loads((REFERENCE / "osie10.json").read_text())


def seen(arrays, mine):
    """Counts of some of the fixations on the ten pictures, (H, W)."""
    counts = np.zeros((150, 200))
    np.add.at(counts, (arrays["fix_y"][mine].astype(int), arrays["fix_x"][mine].astype(int)), 1)
    return counts


def normalised(values):
    values = values.astype("float64")
    return values - np.log(np.exp(values).sum())


def judged(arrays, model, index, name):
    """Our values for a stored prediction, a log-density or a saliency map."""
    from scipy.ndimage import gaussian_filter

    counts = seen(arrays, arrays["fix_n"] == index)
    blurred = gaussian_filter(counts, 6, mode="reflect", truncate=4)
    negatives = seen(arrays, arrays["fix_n"] != index)
    known = {"density": blurred / blurred.sum(), "fixations": counts, "negatives": negatives}
    baseline = normalised(arrays["centerbias__logdensity"])
    key = next(k for k in arrays if k.startswith(model) and k.split("__")[2:] in ([], [name]))
    if "logdensity" in key:
        return scoring.score(normalised(arrays[key]), known, baseline)
    saliency = arrays[key].astype("float64")
    return scoring.score(scoring.as_log_density(saliency), known, baseline, saliency)


THEIRS = {
    "ll": "LL_bits_vs_uniform",
    "ig": "IG_bits_vs_centerbias",
    "auc": "AUC_uniform",
    "auc_judd": "AUC_Judd_nojitter",
    "sauc": "sAUC_shuffled",
    "nss": "NSS",
    "cc": "CC_gt6",
    "sim": "SIM_gt6",
    "kld": "KLDiv_gt6_min1e-20",
}


@pytest.mark.corpus
@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize(
    "model", ["uniform", "centerbias", "gaussian", "blurred_same_image", "dog"]
)
def test_agrees_with_pysaliency(reference, model, index):
    arrays, stored = reference
    found = judged(arrays, model, index, Path(stored["names"][index]).stem)
    assert list(found) == list(scoring.LABELS)
    for ours, theirs in THEIRS.items():
        # pysaliency's NSS of a constant map is round-off (here -1); ours is 0.
        flat = model == "uniform" and ours == "nss"
        wanted = 0 if flat else stored["models"][model][theirs][index]
        assert found[ours] == pytest.approx(wanted, abs=1e-9), ours


EDGES = {
    "arange": np.arange(12.0).reshape(3, 4),
    "constant": np.full((3, 4), 0.7),
    "onehot12": np.eye(12)[6].reshape(3, 4),
    "onehot00": np.eye(12)[0].reshape(3, 4),
    "negative": np.arange(12.0).reshape(3, 4) - 20,
    "zeros": np.zeros((3, 4)),
}


@pytest.mark.corpus
@pytest.mark.parametrize("truth", [name for name in EDGES if name != "zeros"])
@pytest.mark.parametrize("name", [name for name in EDGES if name != "onehot00"])
def test_agrees_with_pysaliency_on_edge_cases(reference, name, truth):
    stored, saliency = reference[1]["edge_cases"], EDGES[name]
    known = {"density": np.exp(scoring.as_log_density(EDGES[truth]))}
    found = scoring.score(scoring.as_log_density(saliency), known, saliency, saliency)
    for ours, theirs in (("cc", "CC"), ("sim", "SIM"), ("kld", "KL_default")):
        wanted = stored[f"{theirs}({name},{truth})"]
        # pysaliency's CC with a constant truth is not a number; ours is 0.
        wanted = 0 if wanted == "NaN" else wanted
        assert found[ours] == pytest.approx(wanted, abs=1e-9), ours


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["arange", "constant", "negative", "onehot12", "zeros"])
def test_agrees_with_pysaliency_on_nss_of_edge_cases(reference, name):
    fixations, saliency = np.zeros((3, 4)), EDGES[name]
    fixations[[1, 2], [2, 3]] = 1
    known = {"fixations": fixations}
    found = scoring.score(scoring.as_log_density(saliency), known, saliency, saliency)
    wanted = np.mean(reference[1]["edge_cases"][f"NSS({name}; xs=[2,3],ys=[1,2])"])
    assert found["nss"] == pytest.approx(wanted, abs=1e-9)


def picture(seed=0, shape=(13, 17)):
    """A log-density, what is known of a picture, and a baseline, (H, W) each."""
    random = np.random.default_rng(seed)
    density = random.uniform(size=shape) ** 4
    known = {
        "density": density / density.sum(),
        "fixations": random.poisson(0.2, shape).astype("float64"),
        "negatives": random.poisson(0.7, shape).astype("float64"),
    }
    log_density, baseline = (normalised(random.normal(size=shape)) for _ in range(2))
    return log_density, known, baseline


@pytest.mark.parametrize("strip", [1, 50, 1 << 15])
def test_score_is_the_metrics_of_training(monkeypatch, strip):
    """All at once and in strips, as one by one: and each in float64."""
    monkeypatch.setattr(scoring, "STRIP", strip)
    log_density, known, baseline = picture()
    values = {"log_density": log_density, "baseline": baseline, **known}
    values["valid"] = np.ones_like(log_density)
    batch = {name: ops.convert_to_tensor(x[None, ..., None]) for name, x in values.items()}
    found = scoring.score(np.float64(log_density), known, baseline)
    assert list(found) == list(scoring.LABELS)
    for name, value in found.items():
        wanted = float(scoring.call(scoring.METRICS[name], batch)[0])
        assert value == pytest.approx(wanted, rel=1e-12), name


def test_score_gives_what_the_truth_allows():
    log_density, known, baseline = picture()
    found = scoring.score(log_density, {"density": known["density"]}, baseline)
    assert list(found) == ["cc", "sim", "kld"]
    found = scoring.score(log_density, {"fixations": known["fixations"]}, baseline)
    assert list(found) == ["ll", "ig", "auc", "auc_judd", "nss"]


def test_score_without_fixations():
    log_density, known, baseline = picture()
    known["fixations"] *= 0
    found = scoring.score(log_density, known, baseline)
    assert list(found) == list(scoring.LABELS)
    defined = [name for name, value in found.items() if not np.isnan(value)]
    assert defined == ["cc", "sim", "kld"]


def test_without_negatives_there_is_no_shuffled_area():
    log_density, known, baseline = picture()
    whole = scoring.score(log_density, known, baseline)
    known["negatives"] *= 0
    found = scoring.score(log_density, known, baseline)
    assert np.isnan(found.pop("sauc")) and found == {k: v for k, v in whole.items() if k in found}


CHANCE = {"ll": 0, "ig": 0, "auc": 0.5, "sauc": 0.5, "nss": 0}


@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_chance_is_chance_whatever_the_number_of_fixations(count):
    """Fixations and negatives fall anywhere, whatever the map says: means over 600 pictures.

    AUC_Judd alone depends on how many there are: with thresholds at n fixations, the area of n + 1
    equal steps between them comes to (n + 2) / (2 n + 2); .75 for a single one.
    """
    random, shape = np.random.default_rng(count), (30, 40)
    found = []
    for _ in range(600):
        values = normalised(random.normal(0, 0.3, shape))
        pixels = random.integers(0, 1200, (2, count))
        seen = [1.0 * np.bincount(each, minlength=1200).reshape(shape) for each in pixels]
        density = np.exp(normalised(random.normal(0, 0.3, shape)))
        known = {"fixations": seen[0], "negatives": seen[1], "density": density}
        baseline = np.full(shape, -np.log(1200))
        scores = scoring.score(values, known, baseline)
        parts = scoring.score(values, known, baseline, whole=False)
        assert parts == {name: scores[name] for name in CHANCE}
        # A density that says anything about chance loses by it: what it has over all pixels.
        lost = (values - baseline).mean() / np.log(2)
        found.append([scores["ll"] - lost, scores["ig"] - lost, *list(scores.values())[2:]])
    means = dict(zip(scores, np.mean(found, axis=0), strict=True))
    errors = dict(zip(scores, np.std(found, axis=0) / np.sqrt(600), strict=True))
    wanted = {**CHANCE, "auc_judd": (count + 2) / (2 * count + 2), "cc": 0}
    for name, value in wanted.items():
        assert means[name] == pytest.approx(value, abs=3.5 * errors[name] + 1e-3), name


@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_old_variants_are_at_chance_too(count):
    random, shape = np.random.default_rng(count), (30, 40)
    found = []
    for _ in range(300):
        pixels = random.integers(0, 1200, (2, count))
        seen = [1.0 * np.bincount(each, minlength=1200).reshape(shape) for each in pixels]
        known = {"fixations": seen[0], "negatives": seen[1]}
        values, baseline = normalised(random.normal(size=shape)), np.full(shape, -np.log(1200))
        scores = scoring.score(values, known, baseline, protocol="mit", whole=False)
        found.append([scores["nss"], scores["sauc_mit"]])
    error = np.std(found, axis=0) / np.sqrt(300)
    assert (np.abs(np.mean(found, axis=0) - [0, 0.5]) < 3.5 * error).all()


def test_score_is_unchanged_by_flips_and_by_looking_twice():
    log_density, known, baseline = picture()
    wanted = scoring.score(log_density, known, baseline)
    for axis in (0, 1):
        maps = {name: np.flip(x, axis) for name, x in known.items()}
        found = scoring.score(np.flip(log_density, axis), maps, np.flip(baseline, axis))
        assert found == pytest.approx(wanted, rel=1e-12)
    twice = {**known, "fixations": 2 * known["fixations"], "negatives": 3 * known["negatives"]}
    assert scoring.score(log_density, twice, baseline) == pytest.approx(wanted, rel=1e-12)


def test_score_of_a_saliency_map_that_is_the_density():
    log_density, known, baseline = picture()
    wanted = scoring.score(log_density, known, baseline)
    found = scoring.score(log_density, known, baseline, np.exp(log_density))
    assert found == pytest.approx(wanted, rel=1e-12)


def test_affine_and_monotone_saliency_maps():
    log_density, known, baseline = picture()
    saliency = np.random.default_rng(1).normal(size=log_density.shape)
    wanted = scoring.score(log_density, known, baseline, saliency)
    affine = scoring.score(log_density, known, baseline, 7 * saliency + 300)
    monotone = scoring.score(log_density, known, baseline, np.exp(3 * saliency))
    areas = {"auc", "auc_judd", "sauc"}
    for name in areas | {"nss", "cc"}:
        assert affine[name] == pytest.approx(wanted[name], rel=1e-10)
    for name in areas:
        assert monotone[name] == wanted[name]
    assert monotone["nss"] != pytest.approx(wanted["nss"], rel=1e-3)


def test_a_saliency_map_becomes_a_density():
    found = scoring.as_log_density(np.array([[-1, 0], [2, -1]]))
    np.testing.assert_array_equal(np.isneginf(found), [[True, False], [False, True]])
    np.testing.assert_allclose(np.exp(found), [[0, 1 / 4], [3 / 4, 0]])
    for constant in (0, 3, -2):
        np.testing.assert_allclose(scoring.as_log_density(np.full((2, 3), constant)), -np.log(6))


def test_a_density_of_zero_is_told_only_where_someone_looked():
    """The second of four pixels has no probability; the truth is uniform."""
    log_density = scoring.as_log_density(np.array([[1.0, 0, 2, 1]]))
    known = {"density": np.full((1, 4), 0.25), "fixations": np.array([[1.0, 0, 1, 0]])}
    found = scoring.score(log_density, known, np.full((1, 4), np.log(0.25)))
    assert found["ll"] == pytest.approx((0 + 1) / 2)
    # 1e-20 stands for 0 in KLDiv alone.
    logs = [np.log(0.25 / q) for q in (0.25, 1e-20, 0.5, 0.25)]
    assert found["kld"] == pytest.approx(np.mean(logs))
    known["fixations"][0, 1] = 1
    found = scoring.score(log_density, known, np.full((1, 4), np.log(0.25)))
    assert found["ll"] == found["ig"] == -np.inf
    assert all(np.isfinite(found[name]) for name in found if name not in ("ll", "ig"))


def test_names_of_protocols():
    assert scoring.PROTOCOLS["tuebingen"] == scoring.LABELS
    assert len({*scoring.PROTOCOLS["mit"].values()}) == len(scoring.PROTOCOLS["mit"])
    log_density, known, baseline = picture()
    found = scoring.score(log_density, known, baseline, protocol="mit")
    assert list(found) == list(scoring.PROTOCOLS["mit"])
    plain = scoring.score(log_density, known, baseline)
    assert {found["cc"], found["nss"]} == {plain["cc"], plain["nss"]}
    assert found["sim_mit"] != plain["sim"]


def test_float64_is_kept():
    ones = np.ones((1, 2, 2, 1))
    values = log_density(ones, ones)
    for function in (scoring.auc, scoring.ll):
        found = function(ones, values, ones)
        assert keras.backend.standardize_dtype(found.dtype) == "float64"
    assert ops.shape(values) == (1, 2, 2, 1)


def test_a_term_of_the_loss_that_makes_it_worse_is_said(monkeypatch):
    lines = []
    monkeypatch.setattr(scoring.logging, "warning", lambda text, *given: lines.append(text % given))
    scoring.check_names("kld:1,nll,cc:-1,sim:-.5,nss:-0.1,entropy:1", None)
    scoring.check_names("kld:0,entropy:-1", None)
    assert lines == []
    scoring.check_names("kld:-1,cc:1,nss:0.1", None)
    said = "--loss kld:-1,cc:1,nss:0.1: {} becomes worse with a weight of {}; a loss is made small"
    assert lines == [said.format(*term) for term in (("kld", "-1"), ("cc", "1"), ("nss", "0.1"))]
