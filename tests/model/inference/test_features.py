import errno
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import flip
from keras import layers, ops
from networks import one_device

import cache
from errors import UsageError
from model.inference.features import Features, fingerprint
from model.training.strategy import mirrored

ROOT = Path(__file__).parents[3]
SIZE = (16, 24)


def encoder(filters: int = 3, start: int = 0, dilation: int = 1, mean: float = 2.0, size=SIZE):
    """Two convolutions, the second beside the first; kernels of some bits all over."""
    image = keras.Input((*size, 3), name="image", dtype="float32")
    x = layers.Conv2D(filters, 3, strides=8, padding="same", name="a")(ops.divide(image, mean))
    y = layers.Conv2D(filters, 3, padding="same", dilation_rate=dilation, name="b")(x)
    model = keras.Model(image, layers.Concatenate(name="taps")([x, y]), name="encoder")
    random = np.random.default_rng(start)
    model.set_weights([random.normal(0, 0.1, w.shape) for w in model.weights])
    return model


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(9).integers(0, 256, (count, *SIZE, 3)).astype(np.float32)


def dataset(images: np.ndarray, batch: int = 2) -> tf.data.Dataset:
    """Batches as batches.pipeline has them, filled up with weight 0; but with black pictures."""
    filling = -len(images) % batch
    ids = np.r_[np.arange(len(images)), np.zeros(filling, int)]
    weight = np.float32(np.r_[np.ones(len(images)), np.zeros(filling)])
    shown = np.uint8(images[ids] * weight[:, None, None, None])
    whole = {"image": shown, "id": ids, "weight": weight}
    return tf.data.Dataset.from_tensor_slices(whole).batch(batch)


def features(folder, model=None) -> Features:
    return Features(folder, "some", model or encoder(), SIZE)


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


# which features: the fingerprint


def test_a_fingerprint_is_of_what_decides():
    known = fingerprint(encoder(), SIZE)
    assert len(known) == 16 and int(known, 16) >= 0
    assert fingerprint(encoder(), SIZE) == known  # Keras numbers its operations on
    others = [
        fingerprint(encoder(start=1), SIZE),
        fingerprint(encoder(dilation=2), SIZE),  # of the same weights
        fingerprint(encoder(mean=2.5), SIZE),  # in no layer at all
        fingerprint(encoder(size=(16, 32)), SIZE),
        fingerprint(encoder(), (24, 16)),
        fingerprint(encoder(), SIZE, "area"),
    ]
    assert len({known, *others}) == 7


def test_one_bit_of_one_weight_is_another_fingerprint():
    model = encoder()
    known, weights = fingerprint(model, SIZE), model.get_weights()
    weights[-1].view(np.uint32)[0] ^= 1
    model.set_weights(weights)
    assert fingerprint(model, SIZE) != known


def test_a_fingerprint_tells_the_types_of_computation(policy):
    known = fingerprint(encoder(), SIZE)
    policy("mixed_bfloat16")
    assert fingerprint(encoder(), SIZE) != known


