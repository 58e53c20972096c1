import hashlib
import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from corpus_files import MAKERS, MAPS, SIZE, blurred, pack, picture, points, served
from helpers import one_line
from PIL import Image
from processes import Program

import storage
from batches.truth import truth
from data import corpora, scenes  # noqa: F401  corpora's classes register themselves
from data import install as installing
from data.contract import Source
from data.corpus import Corpus, find, open_corpus
from data.install import install
from data.samples import load
from data.splits import Ratio, Shuffled
from download import DownloadError
from formats.fixations import table
from formats.pictures.integrity import Memory
from formats.pysaliency import read_hdf5

SHARED = Path(__file__).parents[3] / "shared" / "corpora"
real = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real corpora are not beside the checkout"
)


@pytest.fixture
def shop(tmp_path):
    """Makes, packs and serves a corpus' archives: name -> (class, address, expected points)."""
    servers = []

    def open_shop(name):
        expected = MAKERS[name](tmp_path / "made")
        servers.append(served(pack(tmp_path / "made", tmp_path / "served")))
        return find(name), servers[-1].__enter__(), expected

    yield open_shop
    for server in servers:
        server.__exit__(None, None, None)


def left_in(root):
    """The names of what lies below a root but locks."""
    return [path.name for path in root.iterdir() if path.suffix != ".lock"]


def load_all(name, root, **options):
    train, valid, *_ = load(
        open_corpus(name, root), Memory(root / ".memory"), partial=True, **options
    )
    assert train
    assert valid
    return [*train, *valid]


def test_every_corpus_is_tried_here():
    ours = [c for c in Corpus.registry.values() if c.__module__ in ("data.corpora", "data.scenes")]
    assert {c.name for c in ours} == {*MAKERS, *scenes.DEMO}


@pytest.mark.parametrize("name", MAKERS)
def test_archives_of_the_authors_become_samples(name, shop, tmp_path, caplog):
    corpus, address, expected = shop(name)
    caplog.set_level(logging.INFO, "absl")
    root = tmp_path / "data"
    folder = install(corpus, root, mirror=address, checksums=False, partial=True)
    assert folder == root / name
    assert left_in(root) == [name]
    assert f"{len(expected)} stimuli, {corpus.split.count} expected" in caplog.text
    samples = load_all(name, root)
    assert points(samples) == {n: sorted(map(tuple, p)) for n, p in expected.items()}
    for sample in samples:
        assert sample.shape == SIZE[::-1]
        assert (sample.density_map is not None) == (name in MAPS)
        if sample.density_map:
            stem = Path(sample.name).stem
            assert sample.density_map.stem in (stem, f"{stem}_fixMap")
        else:
            assert sample.sigma == corpus.sigma
    # only what its authors give with coordinates is converted, and then that alone is kept
    converted = any(source.read for source in corpus.sources)
    assert (folder / "fixations.hdf5").exists() == converted
    assert (folder / "fixations").exists() != converted


@pytest.mark.parametrize("name", MAKERS)
def test_archives_from_disk_give_the_same(name, tmp_path):
    expected = MAKERS[name](tmp_path / "made")
    archives = sorted(pack(tmp_path / "made", tmp_path / "disk").iterdir())
    install(find(name), tmp_path / "data", archives)
    found = points(load_all(name, tmp_path / "data"))
    assert found == {n: sorted(map(tuple, p)) for n, p in expected.items()}


@pytest.mark.parametrize("name", ["osie", "dutomron", "pascals", "salicon"])
def test_scanpaths_are_kept_where_they_are_known(name, tmp_path):
    expected = MAKERS[name](tmp_path / "made")
    archives = pack(tmp_path / "made", tmp_path / "disk").iterdir()
    folder = install(find(name), tmp_path / "data", sorted(archives))
    with h5py.File(folder / "fixations.hdf5") as file:
        assert file.attrs["type"] == b"FixationTrains"
    with h5py.File(folder / "stimuli.hdf5") as file:
        names = file["filenames"].asstr()[...].tolist()
        assert [shape.tolist() for shape in file["shapes"][...]] == [[32, 40, 3]] * len(names)
    assert names == [f"stimuli/{name}" for name in sorted(expected)]


