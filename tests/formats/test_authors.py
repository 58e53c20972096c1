import logging
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from authors_files import (
    cat2000_mat,
    dutomron_mat,
    osie_mat,
    pascals_mat,
    points_picture,
    salicon_mat,
)
from helpers import one_line
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from errors import UsageError
from formats import authors
from formats.pictures import maps

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
real = pytest.mark.skipif(
    not CORPORA.is_dir(), reason="the real corpora are not beside the checkout"
)


def stimuli(*names):
    return {name: Path(name) for name in names}


def rows(table, *columns):
    return list(zip(*(getattr(table, name).tolist() for name in columns), strict=True))


def test_salicon_subtracts_one_and_keeps_order_observers_and_fractions(tmp_path):
    salicon_mat(tmp_path / "a.mat", [[(3, 4), (1.5, 1), (3, 4)], [], [(640, 480)]])
    salicon_mat(tmp_path / "b.mat", [[(10, 20)]])
    files = {"val/b.mat": tmp_path / "b.mat", "train/a.mat": tmp_path / "a.mat"}
    table = authors.read_salicon(files, stimuli("val/b.jpg", "test/c.jpg", "train/a.jpg"))
    # sorted: test/c.jpg is 0, train/a.jpg 1, val/b.jpg 2
    assert rows(table, "n", "subject", "scanpath", "t", "x", "y") == [
        (1, 0, 0, 0, 2, 3),
        (1, 0, 0, 1, 0.5, 0),
        (1, 0, 0, 2, 2, 3),
        (1, 2, 1, 0, 639, 479),
        (2, 0, 2, 0, 9, 19),
    ]
    assert np.isnan(table.duration).all()


def test_cat2000_gives_pixel_centres_and_repeats(tmp_path):
    counts = np.zeros((4, 6))
    counts[1, 5], counts[3, 0] = 1, 3
    cat2000_mat(tmp_path / "001.mat", counts)
    names = stimuli("Art/001.jpg", "Action/001.jpg")
    table = authors.read_cat2000({"Art/001.mat": tmp_path / "001.mat"}, names)
    assert rows(table, "n", "x", "y") == [(1, 5.5, 1.5)] + [(1, 0.5, 3.5)] * 3
    assert set(table.subject) == set(table.scanpath) == {-1}
    assert not table.ordered


def test_dutomron_takes_observer_0_for_the_size_and_the_others_from_0(tmp_path):
    dutomron_mat(tmp_path / "a.mat", [(0, 7, 2), (5, 6, 1), (8, 9, 2)], size=(400, 300))
    table = authors.read_dutomron({"a.mat": tmp_path / "a.mat"}, stimuli("a.jpg"))
    assert rows(table, "subject", "t", "x", "y") == [(0, 0, 5, 6), (1, 0, 0, 7), (1, 1, 8, 9)]
    assert table.scanpath.tolist() == [0, 1, 1]


def test_pascals_cells_are_numbered_and_stimuli_sorted_as_text(tmp_path):
    cells = [[] for _ in range(10)]
    cells[1] = [(11, 21, 1), (12, 22, 3), (13, 23, 1)]  # 2.jpg; y, x, observer
    cells[9] = [(5, 6, 8)]  # 10.jpg
    pascals_mat(tmp_path / "pascalFix.mat", cells)
    names = stimuli(*(f"{k}.jpg" for k in range(1, 11)))
    table = authors.read_pascals({"pascalFix.mat": tmp_path / "pascalFix.mat"}, names)
    # sorted as text: 1.jpg, 10.jpg, 2.jpg
    assert rows(table, "n", "subject", "t", "x", "y") == [
        (1, 7, 0, 5, 4),
        (2, 0, 0, 20, 10),
        (2, 0, 1, 22, 12),
        (2, 2, 0, 21, 11),
    ]


