import errno
import subprocess
import sys
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from helpers import one_line
from keras import layers, ops
from networks import one_device

from errors import UsageError
from model.inference import features
from model.inference.features import fill, fingerprint, lacking, read
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
    fill(one_device(), model, lambda _: dataset(images), digests, tmp_path / "f")
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == [f"{d}.npy" for d in digests]
    step = tf.function(lambda x: model(x, training=False))
    for index, digest in enumerate(digests):
        pair = images[[index, index]]
        expected = step(pair).numpy()[0]
        found = read(tmp_path / "f", digest)
        assert found.shape == (2, 3, 6) and found.dtype in (np.float32, np.float16)
        np.testing.assert_array_equal(found, expected.astype(np.float32))
        assert expected.any() and expected.dtype.name == precision.removeprefix("mixed_")


def test_bfloat16_takes_half_the_room_and_loses_nothing(tmp_path):
    every = np.arange(2**16, dtype=np.uint16).view(ml_dtypes.bfloat16)
    every = every[np.isfinite(every.astype(np.float32))]
    features.save(tmp_path / "all.npy", every)
    assert np.load(tmp_path / "all.npy").nbytes == 2 * len(every)
    found = read(tmp_path, "all")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        found.astype(ml_dtypes.bfloat16).view(np.uint16), every.view("u2")
    )


def test_only_what_lacks_is_named_and_each_once(tmp_path):
    assert lacking(tmp_path / "nothing", ["a", "b", "a"]) == [0, 1]
    features.save(tmp_path / "b.npy", np.ones(3, np.float32))
    assert lacking(tmp_path, ["b", "a", "b", "c", "a"]) == [1, 3]
    assert lacking(tmp_path, ["b"]) == []


def test_pictures_without_a_digest_share_no_file(tmp_path):
    with pytest.raises(ValueError, match="a picture without a digest"):
        lacking(tmp_path, ["", ""])


def test_a_later_picture_changes_no_earlier_file(tmp_path):
    model, images = encoder(), pictures(3)
    fill(one_device(), model, lambda _: dataset(images[:2]), ["a", "b"], tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    fill(one_device(), model, lambda _: dataset(images[2:]), ["c"], tmp_path)
    assert all((p.stat().st_mtime_ns, p.read_bytes()) == known for p, known in before.items())
    assert lacking(tmp_path, ["a", "b", "c"]) == []


# damage


def flipped(stored: bytes) -> bytes:
    """A bit of the last value, whose array loads as well as the whole one."""
    return stored[:-6] + bytes([stored[-6] ^ 1]) + stored[-5:]


DAMAGES = {
    "truncated": lambda stored: stored[:-40],
    "without its checksum": lambda stored: stored[:-4],
    "empty": lambda stored: b"",
    "four zeros": lambda stored: bytes(4),
    "all zeros": lambda stored: bytes(len(stored)),
    "a bit": flipped,
    "another shape": lambda stored: stored.replace(b"(2, 3)", b"(3, 2)"),
    "text": lambda stored: b"not an array at all",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_and_made_anew(tmp_path, damage, caplog):
    path = tmp_path / "a.npy"
    features.save(path, np.arange(6, dtype=np.float32).reshape(2, 3))
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert path.read_bytes() != whole
    with one_line(r"a\.npy: damaged, its checksum is another; "):
        read(tmp_path, "a")
    assert lacking(tmp_path, ["a"]) == [0]
    assert "made anew" in caplog.text
    features.save(path, np.arange(6, dtype=np.float32).reshape(2, 3))
    assert path.read_bytes() == whole and lacking(tmp_path, ["a"]) == []


def test_all_that_is_damaged_is_made_anew_once_some_was_found(tmp_path, monkeypatch):
    for digest in "abc":
        features.save(tmp_path / f"{digest}.npy", np.ones((2, 3), np.float32))
    for digest in "ab":
        (tmp_path / f"{digest}.npy").write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.delattr(features, "content")  # nothing is read without a reason
        assert lacking(tmp_path, list("abcd")) == [3]
    with one_line("the run, started again, makes it"):
        read(tmp_path, "b")
    assert lacking(tmp_path, list("abcd")) == [0, 1, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.npy"]


def test_features_that_are_not_there_are_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"a\.npy: no such file or directory; the run, started"):
        read(tmp_path, "a")


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
        fill(one_device(), encoder(), lambda _: dataset(pictures(4)), list("abcd"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npy"]
    assert lacking(tmp_path, list("abcd")) == [2, 3]


def test_an_interrupt_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupted(path, stored):
        path.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill(one_device(), encoder(), lambda _: dataset(pictures(2)), ["a", "b"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_said_before_the_first_picture(tmp_path, monkeypatch):
    usage = features.shutil.disk_usage(tmp_path)._replace(free=4 * 2 * 3 * 6 * 5 - 1)
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UsageError, match="the features of 5 pictures need 0.0 GB, 0.0 GB are free"):
        fill(one_device(), encoder(), lambda _: dataset(pictures(5)), list("abcde"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    fill(one_device(), encoder(), lambda _: dataset(pictures(4)), list("abcd"), tmp_path)


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/f: no features can be kept there: not a directory"):
        fill(
            one_device(), encoder(), lambda _: dataset(pictures(1)), ["a"], tmp_path / "file" / "f"
        )


# several at once

FILLING = """
import sys
sys.path[:0] = ["tests", "tests/model/inference"]
from pathlib import Path
from networks import one_device
from test_features import SIZE, dataset, encoder, pictures
from model.inference.features import fill, fingerprint
made, digests = encoder(), [*map(str, range(40))]
print("ready", flush=True)
fill(one_device(), made, lambda _: dataset(pictures(40)), digests, Path(sys.argv[1]))
print(fingerprint(made, SIZE))
"""


@pytest.mark.slow
def test_two_processes_fill_one_folder_of_one_fingerprint(tmp_path):
    """This one, which built others before, and one that did not."""
    command = [sys.executable, "-c", FILLING, tmp_path / "both"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    names = [str(index) for index in range(40)]
    with subprocess.Popen(command, cwd=ROOT, **pipes) as other:
        other.stdout.readline()
        fill(one_device(), encoder(), lambda _: dataset(pictures(40)), names, tmp_path / "both")
        out, err = other.communicate()
    assert other.returncode == 0, err
    assert out.strip() == fingerprint(encoder(), SIZE)
    assert sorted(path.stem for path in (tmp_path / "both").iterdir()) == sorted(names)
    assert lacking(tmp_path / "both", names) == []


def test_two_devices_share_the_pictures(tmp_path):
    strategy, images = mirrored(4, 2), pictures(8)
    with strategy.scope():
        model = encoder()
    digests = [str(index) for index in range(8)]
    fill(strategy, model, lambda share: dataset(images, 4 // share[2]), digests, tmp_path)
    features = np.stack([read(tmp_path, digest) for digest in digests])
    np.testing.assert_allclose(features, model(images), rtol=0, atol=1e-4)
    assert fingerprint(model, SIZE) == fingerprint(encoder(), SIZE)
