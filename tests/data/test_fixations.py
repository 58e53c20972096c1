import fcntl
import json
import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import gaussian_filter

from config import UsageError
from data.fixations import Fixations, blur, concatenate, counts, read_hdf5, read_names, table
from data.fixations import write_hdf5 as write

OSIE = Path(__file__).parents[3] / "shared" / "corpora" / "osie_pysaliency"
real = pytest.mark.skipif(not OSIE.is_dir(), reason="the real corpora are not beside the checkout")
COLUMNS = ("x", "y", "n", "subject", "t", "duration", "scanpath")
NAMES, SHAPES = ["a.jpg", "b/c.png"], [(30, 40, 3), (10, 20)]


def equal(one: Fixations, other: Fixations) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def scanpaths() -> Fixations:
    """Fractions, a repeat within a scanpath, and scanpaths of several lengths."""
    return table(
        x=[3.25, 3.25, 39.9, 0, 7, 7.5],
        y=[1, 1, 29.5, 0, 2, 2],
        n=[0, 0, 0, 1, 1, 1],
        subject=[4, 4, 4, 2, 9, 9],
        t=[0, 1, 2, 0, 0.5, 0.75],
        duration=[0.1, 0.2, 0.3, 0.4, 0.5, np.nan],
        scanpath=[0, 0, 0, 1, 2, 2],
    )


# the table


def test_a_scalar_stands_for_all_rows_and_the_unknown_is_marked():
    found = table([1, 2], [3, 4], 5)
    assert found.n.tolist() == [5, 5]
    assert found.subject.tolist() == found.scanpath.tolist() == [-1, -1]
    assert np.isnan(found.t).all() and np.isnan(found.duration).all()
    kinds = {name: getattr(found, name).dtype for name in COLUMNS}
    assert {name for name, kind in kinds.items() if kind == np.int64} == {
        "n",
        "subject",
        "scanpath",
    }
    assert {name for name, kind in kinds.items() if kind == np.float64} == {
        "x",
        "y",
        "t",
        "duration",
    }


def test_the_table_is_a_copy_of_what_it_was_made_from():
    x = np.zeros(2)
    found = table(x, x, 0)
    x[:] = 7
    assert found.x.tolist() == found.y.tolist() == [0, 0]


def test_by_stimulus_gives_every_stimulus_its_rows_in_order():
    found = table([1, 2, 3, 4], [0] * 4, [2, 0, 2, 0])
    parts = found.by_stimulus(4)
    assert [part.x.tolist() for part in parts] == [[2, 4], [], [1, 3], []]


def test_concatenated_scanpaths_stay_apart_and_the_unknown_stay_unknown():
    unknown = table([1], [1], 0)
    both = concatenate([scanpaths(), unknown, scanpaths()])
    assert both.scanpath.tolist() == [0, 0, 0, 1, 2, 2, -1, 3, 3, 3, 4, 5, 5]
    assert both.x.tolist() == [*scanpaths().x, 1, *scanpaths().x]
    assert scanpaths().ordered and not both.ordered
    assert len(concatenate([])) == 0


# counts


def test_counts_at_the_floor_pixel_with_repeats():
    found = counts([0.99, 0, 2.5, 2.5], [0, 0.5, 1.999, 1], (2, 3))
    np.testing.assert_array_equal(found, [[2, 0, 0], [0, 0, 2]])


def test_what_lies_outside_counts_nowhere():
    x = [-0.01, 3, 1, 1, np.nan, 1, 2.999]
    y = [1, 1, -0.01, 2, 1, np.nan, 1.999]
    np.testing.assert_array_equal(counts(x, y, (2, 3, 3)), [[0, 0, 0], [0, 0, 1]])


def test_scaling_moves_coordinates():
    # 4x6 -> 2x3: halves; 2x2 -> 4x4: the pixel at (1, 0) begins at (2, 0).
    np.testing.assert_array_equal(
        counts([1.9, 5, 4], [3, 0, 1], (4, 6), (2, 3)), [[0, 0, 2], [1, 0, 0]]
    )
    assert np.argwhere(counts([1], [0], (2, 2), (4, 4))).tolist() == [[0, 2]]


@settings(deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(-5, 60), st.floats(-5, 60)), max_size=30),
    shape=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_counts_sum_to_the_fixations_inside_at_any_size(points, shape, size):
    x, y = np.reshape(points, (-1, 2)).T
    inside = sum(0 <= a < shape[1] and 0 <= b < shape[0] for a, b in points)
    found = counts(x, y, shape, size)
    assert found.shape == size and found.sum() == inside


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_last_coordinate_inside_is_in_the_last_pixel(side, wanted):
    last = np.nextafter(side, 0)
    assert counts([last], [0], (1, side), (1, wanted))[0, -1] == 1


# blur


def test_blur_is_a_gaussian_by_its_formula():
    one = np.zeros((41, 41))
    one[20, 20] = 1
    row, column = np.mgrid[-20:21, -20:21]
    bell = np.exp(-(row**2 + column**2) / (2 * 3.0**2))
    bell[(abs(row) > 12) | (abs(column) > 12)] = 0  # cut off at 4 sigma
    np.testing.assert_allclose(blur(one, 3), bell / bell.sum(), atol=1e-15)


