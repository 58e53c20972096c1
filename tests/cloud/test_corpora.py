"""Corpora that lie in a store are read as those on a disk are."""

import shutil

import h5py
import numpy as np
import pytest
from conftest import make_own
from corpus_files import MAKERS, pack, points, served, unpack_here

import storage
from batches.truth import truth
from data import corpora, scenes  # noqa: F401  corpora's classes register themselves
from data.corpus import find, in_folder, inventory, open_corpus
from data.install import install
from data.predictions import Predictions
from data.samples import load, pictures
from errors import UsageError
from formats.pictures.decode import decode
from formats.pictures.integrity import Memory


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def send(folder, place):
    """Uploads all files of a folder, as any other program would."""
    for path in folder.rglob("*"):
        if path.is_file():
            storage.upload(path, place / path.relative_to(folder))


def names(bucket):
    return {found.key.removeprefix("folder/") for found in bucket.objects.all()}


def samples_of(name, root, tmp_path):
    return sum(load(open_corpus(name, root), tmp_path / f"{len(str(root))}.json", True)[:3], [])


def same(remote, local):
    """Whether two lists of samples are of the same pictures and truths."""
    assert [s.name for s in remote] == [s.name for s in local] and remote
    for ours, theirs in zip(remote, local, strict=True):
        assert (ours.digest, ours.shape, ours.sigma) == (theirs.digest, theirs.shape, theirs.sigma)
        np.testing.assert_array_equal(decode(ours.stimulus), decode(theirs.stimulus))
        found, expected = truth(ours), truth(theirs)
        assert found.keys() == expected.keys()
        for key in found:
            np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


@pytest.mark.parametrize("name", MAKERS)
def test_a_corpus_unpacked_by_hand_and_sent_to_a_store(name, remote, tmp_path):
    expected = MAKERS[name](tmp_path / "made")
    (tmp_path / "data" / name).mkdir(parents=True)
    unpack_here(tmp_path / "made", tmp_path / "data" / name)
    send(tmp_path / "data", remote)
    there = samples_of(name, remote, tmp_path)
    same(there, samples_of(name, tmp_path / "data", tmp_path))
    assert points(there) == {n: sorted(map(tuple, p)) for n, p in expected.items()}


@pytest.mark.parametrize("name", ["osie", "salicon"])
def test_a_corpus_downloaded_to_a_store(name, remote, bucket, tmp_path):
    MAKERS[name](tmp_path / "made")
    with served(pack(tmp_path / "made", tmp_path / "served")) as address:
        for root in (remote, tmp_path / "data"):
            folder = install(find(name), root, mirror=address, checksums=False, partial=True)
            assert folder == root / name
    same(samples_of(name, remote, tmp_path), samples_of(name, tmp_path / "data", tmp_path))
    files = {p.relative_to(tmp_path / "data").as_posix() for p in (tmp_path / "data").rglob("*.*")}
    assert names(bucket) == files - {f".{name}.lock"}
    left = {p.name for p in (tmp_path / "cache").rglob(".*")}
    assert left == {f".{name}.lock"}  # what is worked on is gone
    (line,) = [line for line in inventory(remote) if str(folder.name) in line and "3 of" in line]
    assert line.strip().startswith(f"{remote / name}: 3 of")


def test_an_upload_that_was_cut_is_refused_and_done_again(remote, bucket, tmp_path, monkeypatch):
    MAKERS["osie"](tmp_path / "made")
    (archive,) = pack(tmp_path / "made", tmp_path / "served").iterdir()
    upload, sent = storage.upload, []

    def lose(file, place):
        sent.append(place)
        if len(sent) > 3:
            raise OSError("the line is dead")
        upload(file, place)

    monkeypatch.setattr(storage, "upload", lose)
    with pytest.raises(OSError, match="dead"):
        install(find("osie"), remote, [archive])
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert ".osie.part" in names(bucket)
    with pytest.raises(UsageError) as refused:
        open_corpus("osie", remote)
    assert "not all of it is there, its upload was cut off" in str(refused.value)
    assert f"python main.py download -d osie -p {remote}" in str(refused.value)
    assert any("was cut off" in line for line in inventory(remote))
    install(find("osie"), remote, [archive])
    assert ".osie.part" not in names(bucket)
    assert len(samples_of("osie", remote, tmp_path)) == 3


def test_a_folder_of_ones_own_in_a_store(remote, tmp_path):
    own = make_own(tmp_path / "own", count=5)
    send(own, remote / "own")
    assert in_folder(f"{remote}/own") == remote / "own" and in_folder(f"{remote}/none") is None
    corpus = open_corpus(f"{remote}/own", tmp_path)
    assert (corpus.name, corpus.address) == ("own", f"{remote}/own")
    same(samples_of(f"{remote}/own", None, tmp_path), samples_of(str(own), None, tmp_path))
    there = pictures(remote / "own" / "stimuli", Memory(tmp_path))
    assert [sample.name for sample in there] == [f"{index:02d}.png" for index in range(5)]


def test_a_drawn_corpus_has_its_true_density(remote, tmp_path, monkeypatch):
    drawn = find("synthetic")
    monkeypatch.setattr(drawn, "split", type(drawn.split)(train=3, valid=2))
    for root in (remote, tmp_path / "data"):
        install(drawn, root)
    there = samples_of("synthetic", remote, tmp_path)
    same(there, samples_of("synthetic", tmp_path / "data", tmp_path))
    assert all("true_log_density" in truth(sample) for sample in there)


def test_stimuli_inside_an_hdf5_file(remote, tmp_path):
    own = make_own(tmp_path / "own", count=4)
    grey = np.random.default_rng(0).integers(0, 255, (4, 48, 64), np.uint8)
    with h5py.File(own / "stimuli.hdf5", "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("Stimuli"), np.bytes_("1.1")
        for index, picture in enumerate(grey):
            file[str(index)] = picture
        file["filenames"] = [f"{index:02d}.png" for index in range(4)]
    shutil.rmtree(own / "stimuli")
    send(own, remote / "own")
    there = samples_of(f"{remote}/own", None, tmp_path)
    same(there, samples_of(str(own), None, tmp_path))
    assert {decode(sample.stimulus)[..., 0].tobytes() for sample in there} == {
        picture.tobytes() for picture in grey
    }


def test_predictions_in_a_store(remote, tmp_path):
    own = make_own(tmp_path / "own", count=3)
    samples = samples_of(str(own), None, tmp_path)
    maps = {sample.name: np.random.default_rng(1).random(sample.shape) for sample in samples}
    for name, values in maps.items():
        with storage.replacing((remote / name).with_suffix(".npy")) as part:
            np.save(part, values)
    found = Predictions(remote, "saliency", samples)
    for sample in samples:
        np.testing.assert_array_equal(found(sample), maps[sample.name])
