"""Metrics: hand numbers, brute force, and pysaliency's values for ten real pictures."""

import inspect
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from model.metrics import choice, scoring
from model.metrics.picture import Picture, as_log_density
from model.metrics.registry import METRICS
from model.networks.density import OUTSIDE, log_density

REFERENCE = Path(__file__).parents[4] / "shared" / "reference"
TUEBINGEN = [name for name, metric in METRICS.items() if "tuebingen" in metric.protocols]
FINAL = [name for name in TUEBINGEN if METRICS[name].final]


def column(values):
    return np.float64(values).reshape(1, 1, -1, 1)


def trained(name, **maps):
    """The training's value of one sample, of maps as lists."""
    batch = {key: column(values) for key, values in maps.items()}
    return float(METRICS[name].of_batch(batch)[0])


def final(name, log_density, **truths):
    truths = {key: np.float64(values) for key, values in truths.items()}
    return METRICS[name].of_picture(Picture(log_density, truths))


def area(name, fixations, values, valid=None):
    """An area by both evaluators; the final one sees valid pixels alone."""
    valid = np.ones(len(values)) if valid is None else np.float64(valid)
    first = trained(name, fixations=fixations, log_density=values, valid=valid)
    inside = valid > 0
    second = final(name, np.float64(values)[inside], fixations=np.float64(fixations)[inside])
    assert first == pytest.approx(second, rel=1e-15)
    return second


@pytest.mark.parametrize(
    ("fixations", "values", "wanted"),
    [
        ([0, 0, 0, 1], [-4, -3, -2, -1], 3.5 / 4),  # the fixated pixel is a negative too: a tie
        ([1, 0, 0, 0], [-4, -3, -2, -1], 0.5 / 4),
        ([2, 0, 0, 1], [-4, -3, -2, -1], (0.5 + 0.5 + 3.5) / 3 / 4),
        ([1, 0, 0, 0], [-1, -1, -2, -1], (1 + 1.5) / 4),
        ([1, 0, 2, 0], [-1, -1, -1, -1], 0.5),
    ],
)
def test_auc_by_hand(fixations, values, wanted):
    np.testing.assert_allclose(area("auc", fixations, values), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("fixations", "values", "wanted"),
    [
        ([0, 0, 0, 1], [-4, -3, -2, -1], 1),  # no pixel without a fixation is as high
        ([1, 0, 0, 0], [-4, -3, -2, -1], 0.5),  # the diagonal from (0, 0) by (1, 1)
        ([0, 0, 1, 0], [-4, -3, -2, -1], (1 + 2 / 3) / 2),
        # 3, 3, 5, 9 among 1, 3, 3, 4, 5, 7: corners (0, 1/4), (2/6, 2/4), (5/6, 1).
        ([2, 1, 1, 0, 0, 0, 0, 0, 0], [3, 5, 9, 1, 3, 3, 4, 5, 7], 2 / 3),
        ([1, 0, 2, 0], [-1, -1, -1, -1], 0.5),
        ([1, 1, 2, 1], [-4, -3, -2, -1], 0.5),  # nothing is left to be a negative
    ],
)
def test_auc_judd_by_hand(fixations, values, wanted):
    np.testing.assert_allclose(area("auc_judd", fixations, values), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ["auc", "auc_judd"])
def test_an_area_without_fixations_is_chance_in_training(name):
    values = {"log_density": [-4, -3, -2, -1], "valid": [1] * 4}
    assert trained(name, fixations=[0] * 4, **values) == 0.5


@pytest.mark.parametrize(
    ("negatives", "wanted"),
    [([0, 0, 1, 0], 1), ([0, 0, 0, 3], 0.5), ([4, 1, 0, 1], (4 + 1 + 0.5) / 6)],
)
def test_sauc_by_hand(negatives, wanted):
    """Three fixations on a pixel of -2; the others' values are -3, -3, -4, -2."""
    found = final("sauc", [-3, -3, -4, -2], fixations=[0, 0, 0, 3], negatives=negatives)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_auc_without_the_padding():
    found = area("auc", [0, 0, 1, 0], [-3, -2, -1, OUTSIDE], [1, 1, 1, 0])
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