def test_osie_keeps_fractions_and_gives_durations_in_seconds(tmp_path):
    pictures = {
        "1002.jpg": [([(799.2, 599.2)], [60])],
        "1001.jpg": [([(395.5, 265.7), (1.2, 1.2)], [246, 1136]), ([], []), ([(3, 4)], [100])],
    }
    osie_mat(tmp_path / "fixations.mat", pictures)
    files = {"fixations.mat": tmp_path / "fixations.mat"}
    table = authors.read_osie(files, stimuli("1002.jpg", "1001.jpg"))
    assert rows(table, "n", "subject", "t", "x", "y", "duration", "scanpath") == [
        (0, 0, 0, 395.5, 265.7, 0.246, 0),
        (0, 0, 1, 1.2, 1.2, 1.136, 0),
        (0, 2, 0, 3, 4, 0.1, 1),
        (1, 0, 0, 799.2, 599.2, 0.06, 2),
    ]


def test_records_without_a_picture_are_left_out_and_said(tmp_path, caplog):
    osie_mat(tmp_path / "f.mat", {name: [([(1, 2)], [9])] for name in ("a.jpg", "b.jpg", "c.jpg")})
    with caplog.at_level(logging.WARNING):
        table = authors.read_osie({"f.mat": tmp_path / "f.mat"}, stimuli("b.jpg"))
    assert table.n.tolist() == [0]
    assert "2 pictures" in caplog.text and "'a.jpg'" in caplog.text


@pytest.mark.parametrize("reader", [authors.read_osie, authors.read_pascals])
@pytest.mark.parametrize("content", [b"", b"no MATLAB file at all" * 100])
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, reader, content):
    path = tmp_path / "broken.mat"
    path.write_bytes(content)
    with one_line("broken.mat: not a whole .mat file"):
        reader({"broken.mat": path}, stimuli("1.jpg"))


def test_a_truncated_file_is_one_line_that_names_it(tmp_path):
    path = tmp_path / "cut.mat"
    cat2000_mat(path, np.ones((50, 50)))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UsageError, match="cut.mat: not a whole .mat file"):
        authors.read_cat2000({"cut.mat": path}, stimuli("cut.jpg"))


def test_a_damaged_compressed_file_is_one_line_that_names_it(tmp_path):
    path = tmp_path / "bad.mat"
    levels = np.random.default_rng(0).integers(0, 99, (50, 50))
    savemat(path, {"fixLocs": levels}, do_compression=True)
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(UsageError, match="bad.mat: not a whole .mat file"):
        authors.read_cat2000({"bad.mat": path}, stimuli("bad.jpg"))


def test_a_file_with_another_variable_is_named(tmp_path):
    dutomron_mat(tmp_path / "a.mat", [], size=(4, 3))
    with pytest.raises(UsageError, match="variable 'gaze'"):
        authors.read_salicon({"a.mat": tmp_path / "a.mat"}, stimuli("a.jpg"))


@pytest.mark.parametrize("count", [0, 2])
def test_osie_needs_one_file(count):
    with pytest.raises(UsageError, match="one .mat file expected"):
        authors.read_osie({f"{i}.mat": Path() for i in range(count)}, stimuli("a.jpg"))


@pytest.mark.parametrize(
    ("reader", "name", "value"),
    [
        (authors.read_salicon, "gaze", [[1, 2]]),
        (authors.read_salicon, "gaze", {"fixations": "text"}),
        (authors.read_salicon, "gaze", {"fixations": [[1.0], [2.0]]}),
        (authors.read_salicon, "gaze", {"fixations": [[1.0, np.nan]]}),
        (authors.read_salicon, "gaze", {"location": [[1, 2]]}),
        (authors.read_cat2000, "fixLocs", np.zeros((2, 2, 2))),
        (authors.read_cat2000, "fixLocs", [[0, -1]]),
        (authors.read_cat2000, "fixLocs", [[0, 0.5]]),
        (authors.read_cat2000, "fixLocs", [[0, np.nan]]),
        (authors.read_cat2000, "fixLocs", [[0, np.inf]]),
        (authors.read_cat2000, "fixLocs", [[0, 2**31]]),  # so many rows would fill the memory
        (authors.read_cat2000, "fixLocs", np.full((2000, 2000), 255)),
        (authors.read_cat2000, "fixLocs", "text"),
        (authors.read_dutomron, "s", [[1.0, 2.0]]),
        (authors.read_dutomron, "s", [[1, np.inf, 1]]),
        (authors.read_dutomron, "s", [[1, 2, np.nan]]),
        (authors.read_dutomron, "s", [[1, 2, 1e30]]),
        (authors.read_dutomron, "s", [[1, 2, 1.5]]),
        (authors.read_dutomron, "s", [[1, 2, -1]]),
        (authors.read_osie, "fixations", [[1, 2]]),
        (authors.read_osie, "fixations", {"img": "1.jpg"}),
        (authors.read_osie, "fixations", {"img": [[1, 2]], "subjects": "text"}),
    ],
)
def test_another_layout_is_one_line_that_names_the_file(tmp_path, reader, name, value):
    path = tmp_path / "1.mat"
    savemat(path, {name: value})
    with pytest.raises(
        UsageError, match=rf"^{path}: not laid out as the corpus' files are \(.+\)$"
    ):
        reader({"1.mat": path}, stimuli("1.jpg"))