def test_edges_reflect():
    edge = np.zeros((1, 30))
    edge[0, 0] = 1
    weights = np.exp(-(np.arange(-8, 9) ** 2) / (2 * 2.0**2))
    weights /= weights.sum()
    # The mirror lies before the first pixel: pixel k gets what k and -1 - k would.
    expected = [weights[8 + k] + (weights[8 + k + 1] if k < 8 else 0) for k in range(9)]
    np.testing.assert_allclose(blur(edge, 2)[0, :9], expected, atol=1e-15)


@settings(deadline=None, max_examples=50)
@given(
    arrays.arrays(
        np.int64,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.integers(0, 9),
    ),
    st.floats(0.3, 40),
)
def test_blur_keeps_the_sum_and_nothing_below_zero(levels, sigma):
    found = blur(levels, sigma)
    assert found.dtype == np.float64 and (found >= 0).all()
    np.testing.assert_allclose(found.sum(), levels.sum(), rtol=1e-9)


@pytest.mark.parametrize(
    "shape, sigma", [((60, 80), 2.4), ((80, 60), 24), ((1, 9), 3), ((7, 1), 30)]
)
@pytest.mark.parametrize("many", [0, 1, 30])
def test_blur_is_that_of_scipy_and_pysaliency(shape, sigma, many):
    random = np.random.default_rng(many)
    sparse = np.zeros(shape)
    np.add.at(sparse, tuple(random.integers(0, side, many) for side in shape), 1)
    expected = gaussian_filter(sparse, sigma, mode="reflect", truncate=4.0)
    np.testing.assert_allclose(blur(sparse, sigma), expected, rtol=1e-12, atol=1e-16)


# HDF5


def test_scanpaths_come_back_as_they_were(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    equal(read_hdf5(tmp_path / "fixations.hdf5"), scanpaths())
    assert read_names(tmp_path / "stimuli.hdf5") == NAMES


def test_fixations_without_order_come_back_as_they_were(tmp_path):
    points = table([3.25, 3.25, 0], [1, 1, 2.5], [1, 1, 0])
    write(tmp_path, NAMES, SHAPES, points)
    equal(read_hdf5(tmp_path / "fixations.hdf5"), points)


def test_an_empty_table_comes_back(tmp_path):
    write(tmp_path, NAMES, SHAPES, concatenate([]))
    assert len(read_hdf5(tmp_path / "fixations.hdf5", NAMES)) == 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900)), min_size=1, max_size=6),
        min_size=1,
        max_size=6,
    )
)
def test_any_scanpaths_come_back(tmp_path_factory, paths):
    folder = tmp_path_factory.mktemp("hdf5")
    written = concatenate(
        table(*np.transpose(points), i % 2, i, np.arange(len(points)), 0.25, 0)
        for i, points in enumerate(paths)
    )
    write(folder, NAMES, SHAPES, written)
    equal(read_hdf5(folder / "fixations.hdf5"), written)


def test_the_files_say_what_pysaliency_needs(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    with h5py.File(tmp_path / "stimuli.hdf5") as file:
        assert file.attrs["type"] == b"FileStimuli" and file.attrs["version"] == b"2.1"
        assert file.attrs["size"] == 2 and file.attrs["__attributes__"] == b"[]"
        assert file["filenames"][...].tolist() == [b"stimuli/a.jpg", b"stimuli/b/c.png"]
        assert [shape.tolist() for shape in file["shapes"]] == [[30, 40, 3], [10, 20]]
    with h5py.File(tmp_path / "fixations.hdf5") as file:
        assert file.attrs["type"] == b"FixationTrains" and file.attrs["version"] == b"1.2"
        np.testing.assert_array_equal(file["train_xs"][1:], [[0, np.nan, np.nan], [7, 7.5, np.nan]])
        np.testing.assert_array_equal(file["train_ts"][2], [0.5, 0.75, np.nan])
        assert file["train_ns"][...].tolist() == [0, 1, 1]
        assert file["train_subjects"][...].tolist() == [4, 2, 9]
        assert json.loads(file.attrs["scanpath_attribute_mapping"]) == {"durations": "duration"}
        durations = file["scanpath_fixation_attributes/durations"]
        np.testing.assert_array_equal(durations[0], [0.1, 0.2, 0.3])


def test_stimuli_in_another_order_are_renumbered_and_strangers_left_out(tmp_path, caplog):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    path = tmp_path / "fixations.hdf5"
    assert read_hdf5(path, ["0.jpg", "b/c.png", "z.jpg", "a.jpg"]).n.tolist() == [3, 3, 3, 1, 1, 1]
    with caplog.at_level(logging.WARNING):
        some = read_hdf5(path, ["0.jpg", "b/c.png"])
    assert some.n.tolist() == [1, 1, 1] and some.x.tolist() == [0, 7, 7.5]
    assert "1 of its stimuli" in caplog.text and "'a.jpg'" in caplog.text
    assert "3 fixations" in caplog.text
    with pytest.raises(UsageError, match="2 of its stimuli are not here, first 'a.jpg'"):
        read_hdf5(path, ["0.jpg"])


def test_without_stimuli_hdf5_the_order_is_taken_and_the_number_checked(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    (tmp_path / "stimuli.hdf5").unlink()
    path = tmp_path / "fixations.hdf5"
    assert read_hdf5(path, ["x.jpg", "y.jpg"]).n.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(UsageError, match=r"stimuli 0\.\.1, allowed are 0\.\.0"):
        read_hdf5(path, ["x.jpg"])


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("stimuli/Art/1.jpg", "Art/1.jpg"),
        ("/home/me/stimuli/mit/Stimuli/1.jpg", "1.jpg"),
        ("mystimuli/1.jpg", "mystimuli/1.jpg"),
        ("1.jpg", "1.jpg"),
    ],
)
def test_names_are_those_below_stimuli(tmp_path, stored, name):
    with h5py.File(tmp_path / "stimuli.hdf5", "w") as file:
        file.attrs["type"], file.attrs["version"] = "FileStimuli", "1.0"  # text, not bytes
        file["filenames"] = [stored]
    assert read_names(tmp_path / "stimuli.hdf5") == [name]


