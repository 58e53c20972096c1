from pathlib import Path

import numpy as np
import pytest
from absl import logging
from helpers import refusal
from PIL import Image

from data.predictions import Predictions
from data.samples import Sample
from errors import UsageError

SHAPE = (3, 4)
FLAT = np.full(SHAPE, -np.log(12))


def sample(name="1.jpg", shape=SHAPE):
    return Sample(name, Path("stimuli") / name, shape)


@pytest.fixture
def folder(tmp_path):
    """Writes arrays by name, and returns their folder."""

    def make(**files):
        for name, values in files.items():
            path = tmp_path / "maps" / (name.replace("__", "/") + ".npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values)
        return tmp_path / "maps"

    return make


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *values: lines.append(text % values))
    return lines


def read(folder, kind="density", one=None):
    one = one or sample()
    return Predictions(folder, kind, [one])(one)


def refused(folder, kind="density", one=None):
    """Return the error's line, without the path of the folder."""
    return refusal(read, folder, kind, one).replace(f"{folder}", "maps")


def test_a_log_density_is_normalised_to_the_last_bit(folder):
    values = np.log(np.arange(1, 13).reshape(SHAPE) / 78)
    found = read(folder(**{"1": (values + 9e-4).astype(np.float32)}))
    assert found.dtype == np.float64 and found.shape == SHAPE
    np.testing.assert_allclose(found, values, atol=1e-6)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-14)


def test_densities_that_do_not_quite_sum_to_1_are_made_to_and_said_once(folder, monkeypatch):
    """As np.log(density + 1e-8) gives for 480,000 pixels: 1.0048."""
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    density = np.arange(1, 13).reshape(SHAPE) / 78
    maps = folder(
        **{"1": np.log(density + 0.0048 / 12), "2": np.log(density), "3": np.log(density * 0.992)}
    )
    predictions = Predictions(maps, "density", [sample(f"{k}.jpg") for k in (1, 2, 3)])
    np.testing.assert_allclose(
        np.exp(predictions(sample("1.jpg"))), (density + 0.0004) / 1.0048, rtol=1e-12
    )
    np.testing.assert_allclose(np.exp(predictions(sample("3.jpg"))), density, rtol=1e-12)
    predictions(sample("2.jpg"))
    assert lines == []
    predictions.notices()
    assert lines == [
        f"{maps}: 2 of 3 densities did not sum to 1, the furthest '3.npy', to 0.9920; made to, by "
        "subtracting their logsumexp"
    ]


@pytest.mark.parametrize(("sign", "told"), [(1, 0), (-1, 1)])
def test_inverted_maps_are_said(tmp_path, monkeypatch, sign, told):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    y, x = np.mgrid[:20, :30]
    looked = [Sample(f"{k}.jpg", Path(f"{k}.jpg"), shape=(20, 30)) for k in range(3)]
    for k in range(3):
        bump = np.exp(-((x - 14 - k) ** 2 + (y - 10) ** 2) / 20)
        np.save(tmp_path / f"{k}.npy", 5 + sign * bump)
    predictions = Predictions(tmp_path, "saliency", looked)
    for each in looked:
        predictions(each)
    predictions.notices()
    said = f"{tmp_path}: 3 of 3 maps are brighter at the border than in the middle: inverted?"
    assert lines == [said] * told


def test_round_off_is_not_said(folder, monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    predictions = Predictions(folder(**{"1": FLAT + 9e-5}), "density", [sample()])
    np.testing.assert_allclose(predictions(sample()), FLAT, rtol=1e-12)
    predictions.notices()
    assert lines == []


def test_a_log_density_is_no_saliency_map(folder):
    """Shifted up and divided by its sum, it would be another density."""
    said = "maps/1.npy: it is a log-density, no saliency map: --kind density"
    assert refused(folder(**{"1": FLAT}), "saliency") == said
    assert (read(folder(**{"1": np.exp(FLAT)}), "saliency") == np.exp(FLAT)).all()
    assert (read(folder(**{"1": FLAT - 1}), "saliency") == FLAT - 1).all()


def test_a_channel_axis_of_one_is_taken_off(folder):
    assert read(folder(**{"1": FLAT[..., None]})).shape == SHAPE


def test_impossible_places_stay_impossible(folder):
    values = np.log(np.eye(3, 4) / 3, where=np.eye(3, 4) > 0, out=np.full(SHAPE, -np.inf))
    found = read(folder(**{"1": values}))
    np.testing.assert_allclose(np.exp(found), np.eye(3, 4) / 3)
    assert np.isneginf(found).sum() == 9


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.full(SHAPE, np.nan), "12 of 12 values are NaN or inf; only -inf may be"),
        (np.where(np.eye(3, 4) > 0, np.inf, -3.0), "3 of 12 values are NaN or inf; only -inf"),
        (FLAT + 0.01, "sums to 1.01005, must be 1; subtract scipy.special.logsumexp(x) from"),
        (np.full(SHAPE, -np.inf), "its density sums to 0, must be 1"),
        (np.full(SHAPE, 1e4), "its density sums to inf, must be 1"),
        (FLAT / np.log(2), "must be 1; its logarithms are to base 2: multiply them by log(2)"),
        (FLAT / np.log(10), "must be 1; its logarithms are to base 10: multiply them by log(10)"),
        (np.exp(FLAT), "must be 1; it is a density, of which the natural logarithm is needed"),
        (FLAT.T, "its shape is 4x3, must be the stimulus' 3x4"),
        (np.stack([FLAT, FLAT], 2), "its shape is 3x4x2, must be"),
        (np.float64(1), "its shape is that of one number, must be"),
        (FLAT + 0j, "holds complex128, must be real numbers"),
        (FLAT.astype(str), "holds <U"),
    ],
)
def test_what_is_no_log_density_is_refused(folder, values, text):
    message = refused(folder(**{"1": values}))
    assert message.startswith("maps/1.npy: ") and text in message