@pytest.mark.parametrize("durations", [[5, 6, 7], "text", [[1, 2], [3, 4]]])
def test_osie_needs_as_many_of_each(tmp_path, durations):
    records, subjects = np.zeros((1, 1), object), np.zeros((1, 1), object)
    subjects[0, 0] = {"fix_x": [1.0, 2.0], "fix_y": [3.0, 4.0], "fix_duration": durations}
    records[0, 0] = {"img": "1.jpg", "subjects": subjects}
    path = tmp_path / "fixations.mat"
    savemat(path, {"fixations": records})
    with pytest.raises(UsageError, match="fixations.mat: not laid out"):
        authors.read_osie({"fixations.mat": path}, stimuli("1.jpg"))


def test_pascals_cells_of_another_shape(tmp_path):
    path = tmp_path / "pascalFix.mat"
    for rows in ([(1, 2)], [(1, 2, np.nan)], [(1, np.nan, 1)], [(1, 2, 3, 4)]):
        pascals_mat(path, [rows])
        with pytest.raises(UsageError, match="pascalFix.mat: not laid out"):
            authors.read_pascals({"pascalFix.mat": path}, stimuli("1.jpg"))


# pictures of points


def shown(folder, name, size):
    path = folder / "stimuli" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return {name: path}


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_points_are_found_at_their_pixels_centres(tmp_path, ending):
    pixels = [(30, 2), (5, 17), (63, 47)]
    points_picture(tmp_path / f"a.{ending}", pixels, (64, 48))
    table = authors.read_points(
        {f"a.{ending}": tmp_path / f"a.{ending}"}, shown(tmp_path, "a.jpg", (64, 48))
    )
    assert rows(table, "x", "y") == [(30.5, 2.5), (5.5, 17.5), (63.5, 47.5)]
    assert set(table.subject) == set(table.scanpath) == {-1}


def test_points_on_a_smaller_picture_are_scaled_to_the_stimulus(tmp_path):
    points_picture(tmp_path / "a.png", [(0, 0), (31, 23)], (32, 24))
    files = {"a.png": tmp_path / "a.png"}
    table = authors.read_points(files, shown(tmp_path, "a.jpg", (64, 48)))
    assert rows(table, "x", "y") == [(1, 1), (63, 47)]


def test_points_are_decoded_once_until_a_map_or_the_size_of_a_stimulus_changes(
    tmp_path, monkeypatch
):
    points_picture(tmp_path / "a.png", [(0, 0), (31, 23)], (32, 24))
    files, stimuli = {"a.png": tmp_path / "a.png"}, shown(tmp_path, "a.jpg", (64, 48))
    first, decoded, read = authors.read_points(files, stimuli), [], maps.read
    monkeypatch.setattr(maps, "read", lambda path: decoded.append(path) or read(path))
    again = authors.read_points(files, stimuli)
    assert rows(again, "x", "y", "n") == rows(first, "x", "y", "n") and decoded == []
    stimuli = shown(tmp_path, "a.jpg", (32, 24))
    assert rows(authors.read_points(files, stimuli), "x", "y") == [(0.5, 0.5), (31.5, 23.5)]
    points_picture(tmp_path / "a.png", [(5, 6)], (32, 24))
    assert rows(authors.read_points(files, stimuli), "x", "y") == [(5.5, 6.5)]
    assert len(decoded) == 2