def test_maps_of_points_and_blurred_maps_are_told_apart(tmp_path):
    name = "fixationadd1000"
    MAKERS[name](tmp_path / "made")
    for path in (tmp_path / "made" / "fixation_add1000.tar.gz" / "fixation").iterdir():
        blurred(path)
    archives = pack(tmp_path / "made", tmp_path / "disk").iterdir()
    install(find(name), tmp_path / "data", list(archives))
    samples = load_all(name, tmp_path / "data")
    assert all(sample.points is None and sample.density_map for sample in samples)
    assert {s.density_map.stem for s in samples} == {"1", "2", "10"}
    slope = np.float64(Image.open(samples[0].density_map))
    np.testing.assert_allclose(truth(samples[0])["density"], slope / slope.sum(), rtol=1e-6)


def test_another_checksum_is_refused_with_both_and_deletes_nothing(shop, tmp_path):
    corpus, address, _ = shop("osie")
    with pytest.raises(DownloadError) as error:
        install(corpus, tmp_path / "data", mirror=address)
    made = hashlib.md5()
    made.update(next((tmp_path / "made").rglob("eye/fixations.mat")).read_bytes())
    assert made.hexdigest() in str(error.value)
    assert "8efdf6fe66f38b6e70f854c7ff45aa70" in str(error.value)
    assert not (tmp_path / "data" / "osie").exists()
    assert len(list((tmp_path / "data").rglob("master.zip"))) == 1


def test_another_checksum_of_an_archive_is_refused(shop, tmp_path):
    corpus, address, _ = shop("mit1003")
    with pytest.raises(DownloadError, match="0d7df8b954ecba69b6796e77b9afe4b6") as error:
        install(corpus, tmp_path / "data", mirror=address)
    archive = tmp_path / "served" / "ALLSTIMULI.zip"
    assert hashlib.md5(archive.read_bytes()).hexdigest() in str(error.value)
    assert not corpus.locate(tmp_path / "data")


def test_an_archive_on_disk_with_another_checksum_is_used_and_said(tmp_path, caplog):
    MAKERS["mit1003"](tmp_path / "made")
    archives = pack(tmp_path / "made", tmp_path / "disk").iterdir()
    install(find("mit1003"), tmp_path / "data", list(archives))
    assert "0d7df8b954ecba69b6796e77b9afe4b6" in caplog.text
    assert "used all the same" in caplog.text


def test_a_corpus_without_download_says_so(tmp_path):
    with one_line("no public download.*--archive") as error:
        install(find("fixationadd1000"), tmp_path / "data")
    assert "fixation_add1000.tar.gz" in str(error.value)
    assert left_in(tmp_path / "data") == []


def test_a_broken_archive_leaves_no_corpus_and_the_next_try_works(shop, tmp_path):
    corpus, address, expected = shop("salicon")
    archive = tmp_path / "served" / "maps.zip"  # the last of three, its checksum not known
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DownloadError, match="maps.zip.*move it away to fetch it anew") as error:
        install(corpus, tmp_path / "data", mirror=address, checksums=False, partial=True)
    assert corpus.locate(tmp_path / "data") is None
    archive.write_bytes(whole)
    kept = Path(str(error.value).partition("kept at ")[2].partition(", move")[0])
    kept.unlink()
    install(corpus, tmp_path / "data", mirror=address, checksums=False, partial=True)
    assert len(load_all("salicon", tmp_path / "data")) == len(expected)


def test_what_was_fetched_is_not_fetched_again(shop, tmp_path):
    corpus, address, expected = shop("mit1003")
    (tmp_path / "served" / "ALLFIXATIONMAPS.zip").rename(tmp_path / "away")
    with pytest.raises(DownloadError, match="ALLFIXATIONMAPS.zip"):
        install(corpus, tmp_path / "data", mirror=address, checksums=False, partial=True)
    (tmp_path / "away").rename(tmp_path / "served" / "ALLFIXATIONMAPS.zip")
    (tmp_path / "served" / "ALLSTIMULI.zip").unlink()
    install(corpus, tmp_path / "data", mirror=address, checksums=False, partial=True)
    assert len(load_all("mit1003", tmp_path / "data")) == len(expected)


def test_a_download_of_fewer_stimuli_is_refused_kept_and_taken_with_partial(shop, tmp_path, cli):
    corpus, address, expected = shop("salicon")
    argv = ["download", "-d", "salicon", "-p", tmp_path / "data", "--mirror", address]
    argv.append("--no-checksum")
    code, _, said = cli(*argv)
    count = f"salicon: {len(expected)} stimuli, 15000 expected; what was fetched is kept in "
    assert (code, said.count("\n")) == (2, 1) and said.startswith(count) and "--partial" in said
    assert left_in(tmp_path / "data") == [".salicon.part"]
    shutil.rmtree(tmp_path / "served")
    assert cli(*argv, "--partial")[0] == 0
    assert left_in(tmp_path / "data") == ["salicon"]
    assert len(load_all("salicon", tmp_path / "data")) == len(expected)