def test_saliency_is_as_it_is_but_finite(folder):
    values = np.arange(12.0).reshape(SHAPE) - 5
    assert (read(folder(**{"1": values}), "saliency") == values).all()
    values[0, 0] = -np.inf
    assert refused(folder(**{"1": values}), "saliency").endswith(
        "1 of 12 values are NaN or infinite"
    )


def test_pictures_are_saliency_maps_in_their_own_levels(folder, tmp_path):
    maps = folder(**{"2": FLAT})
    levels = np.arange(12, dtype=np.uint16).reshape(SHAPE) * 5000
    Image.fromarray(levels).save(maps / "1.png")
    found = read(maps, "saliency")
    assert found.dtype == np.float64 and (found == levels).all()
    (maps / "2.npy").unlink()
    assert "no density in 1.png; endings are .npy" in refused(maps, "density")


def test_coloured_pictures_are_no_saliency_maps(folder):
    maps = folder(**{"2": FLAT})
    Image.fromarray(np.uint8([[(0, 0, 128)] * 4, [(128, 255, 120)] * 4, [(255, 0, 0)] * 4])).save(
        maps / "1.png"
    )
    assert refused(maps, "saliency").startswith("maps/1.png: it is coloured, and a heat map")


def test_pickles_are_not_run(folder):
    class Trap:
        def __reduce__(self):
            return exec, ("raise SystemExit('it was run')",)

    maps = folder()
    maps.mkdir()
    np.save(maps / "1.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    assert "not a whole .npy file of numbers" in refused(maps)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:50],
        lambda whole: whole[:-1],
        lambda whole: b"PK\x03\x04" + whole,
        lambda whole: whole.replace(b"(3, 4), }   ", b"(3, 4000),} "),
        lambda whole: whole.replace(b"(3, 4), }" + b" " * 20, b"(3, 1" + 22 * b"0" + b"),}"),
    ],
)
def test_damaged_files_are_an_error_of_one_line(folder, damage):
    maps = folder(**{"1": FLAT})
    whole = (maps / "1.npy").read_bytes()
    (maps / "1.npy").write_bytes(damage(whole))
    assert (maps / "1.npy").read_bytes() != whole
    assert "maps/1.npy: not a whole .npy file of numbers" in refused(maps)


@pytest.mark.parametrize(
    "shape",
    [b"[" * 190, b"(" * 190, b"-" * 9000 + b"1", b"(1" + b",1" * 4000 + b")", b"((((1,),),),)"],
)
def test_a_header_that_is_deep_or_long(folder, shape):
    """A header is read as Python: SyntaxError, TokenError, RecursionError and MemoryError."""
    maps = folder(**{"1": FLAT})
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + b", }\n"
    begin = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little")
    (maps / "1.npy").write_bytes(begin + header + bytes(96))
    assert "maps/1.npy: not a whole .npy file of numbers" in refused(maps)


def test_sub_folders_are_kept(folder):
    maps = folder(Action__001=FLAT, Art__001=np.log(np.eye(3, 4) / 3 + 1e-30))
    samples = [sample("Action/001.jpg"), sample("Art/001.jpg")]
    predictions = Predictions(maps, "density", samples)
    np.testing.assert_allclose(predictions(samples[0]), FLAT)
    assert predictions(samples[1])[0, 1] < -60


def test_a_flat_folder_does_where_names_are_unique(folder):
    samples = [sample("Action/001.jpg"), sample("Art/002.jpg")]
    assert Predictions(folder(**{"001": FLAT, "002": FLAT}), "density", samples)(samples[1]).any()
    samples[1] = sample("Art/001.jpg")
    with pytest.raises(UsageError, match=r"2 of 2 stimuli have no density, first 'Action/001.jpg'"):
        Predictions(folder(), "density", samples)


def test_names_may_have_points(folder):
    assert read(folder(**{"a.b": FLAT}), one=sample("a.b.jpg")).shape == SHAPE


def test_missing_files_are_counted_and_the_first_named(folder):
    samples = [sample(f"{i}.jpg") for i in range(4)]
    with pytest.raises(UsageError) as error:
        Predictions(folder(**{"0": FLAT, "2": FLAT}), "density", samples)
    assert "2 of 4 stimuli have no density, first '1.jpg'; its file would be '1.npy'" in str(
        error.value
    )


def test_files_of_no_stimulus_are_left_out_and_said(folder, said):
    read(folder(**{"1": FLAT, "other__7": FLAT, "9": FLAT}))
    assert len(said) == 1
    assert said[0].endswith("2 files are of no stimulus that is tested, first '9.npy'; left out")


def test_nothing_is_said_where_all_is_in_place(folder, said):
    read(folder(**{"1": FLAT}))
    assert said == []


def test_two_files_of_one_stimulus_are_refused(folder):
    maps = folder(**{"1": FLAT})
    Image.new("L", (4, 3)).save(maps / "1.png")
    assert refused(maps, "saliency") == "maps: '1.npy' and '1.png' are of one stimulus, '1.jpg'"


def test_a_folder_that_is_none_is_refused(tmp_path):
    assert refused(tmp_path / "nowhere").startswith("--predictions maps: no such folder")