# what is kept


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_features_come_back_bit_by_bit(tmp_path, policy, precision):
    policy(precision)
    model, images = encoder(), pictures(5)
    digests = [f"d{index}" for index in range(5)]
    kept = features(tmp_path, model)
    kept.fill(one_device(), lambda _: dataset(images), digests)
    assert kept.rows.lacking(digests) == []
    assert kept.rows.folder.parent == tmp_path / "features"
    assert kept.rows.folder.name == f"some-16x24-{fingerprint(model, SIZE)}"
    step = tf.function(lambda x: model(x, training=False))
    for index, digest in enumerate(digests):
        pair = images[[index, index]]
        expected = step(pair).numpy()[0]
        found = kept.read(digest, None)
        assert found.shape == (2, 3, 6) and found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        assert expected.any() and expected.dtype.name == precision.removeprefix("mixed_")


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_damaged_features_are_made_anew(tmp_path, policy, precision):
    """Of a picture by itself, which is what a batch makes of it but for round-off."""
    policy(precision)
    images, kept = pictures(2), features(tmp_path)
    kept.fill(one_device(), lambda _: dataset(images), ["a", "b"])
    place = kept.rows.place("a")
    whole = place.read_bytes()
    flip(place, 9)
    for _ in range(2):
        found = kept.read("a", lambda: np.uint8(images[0]))
        stored = np.frombuffer(whole[:-4], found.dtype).reshape(found.shape)
        tolerance = 1e-6 if precision == "float32" else 2**-7
        np.testing.assert_allclose(np.float32(found), np.float32(stored), rtol=tolerance, atol=1e-5)
    assert place.stat().st_size == len(whole) and kept.rows.read("a", found)


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    written, whole = [], Path.write_bytes

    def write(path, stored):
        written.append(path)
        if len(written) < 3:
            return whole(path, stored)
        whole(path, stored[: len(stored) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(UsageError, match="features can be kept there: no space left on device$"):
        features(tmp_path).fill(one_device(), lambda _: dataset(pictures(4)), list("abcd"))
    assert files(tmp_path) == ["a", "b"]


def test_an_interrupt_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupted(path, stored):
        path.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        features(tmp_path).fill(one_device(), lambda _: dataset(pictures(2)), ["a", "b"])
    assert files(tmp_path) == []


def test_a_disk_that_is_too_small_is_said_before_the_first_picture(tmp_path, monkeypatch):
    needed = 4 * 2 * 3 * 6 * 5
    usage = cache.shutil.disk_usage(tmp_path)._replace(free=int(needed / cache.ROOM) - 1)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UsageError, match="kept there: 0.0 gb are needed, 0.0 gb free"):
        features(tmp_path).fill(one_device(), lambda _: dataset(pictures(5)), list("abcde"))
    assert files(tmp_path) == []
    features(tmp_path).fill(one_device(), lambda _: dataset(pictures(4)), list("abcd"))


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UsageError, match="file/features/.*: no features can be kept there: not a directory"
    ):
        features(tmp_path / "file").fill(one_device(), lambda _: dataset(pictures(1)), ["a"])


# several at once

FILLING = """
import sys
sys.path[:0] = ["tests", "tests/model/inference"]
from pathlib import Path
from networks import one_device
from test_features import SIZE, dataset, features, pictures
from model.inference.features import fingerprint
kept, digests = features(Path(sys.argv[1])), [*map(str, range(40))]
print("ready", flush=True)
kept.fill(one_device(), lambda _: dataset(pictures(40)), digests)
print(fingerprint(kept.encoder, SIZE))
"""


@pytest.mark.slow
def test_two_processes_fill_one_folder_of_one_fingerprint(tmp_path):
    """This one, which built others before, and one that did not."""
    command = [sys.executable, "-c", FILLING, tmp_path / "both"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    names = [str(index) for index in range(40)]
    with subprocess.Popen(command, cwd=ROOT, **pipes) as other:
        other.stdout.readline()
        features(tmp_path / "both").fill(one_device(), lambda _: dataset(pictures(40)), names)
        out, err = other.communicate()
    assert other.returncode == 0, err
    assert out.strip() == fingerprint(encoder(), SIZE)
    assert files(tmp_path / "both") == sorted(names)


def test_two_devices_share_the_pictures(tmp_path):
    strategy, images = mirrored(4, 2), pictures(8)
    with strategy.scope():
        kept = features(tmp_path)
    digests = [str(index) for index in range(8)]
    kept.fill(strategy, lambda share: dataset(images, 4 // share[2]), digests)
    found = np.stack([kept.read(digest, None) for digest in digests])
    np.testing.assert_allclose(found, kept.encoder(images), rtol=0, atol=1e-4)
    assert fingerprint(kept.encoder, SIZE) == fingerprint(encoder(), SIZE)
