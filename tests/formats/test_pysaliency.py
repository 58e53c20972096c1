import fcntl
import json
import logging
import os
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import refusal_of
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import UsageError
from formats.fixations import Fixations, concatenate, table
from formats.pysaliency import read_hdf5, renumbered
from formats.pysaliency import write_hdf5 as write
from formats.stimuli import read_stimuli

OSIE = Path(__file__).parents[3] / "shared" / "corpora" / "osie_pysaliency"
real = pytest.mark.skipif(not OSIE.is_dir(), reason="the real corpora are not beside the checkout")
COLUMNS = ("x", "y", "n", "subject", "t", "duration", "scanpath")
NAMES, SHAPES = ["a.jpg", "b/c.png"], [(30, 40, 3), (10, 20)]


def equal(one: Fixations, other: Fixations) -> None:
    for name in (*COLUMNS, "history"):
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


def stored(path: Path, kind: str, version: str, content: dict) -> Path:
    """An HDF5 file of a type and version; content: path in it -> values."""
    with h5py.File(path, "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_(kind), np.bytes_(version)
        for name, values in content.items():
            file[name] = values
    return path


def matrices() -> dict[str, np.ndarray]:
    """What `scanpaths` are, a row a scanpath."""
    parts = {"x": [[3.25, 3.25, 39.9], [0], [7, 7.5]], "y": [[1, 1, 29.5], [0], [2, 2]]}
    parts |= {"t": [[0, 1, 2], [0], [0.5, 0.75]], "duration": [[0.1, 0.2, 0.3], [0.4], [0.5]]}
    return {
        name: np.array([row + [np.nan] * (3 - len(row)) for row in rows])
        for name, rows in parts.items()
    }


def trains(version: str) -> dict:
    m, durations = matrices(), "scanpath_fixation_attributes/durations"
    content = {f"train_{name}s": m[name] for name in "xyt"}
    content |= {"train_ns": [0, 1, 1], "train_subjects": [4, 2, 9]}
    if version >= "1.2":
        content[durations] = m["duration"]
    if version == "1.3":
        content["train_lengths"] = [3, 1, 2]
        # Where a length is stored, what lies beyond it means nothing.
        content["train_xs"] = np.nan_to_num(m["x"], nan=5)
        content["train_ys"] = np.nan_to_num(m["y"], nan=-1)
    return content


def scanpath_fixations() -> dict:
    m = matrices()
    content = {"xs": np.nan_to_num(m["x"]), "ys": m["y"].copy(), "n": [0, 1, 1]}
    content["ys"][1:] = np.nan_to_num(m["y"][1:])
    content |= {"length": [3, 1, 2], "scanpath_attributes/subject": [4, 2, 9]}
    content |= {"fixation_attributes/ts": m["t"], "fixation_attributes/durations": m["duration"]}
    return {f"scanpaths/{name}": values for name, values in content.items()}


def flat(version: str) -> dict:
    s, m = scanpaths(), matrices()
    content = {name: getattr(s, name) for name in ("x", "y", "t", "n", "duration")}
    content["subject" if version == "1.2" else "subjects"] = s.subject
    earlier = [0, 1, 2, 0, 0, 1]
    for name in "xyt":
        past = m[name][s.scanpath].copy()
        past[np.arange(3) >= np.array(earlier)[:, None]] = np.nan
        content[f"{name}_hist"] = past[:, :2]
    if version > "1.0":
        content["lengths"] = earlier
        content["x_hist"] = np.nan_to_num(content["x_hist"], nan=8)
        content["y_hist"] = np.nan_to_num(content["y_hist"], nan=9)
    return content | {"scanpath_index": s.scanpath}


VARIANTS = [("FixationTrains", v, trains(v)) for v in ("1.0", "1.1", "1.2", "1.3")]
VARIANTS += [("Fixations", v, flat(v)) for v in ("1.0", "1.1", "1.2")]
VARIANTS += [("ScanpathFixations", "1.0", scanpath_fixations())]
IDS = [f"{kind}{version}" for kind, version, _ in VARIANTS]


# every type and version


@pytest.mark.parametrize(("kind", "version", "content"), VARIANTS, ids=IDS)
def test_every_type_and_version_reads_the_same(tmp_path, kind, version, content):
    expected = scanpaths()
    if kind == "FixationTrains" and version < "1.2":  # those know no durations
        expected = table(*(getattr(expected, c) for c in COLUMNS[:5]), scanpath=expected.scanpath)
    equal(read_hdf5(stored(tmp_path / "f.hdf5", kind, version, content)), expected)


def test_text_attributes_need_not_be_bytes(tmp_path):
    path = stored(tmp_path / "f.hdf5", "x", "x", trains("1.0"))
    with h5py.File(path, "a") as file:
        file.attrs["type"], file.attrs["version"] = "FixationTrains", "1.0"
    assert len(read_hdf5(path)) == 6


def test_observers_with_names_are_numbered(tmp_path):
    content = trains("1.0") | {"train_subjects": ["zoe", "ann", "zoe"]}
    found = read_hdf5(stored(tmp_path / "f.hdf5", "FixationTrains", "1.0", content))
    assert found.subject.tolist() == [1, 1, 1, 0, 1, 1]


def test_an_empty_scanpath_is_none(tmp_path):
    content = trains("1.0")
    for name in "xyt":
        content[f"train_{name}s"][1] = np.nan
    found = read_hdf5(stored(tmp_path / "f.hdf5", "FixationTrains", "1.0", content))
    assert found.x.tolist() == [3.25, 3.25, 39.9, 7, 7.5] and found.n.tolist() == [0, 0, 0, 1, 1]
    assert found.scanpath.tolist() == [0, 0, 0, 2, 2]


# plain fixations: scanpaths are those of the histories


def plain(path: Path, rows=slice(None), without=("scanpath_index",), **changed) -> Path:
    content = {name: np.array(v)[rows] for name, v in flat("1.2").items() if name not in without}
    return stored(path, "Fixations", "1.2", content | changed)


def test_histories_alone_give_the_scanpaths(tmp_path):
    equal(read_hdf5(plain(tmp_path / "f.hdf5")), scanpaths())


@pytest.mark.parametrize("without", [(), ("scanpath_index",), ("scanpath_index", "lengths")])
def test_shuffled_rows_are_put_in_order(tmp_path, without):
    rows = [5, 2, 3, 0, 4, 1]
    if "lengths" in without:  # then the padding is NaN
        content = {k: np.array(v)[rows] for k, v in flat("1.0").items() if k not in without}
        path = stored(tmp_path / "f.hdf5", "Fixations", "1.0", content)
    else:
        path = plain(tmp_path / "f.hdf5", rows, without)
    found = read_hdf5(path)
    for scanpath in (found.select(found.scanpath == k) for k in range(3)):
        twin = scanpaths().select(scanpaths().subject == scanpath.subject[0])
        np.testing.assert_array_equal(scanpath.x, twin.x)
        np.testing.assert_array_equal(scanpath.t, twin.t)
    assert sorted(found.scanpath) == sorted(scanpaths().scanpath) or not without


@pytest.mark.parametrize("without", [(), ("scanpath_index",)])
@pytest.mark.parametrize("rows", [[1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [1, 2, 5], [2]])
def test_filters_leave_histories_as_they_were(tmp_path, rows, without):
    """As DeepGaze III is trained on MIT1003, whose first fixations are left out."""
    found, whole = read_hdf5(plain(tmp_path / "f.hdf5", rows, without)), scanpaths()
    for name in (*COLUMNS[:6], "history"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name)[rows])
    assert (found.scanpath >= 0).all()
    assert found.later().tolist() == [row not in (0, 3, 4) for row in rows]


def test_histories_hold_what_the_rows_do_not(tmp_path):
    """A filter moved nothing: what was looked at before may lie outside, or in no row."""
    past = np.full((2, 6), np.nan)
    past[0], past[1, :5] = [1, 2, 3, 4, 5, -6], [9, 8, 7, 6, 5]
    rows = {"x": [7, 4], "y": [7, 4], "t": [0, 0], "n": [0, 0], "subjects": [1, 1]}
    path = tmp_path / "f.hdf5"
    stored(path, "Fixations", "1.0", rows | {"x_hist": past, "y_hist": past + 1, "t_hist": past})
    found = read_hdf5(path)
    of = {x: found.history[place].tolist() for place, x in enumerate(found.x)}
    assert of[7] == [[-6, -5], [5, 6], [4, 5], [3, 4]]
    assert of[4] == [[5, 6], [6, 7], [7, 8], [8, 9]]


def test_without_history_and_index_nothing_is_known_and_nothing_said(tmp_path, caplog):
    found = read_hdf5(plain(tmp_path / "f.hdf5", [0, 3, 4]))
    assert found.scanpath.tolist() == [-1] * 3 and caplog.text == ""


# damage


@pytest.mark.parametrize(
    ("kind", "version"), [("FixationTrains", "9.9"), ("Stimuli", "1.1"), (None, None)]
)
def test_an_unknown_type_or_version_is_said_with_what_is_readable(tmp_path, kind, version):
    path = tmp_path / "fixations.hdf5"
    with h5py.File(path, "w") as file:
        if kind:
            file.attrs["type"], file.attrs["version"] = np.bytes_(kind), np.bytes_(version)
    said = f"found type {kind or 'none'}, version {version or 'none'}; readable are FixationTrains"
    assert refusal_of(path, read_hdf5, path).startswith(said)


@pytest.mark.parametrize(("kind", "version", "content"), VARIANTS, ids=IDS)
def test_what_is_missing_or_of_another_kind_is_named(tmp_path, kind, version, content):
    optional = {"length", "lengths", "train_lengths", "subject", "ts", "durations", "duration"}
    optional |= {"scanpath_index", "t_hist"}
    for name in content:
        last = name.rpartition("/")[2]
        if last in optional - ({"subject"} if kind == "Fixations" else set()):
            continue
        path = tmp_path / "f.hdf5"
        stored(path, kind, version, {k: v for k, v in content.items() if k != name})
        assert re.search(rf"needs the dataset (\w+ or )?{last}", refusal_of(path, read_hdf5, path))
        with h5py.File(path, "a") as file:
            file.create_group(name)
        assert "found a group" in refusal_of(path, read_hdf5, path)
        for link in (h5py.SoftLink("/nowhere"), h5py.ExternalLink("/nowhere.hdf5", "/x")):
            with h5py.File(path, "a") as file:
                del file[name]
                file[name] = link
            assert refusal_of(path, read_hdf5, path)


@pytest.mark.parametrize(("kind", "version", "content"), VARIANTS, ids=IDS)
def test_columns_of_different_lengths_and_no_numbers_are_named(tmp_path, kind, version, content):
    path = tmp_path / "f.hdf5"
    for name in content:
        if name == "t_hist":  # what nobody reads may be as it likes
            continue
        values = np.array(content[name])
        for wrong in (values[:-1], np.concatenate([values, values]), values[..., None]):
            stored(path, kind, version, content | {name: wrong})
            assert re.search(r"shape \(|has rows of", refusal_of(path, read_hdf5, path)), name
        if "subject" not in name:
            stored(path, kind, version, content | {name: values.astype("S8")})
            assert "has type |S8" in refusal_of(path, read_hdf5, path)


@pytest.mark.parametrize(
    ("kind", "name", "values", "said"),
    [
        ("FixationTrains", "train_ns", [0, -1, 1], "fixations on stimulus -1"),
        ("FixationTrains", "train_ns", [0, 0.5, 1], "train_ns has 0.5, needs whole numbers"),
        ("FixationTrains", "train_ns", [0, np.nan, 1], "train_ns has nan, needs whole numbers"),
        ("FixationTrains", "train_ns", [0, 1e300, 1], "needs whole numbers"),
        ("FixationTrains", "train_lengths", [3, 1, 4], "rows of 3, found a length of 4"),
        ("FixationTrains", "train_lengths", [3, -1, 2], "rows of 3, found a length of -1"),
        ("FixationTrains", "train_xs", [[1, np.nan, 5]] * 3, "train_xs has NaN before the end"),
        ("FixationTrains", "train_ys", [[1, np.nan, 5]] * 3, "train_ys has NaN before the end"),
        ("Fixations", "x", [1, 2, 3, 4, 5, np.nan], "x or y has NaN"),
        ("Fixations", "y", [1, 2, 3, 4, 5, np.nan], "x or y has NaN"),
        ("Fixations", "n", [0, 0, 0, 0, 0, -7], "fixations on stimulus -7"),
        ("Fixations", "lengths", [0, 1, 3, 0, 0, 1], "x_hist has rows of 2, found a length of 3"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, kind, name, values, said):
    content = trains("1.3") if kind == "FixationTrains" else flat("1.1")
    path = stored(tmp_path / "f.hdf5", kind, "1.3" if "train" in name else "1.1", content)
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = values
    assert said in refusal_of(path, read_hdf5, path)


@pytest.mark.parametrize("name", ["scanpaths", "scanpaths/scanpath_attributes"])
def test_a_dataset_where_a_group_is_needed(tmp_path, name):
    content = {k: v for k, v in scanpath_fixations().items() if not k.startswith(name)}
    path = stored(tmp_path / "f.hdf5", "ScanpathFixations", "1.0", content | {name: [1.0]})
    assert (
        refusal_of(path, read_hdf5, path)
        == f"needs the group {name.rpartition('/')[2]}, found a dataset"
    )


def test_x_and_y_must_end_together_where_no_length_is_stored(tmp_path):
    content = trains("1.2")
    content["train_ys"][1, 1] = 3
    path = stored(tmp_path / "f.hdf5", "FixationTrains", "1.2", content)
    assert (
        refusal_of(path, read_hdf5, path)
        == "train_xs and train_ys have scanpaths of different lengths"
    )


def test_damaged_files_are_one_line_that_names_them(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    path = tmp_path / "fixations.hdf5"
    whole = path.read_bytes()
    for content in (b"", b"no HDF5", whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert refusal_of(path, read_hdf5, path).startswith("not a whole .hdf5 file (")
    with pytest.raises(UsageError, match="gone.hdf5: no such file"):
        read_hdf5(tmp_path / "gone.hdf5")


# files are left alone


def test_a_file_that_another_program_has_locked_is_read(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    with open(tmp_path / "fixations.hdf5", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        equal(read_hdf5(tmp_path / "fixations.hdf5"), scanpaths())


def test_nothing_is_written(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    path = tmp_path / "fixations.hdf5"
    before = path.stat().st_mtime_ns
    read_hdf5(path)
    assert path.stat().st_mtime_ns == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fixations.hdf5", "stimuli.hdf5"]


# which stimuli


def test_stimuli_in_another_order_are_renumbered():
    found = renumbered(scanpaths(), NAMES, ["0.jpg", "b/c.png", "z.jpg", "a.jpg"], Path("f"))
    assert found.n.tolist() == [3, 3, 3, 1, 1, 1]


def test_stimuli_that_are_not_here_are_refused_or_left_out(caplog):
    said = r"f: 1 of its stimuli are not here, first 'a\.jpg'; --partial leaves them out"
    with pytest.raises(UsageError, match=said):
        renumbered(scanpaths(), NAMES, ["0.jpg", "b/c.png"], Path("f"))
    with caplog.at_level(logging.WARNING):
        some = renumbered(scanpaths(), NAMES, ["0.jpg", "b/c.png"], Path("f"), partial=True)
    assert some.n.tolist() == [1, 1, 1] and some.x.tolist() == [0, 7, 7.5]
    assert "1 of its stimuli" in caplog.text and "3 fixations" in caplog.text
    with pytest.raises(UsageError, match="2 of its stimuli are not here, first 'a.jpg'"):
        renumbered(scanpaths(), NAMES, ["0.jpg"], Path("f"), partial=True)


def test_an_n_beyond_the_stimuli_is_refused():
    with pytest.raises(UsageError, match=r"f: fixations on stimuli 0\.\.1, allowed are 0\.\.0"):
        renumbered(scanpaths(), ["a.jpg"], ["a.jpg"], Path("f"))


# writing


def test_scanpaths_come_back_as_they_were(tmp_path):
    write(tmp_path, NAMES, SHAPES, scanpaths())
    equal(read_hdf5(tmp_path / "fixations.hdf5"), scanpaths())
    assert [each.name for each in read_stimuli(tmp_path / "stimuli.hdf5", {})] == NAMES


def test_fixations_without_order_come_back_as_they_were(tmp_path):
    points = table([3.25, 3.25, 0], [1, 1, 2.5], [1, 1, 0])
    write(tmp_path, NAMES, SHAPES, points)
    equal(read_hdf5(tmp_path / "fixations.hdf5"), points)


def test_an_empty_table_comes_back(tmp_path):
    write(tmp_path, NAMES, SHAPES, concatenate([]))
    assert len(read_hdf5(tmp_path / "fixations.hdf5")) == 0


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


@real
@pytest.mark.corpus
def test_every_real_variant_reads_the_same():
    whole = read_hdf5(OSIE / "fixations.hdf5")
    first = whole.select(whole.n < 12)
    variants = sorted((OSIE / "variants").glob("*/fixations*.hdf5"))
    assert len(whole) == 98321 and len(variants) == 5
    for variant in variants:
        equal(read_hdf5(variant), first)


@real
@pytest.mark.corpus
@pytest.mark.parametrize("version", ["0.2.22", "0.3dev"])
def test_real_plain_fixations_need_no_index(tmp_path, version):
    with h5py.File(OSIE / "variants" / version / "fixations_flat.hdf5", locking=False) as file:
        content = {name: file[name][...] for name in file if name != "scanpath_index"}
        kind, number = file.attrs["type"].decode(), file.attrs["version"].decode()
    expected = read_hdf5(OSIE / "fixations.hdf5")
    path = stored(tmp_path / "f.hdf5", kind, number, content)
    equal(read_hdf5(path), expected.select(expected.n < 12))


@real
@pytest.mark.corpus
def test_what_we_write_of_osie_is_what_pysaliency_wrote(tmp_path):
    names = [each.name for each in read_stimuli(OSIE / "stimuli.hdf5", {})]
    assert names == [f"{n}.jpg" for n in range(1001, 1701)]
    write(tmp_path, names, [(600, 800, 3)] * 700, read_hdf5(OSIE / "fixations.hdf5"))
    for name in ("stimuli.hdf5", "fixations.hdf5"):
        ours, theirs = content_of(tmp_path / name), content_of(OSIE / name)
        assert ours.keys() == theirs.keys()
        for node, (layout, values) in ours.items():
            assert layout == theirs[node][0], node
            assert all(map(np.array_equal, values, theirs[node][1])), node


def content_of(path: Path) -> dict:
    """Every node's (shape, kind and attributes) and its values, NaN as -1."""
    found = {}

    def visit(name, node):
        attributes = {k: (str(node.attrs.get_id(k).dtype), v) for k, v in node.attrs.items()}
        layout = (getattr(node, "shape", None), str(getattr(node, "dtype", "")), attributes)
        values = node[...] if isinstance(node, h5py.Dataset) else np.empty(0)
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=-1)
        found[name] = layout, list(values)

    with h5py.File(path, "r", locking=False) as file:
        visit("/", file)
        file.visititems(visit)
    return found


PEER = os.environ.get("PYSALIENCY_PYTHON", "")
READ_BACK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import pysaliency
folder = sys.argv[1]
stimuli = pysaliency.read_hdf5(folder + "/stimuli.hdf5")
f = pysaliency.read_hdf5(folder + "/fixations.hdf5")
columns = {name: getattr(f, name).tolist() for name in ("x", "y", "n", "subjects", "t")}
columns["past"] = f.x_hist.tolist()
columns["duration"] = f.duration.tolist() if hasattr(f, "duration") else None
shapes = [list(map(int, shape)) for shape in stimuli.shapes]
print(json.dumps([type(f).__name__, stimuli.filenames, shapes, columns]))
"""


@pytest.mark.skipif(not PEER, reason="PYSALIENCY_PYTHON names no python with pysaliency 0.2.22")
@pytest.mark.parametrize("ordered", [True, False])
def test_pysaliency_reads_what_we_write(tmp_path, ordered):
    s = scanpaths()
    written = s if ordered else table(s.x, s.y, s.n, s.subject, s.t, s.duration)
    write(tmp_path, NAMES, SHAPES, written)
    command = [PEER, "-c", READ_BACK, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kind, files, shapes, columns = json.loads(answer.splitlines()[-1])
    assert kind == ("FixationTrains" if ordered else "Fixations")
    assert files == [str(tmp_path / "stimuli" / name) for name in NAMES]
    assert shapes == [list(shape) for shape in SHAPES]
    for ours, theirs in zip(COLUMNS, ("x", "y", "n", "subjects", "t", "duration"), strict=False):
        np.testing.assert_array_equal(getattr(s, ours), columns[theirs], err_msg=theirs)
    past = np.array(columns["past"], float)
    expected = [[], [3.25], [3.25, 3.25], [], [], [7]] if ordered else [[]] * 6
    assert [row[~np.isnan(row)].tolist() for row in past] == expected
