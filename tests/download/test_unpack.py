import io
import os
import re
import tarfile
import zipfile

import pytest
from helpers import one_line
from hypothesis import given
from hypothesis import strategies as st

from download import DownloadError, archives, unpack

TAKE = {"Stimuli/*/*.jpg": "stimuli/", "*_fixMap.png": "saliency/", "fixations.mat": "fixations"}
MEMBERS = {
    "trainSet/Stimuli/Action/001.jpg": b"action",
    "trainSet/Stimuli/Art/001.JPG": b"art" * 1000,
    "trainSet/Stimuli/Art/Output/002.jpg": b"not wanted",
    "trainSet/a_fixMap.png": b"",
    "trainSet/eye/fixations.mat": bytes(range(256)) * 9000,
    "trainSet/eye/Fixations.txt": b"not wanted",
    "__MACOSX/trainSet/Stimuli/Action/001.jpg": b"not wanted",
    "trainSet/Stimuli/Action/._001.jpg": b"not wanted",
}
PLACES = {
    "fixations/fixations.mat": "trainSet/eye/fixations.mat",
    "saliency/a_fixMap.png": "trainSet/a_fixMap.png",
    "stimuli/Action/001.jpg": "trainSet/Stimuli/Action/001.jpg",
    "stimuli/Art/001.JPG": "trainSet/Stimuli/Art/001.JPG",
}
KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def make_zip(path, members, method=zipfile.ZIP_DEFLATED):
    """`members`: pairs of a name or ZipInfo and its bytes."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def make_tar(path, members, packing=""):
    """`members`: pairs of a name or TarInfo and its bytes."""
    with tarfile.open(path, f"w:{packing}") as file:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def make(kind, path, members):
    members = list(members.items() if isinstance(members, dict) else members)
    if kind == "zip":
        return make_zip(path, members)
    return make_tar(path, members, kind.removeprefix("tar").removeprefix("."))


def refusal(archive, folder, take=TAKE) -> str:
    """Return the one line in which an archive is refused."""
    with one_line(re.escape(archive.name), DownloadError) as error:
        unpack.unpack(archive, folder, take)
    return str(error.value)


def refused(archive, tmp_path, take=TAKE) -> str:
    """Its error, after a look that nothing was written anywhere."""
    before = sorted(tmp_path.rglob("*"))
    told = refusal(archive, tmp_path / "corpus", take)
    assert sorted(tmp_path.rglob("*")) == before
    return told


@pytest.mark.parametrize(
    ("member", "place"),
    [
        ("trainSet/Stimuli/Action/001.jpg", "stimuli/Action/001.jpg"),
        ("./STIMULI/Action/001.JPG", "stimuli/Action/001.JPG"),
        ("a\\Stimuli\\Action\\1.jpg", "stimuli/Action/1.jpg"),
        ("Stimuli/1.jpg", None),  # a * stands for one component
        ("Stimuli/a/b/1.jpg", None),
        ("deep/down/i05_fixMap.png", "saliency/i05_fixMap.png"),
        ("eye/fixations.mat", "fixations/fixations.mat"),
        ("eye/myfixations.mat", None),
        ("__MACOSX/eye/fixations.mat", None),
        ("Stimuli/a/._1.jpg", None),
        ("Stimuli/../1.jpg", None),
        ("", None),
    ],
)
def test_place(member, place):
    assert unpack.placing(TAKE)(member) == place


def test_the_first_pattern_that_fits_wins():
    assert unpack.placing({"*_fixPts.jpg": "fixations", "*.jpg": "x"})("a_fixPts.jpg") == (
        "fixations/a_fixPts.jpg"
    )
    assert unpack.placing({"*": "x"})("a/.DS_Store") is None
    assert unpack.placing({"*": "x"})("a/Thumbs.db") is None


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b.jpg", "\\", "C:"]), max_size=6))
def test_a_place_is_below_its_folder(parts):
    place = unpack.placing({"*/*": "stimuli/", "*": "stimuli/"})("/".join(parts))
    if place is not None:
        assert os.path.normpath(place) == place.rstrip("/")
        assert place.startswith("stimuli/")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_taken_goes_to_its_place(kind, tmp_path):
    archive = make(kind, tmp_path / "archive", MEMBERS)  # known by its content, not by its name
    folder = tmp_path / "corpus"
    assert unpack.unpack(archive, folder, TAKE) == sorted(PLACES)
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in written} == {
        place: MEMBERS[name] for place, name in PLACES.items()
    }


def test_permissions_are_the_usual_ones(tmp_path):
    info = tarfile.TarInfo("fixations.mat")
    info.mode = 0o4777
    archive = make_tar(tmp_path / "a.tar", [(info, b"x")])
    unpack.unpack(archive, tmp_path / "corpus", TAKE)
    (tmp_path / "usual").touch()
    mode = (tmp_path / "corpus/fixations/fixations.mat").stat().st_mode
    assert mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    "name",
    ["../x.txt", "a/../../x.txt", "/tmp/x.txt", "..\\x.txt", "\\x.txt", "C:\\x.txt", "c:x.txt"],
)
def test_a_member_that_leaves_the_folder(kind, name, tmp_path):
    archive = make(kind, tmp_path / "a", MEMBERS | {name: b"evil"})
    assert repr(name) in refused(archive, tmp_path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("name", ["Stimuli/a/1.jpg", "not taken"])
def test_links_and_devices_in_a_tar(kind, name, tmp_path):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    archive = make_tar(tmp_path / "a.tar", [*MEMBERS.items(), (info, b"")])
    assert "a link or a device" in refused(archive, tmp_path)


def test_links_in_a_zip(tmp_path):
    info = zipfile.ZipInfo("Stimuli/a/1.jpg")
    info.external_attr = 0o120777 << 16
    archive = make_zip(tmp_path / "a.zip", [*MEMBERS.items(), (info, b"/etc/passwd")])
    assert "a link or a device" in refused(archive, tmp_path)


def test_encrypted(tmp_path):
    archive = make("zip", tmp_path / "a.zip", {"fixations.mat": b"x"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # the flag, in the table of contents
    archive.write_bytes(data)
    assert "'fixations.mat' is encrypted" in refused(archive, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "FREE", 2 << 20)
    monkeypatch.setattr(unpack, "RATIO", 50)
    archive = make(kind, tmp_path / "a", {"fixations.mat": bytes(3 << 20)})
    if kind == "tar":  # which packs nothing
        assert unpack.unpack(archive, tmp_path / "corpus", TAKE)
    else:
        assert "3,145,728" in refused(archive, tmp_path)


def test_a_bomb_behind_the_end_of_a_tar(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "PADDING", 4 << 20)
    archive = tmp_path / "a.tgz"
    make("tar", tmp_path / "a.tar", MEMBERS)
    with archives.gzip.open(archive, "wb") as file:
        file.write((tmp_path / "a.tar").read_bytes() + bytes(6 << 20))
    assert "after its end" in refused(archive, tmp_path)


def test_a_tar_header_that_would_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HEADER", 1000)
    archive = make("tar", tmp_path / "a.tar", MEMBERS | {"n" * 2000: b""})
    assert "a header of 2,0" in refused(archive, tmp_path)


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "MEMBERS", len(MEMBERS) - 1)
    assert "more than 7 members" in refused(make("zip", tmp_path / "a", MEMBERS), tmp_path)


@pytest.mark.parametrize(("sent", "word"), [(3, "fewer"), (10, "more")])
def test_a_size_that_is_a_lie(sent, word, tmp_path, monkeypatch):
    # zipfile and tarfile never give more than a header says; a reader that does stands in here.
    lie = archives.Member("fixations.mat", 4, True, None, lambda: io.BytesIO(b"x" * sent))
    monkeypatch.setattr(unpack, "members", lambda archive: (member for member in [lie]))
    archive = make("zip", tmp_path / "a", {"fixations.mat": b"four"})
    assert word in refusal(archive, tmp_path / "corpus")
    assert (tmp_path / "corpus/fixations/fixations.mat").stat().st_size <= 4


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_two_members_for_one_place(kind, tmp_path):
    members = {"a/fixations.mat": b"1", "b/fixations.mat": b"2"}
    told = refused(make(kind, tmp_path / "a", members), tmp_path)
    assert "'a/fixations.mat' and 'b/fixations.mat'" in told


def test_two_archives_for_one_place(tmp_path):
    archive = make("zip", tmp_path / "a.zip", MEMBERS)
    mine = tmp_path / "corpus/stimuli/Action/001.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    assert "1 of its files are in" in refused(archive, tmp_path)
    assert mine.read_bytes() == b"mine"


def test_nothing_taken(tmp_path):
    archive = make("zip", tmp_path / "a.zip", {"pictures/": b"", "b.bmp": b"", "c.bmp": b""})
    told = refused(archive, tmp_path)
    for part in (*TAKE, "2 files", "first 'b.bmp', 'c.bmp'"):
        assert part in told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_archive(kind, share, tmp_path):
    archive = make(kind, tmp_path / "a", {f"Stimuli/a/{n}.jpg": os.urandom(2000) for n in range(9)})
    data = archive.read_bytes()
    end = 9 * 2560 if kind == "tar" else len(data)  # what pads a tar may be missing
    archive.write_bytes(data[: int(end * share)])
    assert "truncated or damaged" in refused(archive, tmp_path)


def test_a_tar_that_ends_between_two_members(tmp_path):
    archive = make("tar", tmp_path / "a", {f"Stimuli/a/{n}.jpg": b"x" * 512 for n in range(9)})
    archive.write_bytes(archive.read_bytes()[: 5 * 1024])
    assert "truncated or damaged" in refused(archive, tmp_path)


def test_damaged_bytes(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("fixations.mat", b"a" * 99)], zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"aaa", b"aba", 1))
    assert "CRC" in refusal(archive, tmp_path / "corpus")


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_damaged_packing(kind, tmp_path):
    data = bytearray(
        make(kind, tmp_path / "a", {"fixations.mat": os.urandom(1_200_000)}).read_bytes()
    )
    data[-99_999] ^= 255  # bzip2 packs, and checks, 900 kB at a time
    (tmp_path / "a").write_bytes(data)
    assert "truncated or damaged" in refused(tmp_path / "a", tmp_path)


def test_a_packing_that_python_cannot_read(tmp_path):
    archive = make("zip", tmp_path / "a.zip", {"fixations.mat": b"x"})
    data = bytearray(archive.read_bytes())
    for header, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        data[data.index(header) + offset] = 9  # deflate64, as Windows makes of big files
    archive.write_bytes(data)
    assert "unpack it by hand" in refusal(archive, tmp_path / "corpus")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"Rar!\x1a\x07" + b"x" * 600])
def test_no_archive(content, tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)
    assert "neither a zip nor a tar" in refused(archive, tmp_path)


def test_no_such_archive(tmp_path):
    assert "No such file" in refused(tmp_path / "a.zip", tmp_path)


def test_no_room_is_said_before_a_byte_is_written(tmp_path, monkeypatch):
    archive = make("zip", tmp_path / "a.zip", MEMBERS)
    size = sum(len(MEMBERS[name]) for name in PLACES.values())
    usage = type("Usage", (), {"free": size - 1})
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda folder: usage)
    assert f"needs {size:,} bytes" in refusal(archive, tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []


def test_a_target_that_cannot_be_written(tmp_path):
    archive = make("zip", tmp_path / "a.zip", MEMBERS)
    (tmp_path / "corpus").write_text("a file")
    assert str(tmp_path / "corpus") in refusal(archive, tmp_path / "corpus")


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[2J", "\u202egpj", "caf\udce9"])
def test_a_name_that_cannot_be_printed(name, tmp_path):
    """Results are called after stimuli, and errors name them."""
    info = tarfile.TarInfo(f"Stimuli/a/{name}.jpg")
    archive = make_tar(tmp_path / "a.tar", [*MEMBERS.items(), (info, b"x")])
    assert f"its member {info.name!r} has a name that cannot be printed" in refused(
        archive, tmp_path
    )
    elsewhere = make_tar(
        tmp_path / "b.tar", [*MEMBERS.items(), (tarfile.TarInfo(f"not taken/{name}"), b"x")]
    )
    assert unpack.unpack(elsewhere, tmp_path / "corpus", TAKE) == sorted(PLACES)