def test_archives_of_fewer_stimuli_are_kept_and_said(tmp_path, caplog):
    MAKERS["osie"](tmp_path / "made")
    install(
        find("osie"), tmp_path / "data", [*pack(tmp_path / "made", tmp_path / "disk").iterdir()]
    )
    assert "osie: 3 stimuli, 700 expected; kept, --partial trains on them" in caplog.text


def test_a_second_download_beside_the_first_is_refused(shop, tmp_path, monkeypatch):
    corpus, address, expected = shop("salicon")
    argv = ["download", "-d", "salicon", "-p", tmp_path / "data", "--mirror", address]
    refused = []

    def unpack_beside(archive, *more):
        unpack(archive, *more)
        with Program(*argv, "--no-checksum", "--partial") as second:
            refused.append((second.end(), second.err[-1]))

    unpack = installing.unpack
    monkeypatch.setattr(installing, "unpack", unpack_beside)
    install(corpus, tmp_path / "data", mirror=address, checksums=False, partial=True)
    lock = tmp_path / "data" / ".salicon.lock"
    said = f"salicon is being installed by another process (it holds {lock}); wait for it"
    assert refused == [(2, said)] * 3
    assert len(load_all("salicon", tmp_path / "data")) == len(expected)


def test_what_another_process_has_installed_meanwhile_is_taken(shop, tmp_path, monkeypatch):
    corpus, address, expected = shop("salicon")
    archives = [*(tmp_path / "served").iterdir()]
    locked = storage.locked

    def late(*arguments):
        monkeypatch.setattr(storage, "locked", locked)
        install(corpus, tmp_path / "data", archives)
        return locked(*arguments)

    monkeypatch.setattr(storage, "locked", late)
    assert install(corpus, tmp_path / "data", mirror="http://nowhere") == tmp_path / "data/salicon"
    assert len(load_all("salicon", tmp_path / "data")) == len(expected)


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path, caplog):
    caplog.set_level(logging.INFO, "absl")
    file = picture(tmp_path / "data" / "OSIE" / "stimuli" / "a.jpg")
    before = file.stat().st_mtime_ns
    assert install(find("osie"), tmp_path / "data") == tmp_path / "data" / "OSIE"
    assert "is there already; remove it" in caplog.text
    assert file.stat().st_mtime_ns == before


def test_an_empty_folder_is_no_corpus(tmp_path):
    MAKERS["osie"](tmp_path / "made")
    archives = list(pack(tmp_path / "made", tmp_path / "disk").iterdir())
    (tmp_path / "data" / "OSIE").mkdir(parents=True)
    assert install(find("osie"), tmp_path / "data", archives) == tmp_path / "data" / "OSIE"
    assert len(load_all("osie", tmp_path / "data")) == 3


@pytest.mark.parametrize("ready", [True, False], ids=["empty", "not yet there"])
def test_a_link_to_where_a_corpus_is_to_lie_is_followed(ready, tmp_path):
    expected = MAKERS["fiwi"](tmp_path / "made")
    archives = sorted(pack(tmp_path / "made", tmp_path / "disk").iterdir())
    for folder in ("data", "large"):
        (tmp_path / folder).mkdir()
    if ready:
        (tmp_path / "large" / "fiwi").mkdir()
    (tmp_path / "data" / "fiwi").symlink_to("../large/fiwi")
    install(find("fiwi"), tmp_path / "data", archives)
    assert left_in(tmp_path / "large") == ["fiwi"]
    assert left_in(tmp_path / "data") == ["fiwi"]
    assert points(load_all("fiwi", tmp_path / "data")).keys() == expected.keys()


def test_a_folder_with_something_else_is_not_touched(tmp_path):
    (tmp_path / "data" / "osie").mkdir(parents=True)
    (tmp_path / "data" / "osie" / "notes.txt").touch()
    with one_line("without pictures of osie; move it away"):
        install(find("osie"), tmp_path / "data")
    assert (tmp_path / "data" / "osie" / "notes.txt").exists()


def test_pictures_without_any_truth_are_no_corpus(tmp_path):
    MAKERS["salicon"](tmp_path / "made")
    archives = pack(tmp_path / "made", tmp_path / "disk")
    with one_line("images.zip, fixations.zip, maps.zip") as error:
        install(find("salicon"), tmp_path / "data", [archives / "images.zip"])
    assert "neither fixations nor maps" in str(error.value)
    assert left_in(tmp_path / "data") == []