def flat(batch):
    """The truths and the prediction of each sample's valid pixels."""
    inside = batch["valid"] > 0
    for index, where in enumerate(inside):
        row = {name: maps[index][where] for name, maps in batch.items() if name != "valid"}
        yield row.pop("log_density"), row


def pairs(positives, negatives):
    """The share of pairs in which the positive is higher, ties counting half."""
    more, ties = positives[:, None] > negatives, positives[:, None] == negatives
    return more.mean() + ties.mean() / 2


def repeated(values, counts):
    return np.repeat(values.ravel(), counts.ravel().astype(int))


def test_areas_are_what_counting_pairs_gives():
    for values, row in flat(crowd()):
        positives = repeated(values, row["fixations"])
        for name, negatives in (("auc", values), ("sauc", repeated(values, row["negatives"]))):
            found = METRICS[name].of_picture(Picture(values, row))
            np.testing.assert_allclose(found, pairs(positives, negatives), rtol=1e-12)


def test_auc_judd_is_the_area_below_the_drawn_curve():
    for values, row in flat(crowd()):
        positives, free = repeated(values, row["fixations"]), values[row["fixations"] == 0]
        corners = np.unique(positives)[::-1]
        hits = [0, *((positives >= corner).mean() for corner in corners), 1]
        alarms = [0, *((free >= corner).mean() for corner in corners), 1]
        wanted = np.sum(np.diff(alarms) * np.add(hits[1:], hits[:-1]) / 2)
        found = METRICS["auc_judd"].of_picture(Picture(values, row))
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ["auc", "auc_judd"])
def test_areas_are_unchanged_by_monotone_maps(name):
    batch = crowd()
    wanted = METRICS[name].of_batch(batch)
    inside = batch["valid"] > 0
    for change in (lambda x: -(x**2), lambda x: 3 * x - 1, np.exp):
        batch["log_density"] = np.where(inside, change(batch["log_density"]), OUTSIDE)
        np.testing.assert_array_equal(METRICS[name].of_batch(batch), wanted)


KINDS = {
    "ties, repeats and padding": lambda batch, random: batch,
    "no two alike": lambda batch, random: noisy(batch, random),
    "a peaked prediction": lambda batch, random: noisy(batch, random, 2),
    "a flat prediction": lambda batch, random: {**batch, "log_density": batch["baseline"]},
    "a flat truth": lambda batch, random: {**batch, "density": uniform(batch["valid"])},
    "a truth of one pixel": lambda batch, random: {**batch, "density": sure(batch["valid"])},
    "a fixation each": lambda batch, random: {**batch, "fixations": sure(batch["valid"])},
    "few fixations": lambda batch, random: {
        **batch, "fixations": batch["valid"] * random.poisson(0.01, batch["valid"].shape)
    },
}  # fmt: skip


def uniform(valid):
    return valid / valid.sum((1, 2, 3), keepdims=True)


def sure(valid):
    """1 at the first valid pixel of each sample."""
    return valid * (np.cumsum(valid.reshape(len(valid), -1), 1).reshape(valid.shape) == 1)


def noisy(batch, random, scale=1):
    logits = random.normal(scale=scale, size=batch["valid"].shape)
    return {**batch, "log_density": ops.convert_to_numpy(log_density(logits, batch["valid"]))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in FINAL if METRICS[name].training])