def test_observers_with_names_are_numbered_and_lengths_go_before_nan(tmp_path):
    with h5py.File(tmp_path / "fixations.hdf5", "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("FixationTrains"), np.bytes_("1.3")
        for name in ("train_xs", "train_ys", "train_ts"):
            file[name] = [[1.0, np.nan, 5.0], [2.0, 3.0, 9.0]]
        file["train_ns"], file["train_lengths"] = [0, 1], [2, 2]
        file["train_subjects"] = ["zoe", "ann"]
    found = read_hdf5(tmp_path / "fixations.hdf5")
    np.testing.assert_array_equal(found.x, [1, np.nan, 2, 3])
    assert found.subject.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("kind", "version"), [("FixationTrains", "9.9"), ("Stimuli", "1.1"), (None, None)]
)
def test_an_unknown_type_or_version_is_said_with_what_is_readable(tmp_path, kind, version):
    path = tmp_path / "fixations.hdf5"
    with h5py.File(path, "w") as file:
        if kind:
            file.attrs["type"], file.attrs["version"] = np.bytes_(kind), np.bytes_(version)
    said = f"type {kind or 'none'}, version {version or 'none'}; readable are FixationTrains 1.0"
    with pytest.raises(UsageError, match=said) as error:
        read_hdf5(path)
    assert "\n" not in str(error.value)


def test_damaged_files_are_one_line_that_names_them(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    path = tmp_path / "fixations.hdf5"
    whole = path.read_bytes()
    for content in (b"", b"no HDF5", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="fixations.hdf5: not a whole") as error:
            read_hdf5(path)
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="gone.hdf5: no such file"):
        read_hdf5(tmp_path / "gone.hdf5")


def test_a_file_that_another_program_has_locked_is_read(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    with open(tmp_path / "fixations.hdf5", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        equal(read_hdf5(tmp_path / "fixations.hdf5"), scanpaths())


def test_a_file_without_its_data_is_one_line(tmp_path):
    with h5py.File(tmp_path / "f.hdf5", "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("Fixations"), np.bytes_("1.0")
    with pytest.raises(UsageError, match="f.hdf5: not a whole"):
        read_hdf5(tmp_path / "f.hdf5")


@real
@pytest.mark.corpus
def test_every_real_variant_reads_the_same():
    whole = read_hdf5(OSIE / "fixations.hdf5")
    first = whole.select(whole.n < 12)
    variants = sorted((OSIE / "variants").glob("*/fixations*.hdf5"))
    assert len(whole) == 98321 and len(variants) == 5
    for variant in variants:
        equal(read_hdf5(variant), first)
    assert read_names(OSIE / "stimuli.hdf5") == [f"{n}.jpg" for n in range(1001, 1701)]


@real
@pytest.mark.corpus
def test_what_we_write_of_osie_has_pysaliencys_layout(tmp_path):
    shapes = [(600, 800, 3)] * 700
    names = read_names(OSIE / "stimuli.hdf5")
    write(tmp_path, names, shapes, read_hdf5(OSIE / "fixations.hdf5"))
    for name in ("stimuli.hdf5", "fixations.hdf5"):
        assert layout(tmp_path / name) == layout(OSIE / name)


def layout(path: Path) -> dict:
    """Every node's shape, kind and attributes, with their kinds and values."""
    found = {}

    def visit(name, node):
        attributes = {k: (str(node.attrs.get_id(k).dtype), v) for k, v in node.attrs.items()}
        found[name] = (getattr(node, "shape", None), str(getattr(node, "dtype", "")), attributes)

    with h5py.File(path, "r", locking=False) as file:
        visit("/", file)
        file.visititems(visit)
    return found