@pytest.mark.parametrize("given", ["nowhere.zip", "."])
def test_an_archive_that_is_not_there(given, tmp_path):
    with one_line("no such file"):
        install(find("osie"), tmp_path / "data", [tmp_path / given])


def test_a_damaged_picture_in_an_archive_is_named(tmp_path):
    MAKERS["osie"](tmp_path / "made")
    stimulus = next((tmp_path / "made").rglob("1002.jpg"))
    stimulus.write_bytes(stimulus.read_bytes()[:300])
    archives = pack(tmp_path / "made", tmp_path / "disk").iterdir()
    with one_line("1 pictures cannot be read.*1002.jpg"):
        install(find("osie"), tmp_path / "data", list(archives))
    assert find("osie").locate(tmp_path / "data") is None


def test_a_drawn_corpus_is_whole_and_its_truth_is_known(tmp_path, monkeypatch):
    corpus = find(scenes.DEMO[0])
    monkeypatch.setattr(corpus, "split", Shuffled(train=3, valid=2))
    install(corpus, tmp_path / "data")
    samples = load_all(corpus.name, tmp_path / "data")
    assert len(samples) == 5
    for sample in samples:
        assert len(sample.points) == scenes.OBSERVERS * scenes.PER_SCANPATH
        assert np.exp(np.load(sample.truth)).sum() == pytest.approx(1, abs=1e-4)
    shutil.rmtree(tmp_path / "data" / corpus.name)
    install(corpus, tmp_path / "data")
    again = load_all(corpus.name, tmp_path / "data")
    assert points(again) == points(samples)


@real
@pytest.mark.corpus
def test_the_real_osie_loses_nothing(tmp_path):
    with served(SHARED / "osie") as address:
        folder = install(find("osie"), tmp_path, mirror=address)
    assert len(list((folder / "stimuli").iterdir())) == 700
    ours = read_hdf5(folder / "fixations.hdf5")
    theirs = read_hdf5(SHARED / "osie_pysaliency" / "fixations.hdf5")
    assert len(ours) == 98_321
    assert len(np.unique(ours.scanpath)) == 10_500
    assert len(np.unique(ours.subject)) == 15
    for name in ("x", "y", "n", "subject", "scanpath"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    corpus = open_corpus("osie", tmp_path)
    train, valid, *_ = corpus.split(list(corpus.stimuli), partial=False)
    assert (len(train), len(valid)) == (500, 200)


@real
@pytest.mark.corpus
@pytest.mark.parametrize("kind", ["points", "blurred"])
def test_the_real_adverts_are_told_apart(kind, tmp_path):
    archive = SHARED / "fixation_add1000" / f"{kind}.tar.gz"
    install(find("fixationadd1000"), tmp_path / "data", [archive])
    samples = load_all("fixationadd1000", tmp_path / "data")
    assert len(samples) == 60
    for sample in samples:
        assert (sample.points is not None) == (kind == "points")
        assert (sample.density_map is not None) == (kind == "blurred")


def test_corpora_name_archives_that_can_be_served_by_name():
    for name, corpus in Corpus.registry.items():
        names = [source.name for source in corpus.sources]
        assert len(set(names)) == len(names), name
        assert all(n.endswith((".zip", ".tar.gz")) for n in names), name


def test_a_class_of_ones_own_with_its_own_reader(tmp_path, monkeypatch):
    monkeypatch.setattr(Corpus, "registry", dict(Corpus.registry))

    def read_text(files, stimuli):
        rows = [path.read_text().split() for _, path in sorted(files.items())]
        return table([row[0] for row in rows], [row[1] for row in rows], range(len(stimuli)))

    class ADVERTS(Corpus):
        """Adverts (Someone, 2020)."""

        size = (64, 64)
        split = Ratio(4, 1)
        sigma = 3
        sources = (
            Source("http://a/ads.zip", {"ads/*.bmp": "stimuli/"}),
            Source("http://a/eyes.zip", {"*.txt": "fixations/"}, read=read_text),
        )

    for number in (1, 2, 3):
        picture(tmp_path / "made" / "ads.zip" / "ads" / f"{number}.bmp")
        (tmp_path / "made" / "eyes.zip").mkdir(exist_ok=True)
        (tmp_path / "made" / "eyes.zip" / f"{number}.txt").write_text(f"{number}.5 7")
    with served(pack(tmp_path / "made", tmp_path / "served")) as address:
        install(ADVERTS, tmp_path / "data", mirror=address)
    found = points(load_all("adverts", tmp_path / "data"))
    assert found == {"1.bmp": [(1.5, 7)], "2.bmp": [(2.5, 7)], "3.bmp": [(3.5, 7)]}