def test_the_final_evaluator_and_the_one_of_training_agree(name, kind):
    """In a graph of unknown sizes; without fixations the one has no value, the other a neutral
    one."""
    import tensorflow as tf

    metric = METRICS[name]
    keys = [*inspect.signature(metric.training).parameters]
    spec = [tf.TensorSpec((None, None, None, 1), "float64", key) for key in keys]
    graph = tf.function(lambda *maps: metric.of_batch(dict(zip(keys, maps, strict=True))), spec)
    for seed in range(5):
        random = np.random.default_rng(seed)
        batch = KINDS[kind](crowd(seed, (6, 7, 5 + seed, 1)), random)
        wanted = [metric.of_picture(Picture(values, row)) for values, row in flat(batch)]
        found = graph(*(tf.constant(batch[key]) for key in keys)).numpy()
        undefined = np.isnan(wanted)
        np.testing.assert_allclose(
            found[~undefined], np.array(wanted)[~undefined], rtol=1e-12, atol=1e-14
        )
        assert set(found[undefined]) <= {0.5 if "auc" in name else 0}


def test_ll_and_ig_by_hand():
    seen = [1, 1, 0, 0]
    predicted, baseline = np.log([0.5, 0.25, 0.2, 0.05]), np.log([0.25] * 4)
    assert final("ll", predicted, fixations=seen) == pytest.approx(0.5)
    assert trained("ll", fixations=seen, log_density=predicted, valid=[1] * 4) == pytest.approx(0.5)
    assert final("ig", predicted, fixations=seen, baseline=baseline) == pytest.approx(0.5)
    assert final("ig", baseline, fixations=seen, baseline=predicted) == pytest.approx(-0.5)


def test_a_density_of_zero_where_nobody_looked_counts_nowhere():
    predicted = np.array([0, -np.inf, 0, -1]) - 2
    for seen, wanted in (([1, 0, 3, 0], 2 - 2 / np.log(2)), ([1, 1, 3, 0], -np.inf)):
        found = trained("ll", fixations=seen, log_density=predicted, valid=[1] * 4)
        assert (found, final("ll", predicted, fixations=seen)) == pytest.approx((wanted, wanted))


def test_names_do_the_wiring():
    assert METRICS["nss"].needs == {"fixations"} and METRICS["nss"].depends_on is None
    assert METRICS["ig"].needs == {"fixations", "baseline"}
    assert METRICS["ig"].depends_on == "baseline"
    values = {"fixations": column([1, 0]), "log_density": np.log(column([0.5, 0.5])), "name": "a"}
    np.testing.assert_allclose(METRICS["nll"].of_batch(values), [1])


def test_every_metric_says_what_its_numbers_mean():
    assert all(metric.unit for metric in METRICS.values())
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
    depending = {m.label: m.depends_on for m in METRICS.values()}
    whole = dict.fromkeys(["CC", "SIM", "KLDiv", "SIM_MIT", "KLDiv_MIT"], "density")
    gains = dict.fromkeys(["IG", "InfoGain_MIT"], "baseline")
    areas = {"AUC": None, "AUC_Judd": None, "sAUC": "negatives", "sAUC_MIT": "negatives"}
    assert depending.items() >= (whole | gains | areas).items()
    assert {m.label for m in METRICS.values() if m.whole} >= {*whole, "AUC_Judd"}


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
    return scoring.score(as_log_density(saliency), known, baseline, saliency)


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
    assert list(found) == FINAL
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
    known = {"density": np.exp(as_log_density(EDGES[truth]))}
    found = scoring.score(as_log_density(saliency), known, saliency, saliency)
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
    found = scoring.score(as_log_density(saliency), known, saliency, saliency)
    wanted = np.mean(reference[1]["edge_cases"][f"NSS({name}; xs=[2,3],ys=[1,2])"])
    assert found["nss"] == pytest.approx(wanted, abs=1e-9)


def made(seed=0, shape=(13, 17)):
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


def known_of(names):
    """Those that are here for good, in the order in which they are given."""
    return [name for name in names if name in THEIRS]


def test_score_gives_what_the_truth_allows():
    log_density, known, baseline = made()
    found = scoring.score(log_density, {"density": known["density"]}, baseline)
    assert known_of(found) == ["cc", "sim", "kld"]
    found = scoring.score(log_density, {"fixations": known["fixations"]}, baseline)
    assert known_of(found) == ["ll", "ig", "auc", "auc_judd", "nss"]