def test_points_of_another_aspect_ratio_are_refused(tmp_path):
    points_picture(tmp_path / "a.png", [(0, 0)], (48, 64))
    with pytest.raises(UsageError, match="48x64 pixels, but the stimulus has 64x48"):
        authors.read_points({"a.png": tmp_path / "a.png"}, shown(tmp_path, "a.jpg", (64, 48)))


def test_points_follow_a_stimulus_turned_by_its_exif(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    Image.new("RGB", (48, 64)).save(path, exif=exif)  # seen as 64x48
    points_picture(tmp_path / "a.png", [(63, 0)], (64, 48))
    table = authors.read_points({"a.png": tmp_path / "a.png"}, {"a.jpg": path})
    assert rows(table, "x", "y") == [(63.5, 0.5)]


@settings(max_examples=25, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 39), st.integers(0, 29)), min_size=1, max_size=40))
def test_every_point_of_a_png_comes_back(tmp_path_factory, pixels):
    folder = tmp_path_factory.mktemp("points")
    points_picture(folder / "a.png", list(pixels), (40, 30))
    table = authors.read_points({"a.png": folder / "a.png"}, shown(folder, "a.jpg", (40, 30)))
    assert {(int(x), int(y)) for x, y in rows(table, "x", "y")} == pixels


def read_array(tmp_path, values, **options):
    np.save(tmp_path / "a.npy", values)
    files, seen = {"a.npy": tmp_path / "a.npy"}, shown(tmp_path, "a.jpg", (8, 6))
    return rows(authors.read_points(files, seen, **options), "x", "y")


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_arrays_of_counts_keep_repeats(tmp_path, kind):
    counts = np.zeros((6, 8), kind)
    counts[2, 3], counts[5, 7] = 3, 1
    assert read_array(tmp_path, counts) == [(3.5, 2.5)] * 3 + [(7.5, 5.5)]


@pytest.mark.parametrize("level", [1, 255, 0.25])
def test_arrays_of_one_level_are_points(tmp_path, level):
    set_ = np.zeros((6, 8))
    set_[[0, 4], [1, 6]] = level
    assert read_array(tmp_path, set_) == [(1.5, 0.5), (6.5, 4.5)]


def test_arrays_of_fractions_are_no_counts(tmp_path):
    with pytest.raises(UsageError, match=r"a\.npy: .*no counts of fixations"):
        read_array(tmp_path, np.linspace(0, 1, 48).reshape(6, 8))


def test_discs_are_fixations_at_their_middles(tmp_path):
    levels = np.zeros((6, 8))
    levels[1:4, 2:5] = 9
    levels[4:, 6:] = 8  # cut off by the border
    assert read_array(tmp_path, levels, discs=True) == [(3.5, 2.5), (7, 5)]


# the real files


@real
@pytest.mark.corpus
def test_osie_equals_pysaliencys_file(tmp_path):
    with zipfile.ZipFile(CORPORA / "osie" / "master.zip") as archive:
        (member,) = (name for name in archive.namelist() if name.endswith("eye/fixations.mat"))
        (tmp_path / "fixations.mat").write_bytes(archive.read(member))
    names = stimuli(*(f"{number}.jpg" for number in range(1001, 1701)))
    table = authors.read_osie({"fixations.mat": tmp_path / "fixations.mat"}, names)
    assert len(table) == 98321 and table.scanpath[-1] == 10499
    assert len(np.unique(table.n)) == 700 and len(np.unique(table.subject)) == 15
    # Read here by its layout, not by our own reader.
    with h5py.File(CORPORA / "osie_pysaliency" / "fixations.hdf5", "r", locking=False) as file:
        xs = file["train_xs"][...]
        there = ~np.isnan(xs)
        scanpath = np.nonzero(there)[0]
        np.testing.assert_array_equal(table.x, xs[there])
        np.testing.assert_array_equal(table.y, file["train_ys"][...][there])
        np.testing.assert_array_equal(table.t, file["train_ts"][...][there])
        np.testing.assert_array_equal(table.n, file["train_ns"][...][scanpath])
        np.testing.assert_array_equal(table.subject, file["train_subjects"][...][scanpath])
        durations = file["scanpath_fixation_attributes/durations"][...]
        np.testing.assert_array_equal(table.duration, durations[there])
        np.testing.assert_array_equal(table.scanpath, scanpath)
