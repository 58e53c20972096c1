"""Damaged and hostile files: no crash, no hang, no write outside, each one read or refused.

FUZZ_SEED and FUZZ_COUNT give other files, and another number of each kind:
FUZZ_SEED=7 FUZZ_COUNT=50000 python -m pytest -m slow tests/fuzz -s
"""

import importlib
import io
import os
import sys
import tarfile
import zipfile
from random import Random

import h5py
import pytest
from fuzz import archives, campaign, misbehaving, pictures, tables
from fuzz.archive_forms import tar_repair, zip_repair
from fuzz.hdf5_forms import HDF5, lookup3
from fuzz.mutations import Field, mutated
from fuzz.pictures_forms import FORMS, png_repair
from PIL import Image

from download import DownloadError, unpack

MANY = {"pictures": 10_000, "tables": 2000, "matlab_files": 2000, "archives": 2000, "arrays": 2000}
FEW = {"pictures": 142, "tables": 25, "matlab_files": 40, "archives": 80, "arrays": 32}
SEED = os.environ.get("FUZZ_SEED", "0")
# What is whole and refused all the same; of archives, those of strange names may be either.
REFUSED = {"npy structured", "npy pickled", "npy brackets", "npy minus", *archives.hostile()}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what it measures is in /proc")


# the program


def run(kind: str, count: int, folder) -> campaign.Found:
    found = campaign.run(kind, SEED, count, folder)
    shown = "\n".join(found.faults[:20])
    assert not found.faults, f"{len(found.faults)} faults, their files are kept:\n{shown}"
    assert sum(found.counts.values()) == count
    return found


@pytest.mark.parametrize("kind", FEW)
def test_a_few_files(kind, tmp_path):
    run(kind, FEW[kind], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MANY)
def test_many_files(kind, tmp_path, capsys):
    found = run(kind, int(os.environ.get("FUZZ_COUNT", MANY[kind])), tmp_path)
    with capsys.disabled():
        print(f"\n| {kind}, seed {SEED} | files | read | refused | faults |\n{found.table()}")


@pytest.mark.parametrize("kind", FEW)
def test_whole_files_are_read_and_hostile_ones_refused(kind, tmp_path):
    """A campaign would see little of the program if it refused the files before their damage."""
    fuzzed = importlib.import_module(f"fuzz.{kind}")
    files = archives.honest() | archives.hostile() if kind == "archives" else fuzzed.bases(tmp_path)
    for index, (name, whole) in enumerate(files.items()):
        path = tmp_path / f"{index}{fuzzed.ending(name)}"
        path.write_bytes(whole)
        assert fuzzed.check(path) == (name not in REFUSED), name


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
def test_a_bomb_of_more_than_a_gigabyte(packing, tmp_path):
    whole, (_, pack) = archives.tarred(archives.HONEST), archives.PACKERS[packing]
    path = tmp_path / f"bomb.tar.{packing}"
    # Packed streams may stand one behind another.
    path.write_bytes(pack(whole) + pack(bytes(2**26)) * 17)
    with pytest.raises(DownloadError, match="bytes after its end"):
        unpack.unpack(path, tmp_path / "corpus", archives.TAKE)
    assert not (tmp_path / "corpus").exists()


# the campaign


@pytest.mark.slow
def test_every_misdeed_is_found_out_and_laid_to_its_file(tmp_path):
    found = campaign.run("misbehaving", SEED, len(misbehaving.DEEDS), tmp_path, wait=9)
    faults = {line.partition(" (")[0].partition(".")[2]: line for line in found.faults}
    wrong = {deed: said for deed, (_, said) in misbehaving.DEEDS.items() if said}
    assert faults.keys() == wrong.keys()
    for deed, said in wrong.items():
        assert said in faults[deed]
    assert found.counts["reads", "read"] == found.counts["refuses", "refused"] == 1
    assert {path.suffix[1:] for path in tmp_path.iterdir()} == wrong.keys()