def test_score_without_fixations():
    log_density, known, baseline = made()
    known["fixations"] *= 0
    found = scoring.score(log_density, known, baseline)
    assert list(found) == FINAL
    defined = [name for name, value in found.items() if not np.isnan(value)]
    assert known_of(defined) == ["cc", "sim", "kld"]


def test_without_negatives_there_is_no_shuffled_area():
    log_density, known, baseline = made()
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
    log_density, known, baseline = made()
    wanted = scoring.score(log_density, known, baseline)
    for axis in (0, 1):
        maps = {name: np.flip(x, axis) for name, x in known.items()}
        found = scoring.score(np.flip(log_density, axis), maps, np.flip(baseline, axis))
        assert found == pytest.approx(wanted, rel=1e-12)
    twice = {**known, "fixations": 2 * known["fixations"], "negatives": 3 * known["negatives"]}
    assert scoring.score(log_density, twice, baseline) == pytest.approx(wanted, rel=1e-12)


def test_score_of_a_saliency_map_that_is_the_density():
    log_density, known, baseline = made()
    wanted = scoring.score(log_density, known, baseline)
    found = scoring.score(log_density, known, baseline, np.exp(log_density))
    assert found == pytest.approx(wanted, rel=1e-12)


def test_affine_and_monotone_saliency_maps():
    log_density, known, baseline = made()
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
    found = as_log_density(np.array([[-1, 0], [2, -1]]))
    np.testing.assert_array_equal(np.isneginf(found), [[True, False], [False, True]])
    np.testing.assert_allclose(np.exp(found), [[0, 1 / 4], [3 / 4, 0]])
    for constant in (0, 3, -2):
        np.testing.assert_allclose(as_log_density(np.full((2, 3), constant)), -np.log(6))


def test_a_density_of_zero_is_told_only_where_someone_looked():
    """The second of four pixels has no probability; the truth is uniform."""
    log_density = as_log_density(np.array([[1.0, 0, 2, 1]]))
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


def test_protocols_have_their_metrics_in_the_order_of_columns():
    log_density, known, baseline = made()
    plain = scoring.score(log_density, known, baseline)
    assert [METRICS[name].label for name in plain][:9] == [
        "LL", "IG", "AUC", "AUC_Judd", "sAUC", "NSS", "CC", "SIM", "KLDiv"
    ]  # fmt: skip
    found = scoring.score(log_density, known, baseline, protocol="mit")
    assert [METRICS[name].label for name in found][:7] == [
        "AUC_Judd", "NSS", "CC", "sAUC_MIT", "SIM_MIT", "KLDiv_MIT", "InfoGain_MIT"
    ]  # fmt: skip
    assert (found["cc"], found["nss"]) == (plain["cc"], plain["nss"])
    assert found["sim_mit"] != plain["sim"]


def test_float64_is_kept():
    ones = np.ones((1, 2, 2, 1))
    batch = {"fixations": ones, "log_density": log_density(ones, ones), "valid": ones}
    for name in ("auc", "ll"):
        found = METRICS[name].of_batch(batch)
        assert keras.backend.standardize_dtype(found.dtype) == "float64"


def test_a_term_of_the_loss_that_makes_it_worse_is_said(monkeypatch):
    lines = []
    monkeypatch.setattr(choice.logging, "warning", lambda text, *given: lines.append(text % given))
    choice.check_names("kld:1,nll,cc:-1,sim:-.5,nss:-0.1,entropy:1", None)
    choice.check_names("kld:0,entropy:-1", None)
    assert lines == []
    choice.check_names("kld:-1,cc:1,nss:0.1", None)
    said = "--loss kld:-1,cc:1,nss:0.1: {} becomes worse with a weight of {}; a loss is made small"
    assert lines == [said.format(*term) for term in (("kld", "-1"), ("cc", "1"), ("nss", "0.1"))]
