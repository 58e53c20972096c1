import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import refusal_of

from formats import stimuli
from formats.pictures.decode import decode, decode_map, shape

OSIE = Path(__file__).parents[3] / "shared" / "corpora" / "osie_pysaliency"
real = pytest.mark.skipif(not OSIE.is_dir(), reason="the real corpora are not beside the checkout")


def listing(path: Path, names, version="2.1", **attributes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("FileStimuli"), np.bytes_(version)
        file.attrs.update(attributes)
        file["filenames"] = [str(name) for name in names]
    return path


def read_stimuli(path, here):
    """Return (name, where it is) of each."""
    return [(each.name, each.source) for each in stimuli.read_stimuli(path, here)]


def in_memory(path: Path, pictures, version="1.1", size=True, **labels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("Stimuli"), np.bytes_(version)
        if size:
            file.attrs["size"] = len(pictures)
        for index, picture in enumerate(pictures):
            file.create_dataset(str(index), data=picture, compression="gzip")
        for label, values in labels.items():
            file[label] = values
    return path


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


PICTURES = [np.arange(24, dtype=np.uint8).reshape(4, 6), np.full((5, 3, 3), 7, np.uint8)]


# files


@pytest.mark.parametrize("version", ["1.0", "2.0", "2.1"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stimuli/Art/1.jpg", "Art/1.jpg"),
        ("Stimuli/Art/1.jpg", "Art/1.jpg"),
        ("Stimuli\\Art\\1.jpg", "Art/1.jpg"),
        ("/home/me/stimuli/mit/Stimuli/2.jpg", "2.jpg"),
        ("/elsewhere/MIT/ALLSTIMULI/Art/1.jpg", "Art/1.jpg"),
        ("Art/1.jpg", "Art/1.jpg"),
    ],
)
def test_names_are_those_of_the_pictures_in_stimuli(tmp_path, version, name, expected):
    here = {name: tmp_path / "Stimuli" / name for name in ("Art/1.jpg", "2.jpg")}
    touch(*here.values())
    path = listing(tmp_path / "stimuli.hdf5", [name], version)
    assert read_stimuli(path, here) == [(expected, here[expected])]


def test_files_elsewhere_are_called_by_their_path_below_what_they_share(tmp_path):
    touch(tmp_path / "pictures" / "x" / "1.jpg", tmp_path / "pictures" / "y" / "1.jpg")
    names = ["../pictures/y/1.jpg", "../pictures/x/1.jpg"]
    found = read_stimuli(listing(tmp_path / "mine" / "stimuli.hdf5", names), {})
    assert found == [(f"{k}/1.jpg", tmp_path / "pictures" / k / "1.jpg") for k in "yx"]


def test_a_name_is_relative_to_the_file_and_not_to_where_one_is(tmp_path, monkeypatch):
    touch(tmp_path / "a.jpg", tmp_path / "mine" / "b.jpg")
    monkeypatch.chdir(tmp_path)
    found = read_stimuli(listing(Path("mine/stimuli.hdf5"), ["a.jpg", "b.jpg"]), {})
    assert found == [("a.jpg", None), ("b.jpg", tmp_path / "mine" / "b.jpg")]


@pytest.mark.parametrize("absolute", ["/home/me/MIT/images/1.jpg", "/x/1.jpg", "/images/1.jpg"])
def test_an_old_path_of_another_machine_is_found_by_its_end(tmp_path, absolute):
    touch(tmp_path / "images" / "1.jpg", tmp_path / "1.jpg")
    found = read_stimuli(listing(tmp_path / "stimuli.hdf5", [absolute], "1.0"), {})
    folder = tmp_path / "images" if "images" in absolute else tmp_path
    assert found == [("1.jpg", folder / "1.jpg")]


def test_an_old_path_that_is_there_is_taken(tmp_path):
    touch(tmp_path / "far" / "1.jpg")
    path = listing(tmp_path / "mine" / "stimuli.hdf5", [tmp_path / "far" / "1.jpg"], "1.0")
    assert read_stimuli(path, {}) == [("1.jpg", tmp_path / "far" / "1.jpg")]


def test_a_new_relative_name_is_not_guessed_by_its_end(tmp_path):
    touch(tmp_path / "stimuli" / "1.jpg")
    path = listing(tmp_path / "stimuli.hdf5", ["stimuli/Art/1.jpg"])
    assert read_stimuli(path, {"1.jpg": tmp_path / "stimuli" / "1.jpg"}) == [("Art/1.jpg", None)]


def test_two_files_under_one_name_are_refused_and_one_file_twice_is_not(tmp_path):
    touch(tmp_path / "1.jpg", tmp_path / "b" / "1.jpg")
    here = {"1.jpg": tmp_path / "1.jpg"}
    path = listing(tmp_path / "stimuli.hdf5", ["1.jpg", "b/1.jpg"])
    assert refusal_of(path, read_stimuli, path, dict(here)) == "two of its stimuli are '1.jpg'"
    path = listing(tmp_path / "stimuli.hdf5", ["1.jpg", "1.jpg"])
    assert read_stimuli(path, here) == [("1.jpg", tmp_path / "1.jpg")] * 2


# in memory


def written_out(path):
    listed = stimuli.read_stimuli(path, {})
    stimuli.write_out(path, listed)
    return [each.source for each in listed]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("size", [True, False])
def test_pictures_in_memory_are_written_out_as_they_are(tmp_path, version, size):
    path = in_memory(tmp_path / "stimuli.hdf5", PICTURES, version, size)
    assert [name for name, _ in read_stimuli(path, {})] == ["0", "1"]
    sources = written_out(path)
    np.testing.assert_array_equal(decode(sources[0]), np.repeat(PICTURES[0][..., None], 3, 2))
    np.testing.assert_array_equal(decode(sources[1]), PICTURES[1])
    np.testing.assert_array_equal(decode_map(sources[0]), PICTURES[0])


def test_pictures_are_written_once_and_those_that_are_gone_again(tmp_path):
    path = in_memory(tmp_path / "stimuli.hdf5", PICTURES)
    first, second = written_out(path)
    before = second.stat().st_mtime_ns
    first.unlink()
    assert written_out(path) == [first, second]
    assert first.is_file() and second.stat().st_mtime_ns == before


def test_other_pictures_are_written_elsewhere(tmp_path):
    path = in_memory(tmp_path / "stimuli.hdf5", PICTURES)
    before = written_out(path)
    in_memory(path, [picture + 1 for picture in PICTURES])
    os.utime(path, ns=(1, 1))
    assert [decode(each)[0, 0, 0] for each in written_out(path)] == [PICTURES[0][0, 0] + 1, 8]
    assert [decode(each)[0, 0, 0] for each in before] == [PICTURES[0][0, 0], 7]


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((2, 3)), "its picture 0 has type float64 and shape (2, 3); a picture is uint8"),
        (np.zeros((2, 3, 4), np.uint8), "its picture 0 has type uint8 and shape (2, 3, 4)"),
        (np.zeros(3, np.uint8), "its picture 0 has type uint8 and shape (3,)"),
        (np.zeros((0, 3), np.uint8), "its picture 0 has 3x0 pixels"),
    ],
)
def test_what_is_no_picture(tmp_path, pixels, said):
    path = tmp_path / "s.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("Stimuli"), np.bytes_("1.1")
        file["0"] = pixels
    assert refusal_of(path, written_out, path).startswith(said)