@pytest.mark.parametrize("place", ["x", "../x", "/proc/self/comm"])
def test_a_write_outside_is_found_out(tmp_path, monkeypatch, place):
    path = tmp_path / "a.zip"

    def evil(archive, folder, take):
        (folder / "rest").mkdir(parents=True)
        (folder / "rest" / ".." / ".." / place).write_text("evil")
        return []

    monkeypatch.setattr(archives, "unpack", evil)
    with pytest.raises(AssertionError, match="open outside of the folder"):
        archives.check(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: os.mkfifo(path),
        lambda path: (path.touch(), path.chmod(0o4755)),
    ],
)
def test_what_is_no_plain_file_is_found_out(tmp_path, monkeypatch, make):
    def evil(archive, folder, take):
        folder.mkdir(parents=True)
        make(folder / "1.jpg")
        return ["1.jpg"]

    monkeypatch.setattr(archives, "unpack", evil)
    with pytest.raises(AssertionError, match="more than files and folders|outside of the folder"):
        archives.check(tmp_path / "a.zip")


# the damage


def test_a_seed_gives_the_same_files_again():
    whole = pictures.bases(None)["png rgb"]

    def made(seed):
        return [mutated(whole, FORMS["png"], Random(f"{seed} {k}")) for k in range(50)]

    assert made(0) == made(0) != made(1)
    assert len({*made(0)} - {whole}) > 45


@pytest.mark.parametrize(
    ("style", "size", "value", "written"),
    [
        ("little", 4, 258, b"\2\1\0\0"),
        ("big", 4, 258, b"\0\0\1\2"),
        ("little", 2, -1, b"\xff\xff"),
        ("text", 3, 1234, b"1234"),
        ("octal", 8, 65, b"0000101\0"),
        ("octal", 8, 2**21, b"\x80\0\0\0\0\x20\0\0"),  # GNU's, where octal digits do not suffice
    ],
)
def test_numbers_are_written_in_their_style(style, size, value, written):
    field = Field(1, size, style)
    assert field.written(b"<" + b"7" * size + b">", value) == b"<" + written + b">"


def test_lookup3_is_that_of_its_author():
    # lookup3.c, the comments of driver5()
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_sums_of_a_png_are_repaired():
    whole = pictures.bases(None)["png xmp"]
    spoilt = whole.replace(b"rdf:Description", b"rdg:Description")
    with Image.open(io.BytesIO(png_repair(spoilt, whole))) as picture:
        picture.verify()
    with pytest.raises((SyntaxError, OSError)), Image.open(io.BytesIO(spoilt)) as picture:
        picture.verify()


def test_sums_of_a_zip_are_repaired():
    whole = archives.honest()["zip stored"]
    spoilt = whole.replace(b"no picture", b"no pixture", 1)
    for data, faulty in ((spoilt, "set/Stimuli/Action/1.jpg"), (zip_repair(spoilt, whole), None)):
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            assert file.testzip() == faulty


def test_sums_of_a_tar_are_repaired():
    whole = archives.honest()["tar"]
    spoilt = whole.replace(b"set/eye", b"set/ear")
    for data, there in ((spoilt, False), (tar_repair(spoilt, whole), True)):
        with tarfile.open(fileobj=io.BytesIO(data)) as file:
            assert ("set/ear/fixations.mat" in file.getnames()) == there


def test_sums_of_an_hdf5_file_are_repaired(tmp_path):
    whole = tables.bases(tmp_path)["list newest"]
    spoilt = whole.replace(b"FileStimuli", b"FileStimulo", 1)
    with pytest.raises((OSError, KeyError)):
        h5py.File(io.BytesIO(spoilt))["filenames"]
    with h5py.File(io.BytesIO(HDF5.repair(spoilt, whole))) as file:
        assert file.attrs["type"] == b"FileStimulo"
