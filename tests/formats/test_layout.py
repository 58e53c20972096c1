import shutil

import pytest
from corpus_files import MAKERS, MAPS, STRAY, blurred, picture, points, unpack_apart, unpack_here

from data import corpora  # noqa: F401  its classes register themselves
from data.corpus import open_corpus
from data.samples import load
from formats.pictures.integrity import Memory


def state(folder):
    files = [folder, *sorted(folder.rglob("*"))]
    return [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files]


@pytest.mark.parametrize("unpacked", [unpack_here, unpack_apart])
@pytest.mark.parametrize("name", MAKERS)
def test_archives_unpacked_by_hand_are_understood_as_they_lie(name, unpacked, tmp_path):
    expected = MAKERS[name](tmp_path / "made")
    folder = tmp_path / "data" / name.upper()
    unpacked(tmp_path / "made", folder)
    before = state(folder)
    parts = load(open_corpus(name, tmp_path / "data"), Memory(tmp_path / "cache"), partial=True)
    samples = [*parts[0], *parts[1]]
    assert points(samples) == {n: sorted(map(tuple, p)) for n, p in expected.items()}
    assert all((sample.density_map is not None) == (name in MAPS) for sample in samples)
    assert state(folder) == before


def test_a_folder_within_the_archive_is_enough(tmp_path):
    # someone who took only data/ or eye/ and stimuli/ out of it
    expected = MAKERS["osie"](tmp_path / "made")
    inner = tmp_path / "made" / "master.zip" / "predicting-human-gaze-beyond-pixels-master"
    shutil.copytree(inner / "data", tmp_path / "data" / "osie")
    parts = load(open_corpus("osie", tmp_path / "data"), Memory(tmp_path / "cache"), partial=True)
    assert points([*parts[0], *parts[1]]) == expected


def test_our_own_layout_is_understood_in_any_case_of_letters(tmp_path):
    for name in ("i1", "i2"):
        picture(tmp_path / "mit1003" / "Stimuli" / f"{name}.jpeg")
        blurred(tmp_path / "mit1003" / "SALIENCY" / f"{name}_fixMap.jpg")
    corpus = open_corpus("mit1003", tmp_path)
    assert list(corpus.stimuli) == ["i1.jpeg", "i2.jpeg"]
    assert [n for n in corpus.files if n.startswith("saliency/")] == [
        "saliency/i1_fixMap.jpg",
        "saliency/i2_fixMap.jpg",
    ]


def test_the_stray_map_is_dropped(tmp_path):
    MAKERS["mit1003"](tmp_path / "made")
    unpack_here(tmp_path / "made", tmp_path / "mit1003")
    assert (tmp_path / "mit1003" / "ALLFIXATIONMAPS" / STRAY).exists()
    assert not [n for n in open_corpus("mit1003", tmp_path).files if STRAY in n]


def test_what_a_corpus_skips_is_no_stimulus(tmp_path):
    expected = MAKERS["cat2000"](tmp_path / "made")
    shutil.copytree(tmp_path / "made" / "trainSet.zip" / "trainSet", tmp_path / "cat2000")
    assert (tmp_path / "cat2000" / "Stimuli" / "Art" / "Output").is_dir()
    assert list(open_corpus("cat2000", tmp_path).stimuli) == sorted(expected)