def test_more_than_ten_stay_in_their_order(tmp_path):
    path = in_memory(tmp_path / "stimuli.hdf5", PICTURES * 6)
    assert [name for name, _ in read_stimuli(path, {})] == [str(n) for n in range(12)]


@pytest.mark.parametrize("label", ["name", "filename", "filenames"])
def test_a_name_in_the_file_is_taken(tmp_path, label):
    path = in_memory(tmp_path / "s.hdf5", PICTURES, **{label: ["stimuli/b.jpg", "x/a.jpg"]})
    assert [name for name, _ in read_stimuli(path, {})] == ["b.jpg", "x/a.jpg"]


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "a.jpg"],
        ["a.jpg", "a.png"],
        ["a.jpg", ""],
        ["a.jpg", "../a.png"],
        ["/etc/a", "/etc/b"],
        ["a", "b\nc"],
        ["a"],
        [1, 2],
    ],
)
def test_names_that_are_no_use_give_way_to_the_index(tmp_path, names):
    path = in_memory(tmp_path / "stimuli.hdf5", PICTURES, name=names)
    assert [name for name, _ in read_stimuli(path, {})] == ["0", "1"]


# damage


def test_counts_that_disagree(tmp_path):
    path = listing(tmp_path / "stimuli.hdf5", ["a.jpg"], size=2)
    assert refusal_of(path, read_stimuli, path, {}) == "says that it has 2 stimuli, found 1"
    path = in_memory(tmp_path / "m.hdf5", PICTURES)
    with h5py.File(path, "a") as file:
        file.attrs["size"] = 10**12
    assert (
        refusal_of(path, read_stimuli, path, {})
        == "says that it has 1000000000000 stimuli, found 2"
    )


@pytest.mark.parametrize("version", ["0.9", "3.0"])
def test_an_unknown_version(tmp_path, version):
    said = f"found type FileStimuli, version {version}; readable are FileStimuli 1.0, 2.0, 2.1; "
    path = listing(tmp_path / "stimuli.hdf5", ["a.jpg"], version)
    assert refusal_of(path, read_stimuli, path, {}) == f"{said}Stimuli 1.0, 1.1"


def test_a_name_that_cannot_be_printed(tmp_path):
    path = listing(tmp_path / "s.hdf5", ["a.jpg", "b\x1b[2J.jpg"])
    assert (
        refusal_of(path, read_stimuli, path, {})
        == "a stimulus is called 'b\\x1b[2J.jpg', which cannot be printed"
    )


def test_filenames_that_are_none(tmp_path):
    path = listing(tmp_path / "stimuli.hdf5", ["a.jpg"])
    for wrong, said in (([1, 2], "texts"), ([["a"]], "texts"), ([b"\xff"], "not a whole")):
        with h5py.File(path, "a") as file:
            del file["filenames"]
            file["filenames"] = np.array(wrong, h5py.string_dtype()) if said[0] == "n" else wrong
        assert said in refusal_of(path, read_stimuli, path, {})
    with h5py.File(path, "a") as file:
        del file["filenames"]
    assert refusal_of(path, read_stimuli, path, {}) == "needs the dataset filenames, found none"


@real
@pytest.mark.corpus
def test_real_variants():
    names = [f"{n}.jpg" for n in range(1001, 1013)]
    for version in ("0.2.22", "0.3dev"):
        found = read_stimuli(OSIE / "variants" / version / "stimuli.hdf5", {})
        assert found == [(name, None) for name in names]
    path = OSIE / "variants" / "0.2.22" / "stimuli_inmemory_first2.hdf5"
    assert [name for name, _ in read_stimuli(path, {})] == names[:2]
    sources = written_out(path)
    assert [shape(each) for each in sources] == [(600, 800)] * 2
    assert decode(sources[0])[0, 0, 0] == 154  # as LAYOUT.txt prints it


def test_a_name_in_another_case_or_unicode_form_is_found_in_stimuli(tmp_path):
    touch(tmp_path / "stimuli" / "B\u00fcro.JPG")
    here = {"B\u00fcro.JPG": tmp_path / "stimuli" / "B\u00fcro.JPG"}
    path = listing(tmp_path / "stimuli.hdf5", ["stimuli/bu\u0308ro.jpg"])
    assert read_stimuli(path, here) == [("B\u00fcro.JPG", tmp_path / "stimuli" / "B\u00fcro.JPG")]


@pytest.mark.parametrize("rows", [[[4, 6, 3], [30, 40]], np.array([[4, 6], [30, 40]])])
def test_the_shapes_that_stimuli_had_are_read(tmp_path, rows):
    path = listing(tmp_path / "stimuli.hdf5", ["a.jpg", "b.jpg"])
    with h5py.File(path, "a") as file:
        if isinstance(rows, list):
            kind = h5py.vlen_dtype(np.dtype("int64"))
            file.create_dataset("shapes", (2,), dtype=kind)
            for place, row in enumerate(rows):
                file["shapes"][place] = np.array(row)
        else:
            file["shapes"] = rows
    assert [each.shape for each in stimuli.read_stimuli(path, {})] == [(4, 6), (30, 40)]


@pytest.mark.parametrize(
    ("rows", "said"), [([[4, 6]], "2 filenames and 1 shapes"), ([[4, 0]] * 2, "without a height")]
)
def test_shapes_that_are_none(tmp_path, rows, said):
    path = listing(tmp_path / "stimuli.hdf5", ["a.jpg", "b.jpg"])
    with h5py.File(path, "a") as file:
        file["shapes"] = np.array(rows)
    assert said in refusal_of(path, stimuli.read_stimuli, path, {})
