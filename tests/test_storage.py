"""Places on a disk, and in a store: the one that TensorFlow keeps in memory, ram://."""

import errno
import os
import stat
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from helpers import one_line

import storage

ROOT = Path(__file__).parents[1]


def test_a_place_on_a_disk_is_a_plain_path_and_needs_no_tensorflow():
    code = (
        "import sys, storage; from pathlib import Path\n"
        "for text in ('data', '/a/b', 'a:b//c', ''):\n"
        "    assert type(storage.path(text)) is type(Path(text)), text\n"
        "    assert storage.path(text) == Path(text) and not storage.is_remote(Path(text))\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_home_that_no_shell_has_put_in_is(monkeypatch):
    """As in --results=~/r, which a shell leaves as it is."""
    monkeypatch.setenv("HOME", "/home/me")
    assert storage.path("~/r") == Path("/home/me/r")
    assert storage.path("~other/r") == Path("~other/r") and storage.path("a/~/r") == Path("a/~/r")


@pytest.mark.parametrize("text", ["s3://", "gs:///corpora", "file:///tmp/corpora"])
def test_an_address_without_a_bucket_is_refused(text):
    with one_line("an address has a bucket: .*://BUCKET/FOLDER"):
        storage.path(text)


@pytest.mark.parametrize("there", [None, sys], ids=["no tensorflow_io", "one that is no use"])
def test_a_store_that_is_not_installed_names_the_extra(monkeypatch, there):
    monkeypatch.setattr(storage, "schemes", lambda: ["file", "ram", ""])
    monkeypatch.setitem(sys.modules, "tensorflow_io", there)
    with one_line() as refused:
        storage.path("s3://bucket/corpora")
    said = "s3://bucket/corpora: no such store is known; s3://, gs:// and az:// come with the extra"
    assert str(refused.value).startswith(f'{said} cloud: pip install ".[cloud]"')


@pytest.mark.parametrize(
    ("given", "https", "taken"),
    [
        ("localhost:9000", "0", "http://localhost:9000"),
        ("localhost:9000", None, "https://localhost:9000"),
        ("http://localhost:9000", "1", "http://localhost:9000"),
    ],
)
def test_the_address_of_a_server_gets_its_scheme(monkeypatch, given, https, taken):
    monkeypatch.setenv("S3_ENDPOINT", given)
    monkeypatch.delenv("S3_USE_HTTPS", raising=False)
    if https:
        monkeypatch.setenv("S3_USE_HTTPS", https)
    storage.complete_endpoint()
    assert os.environ["S3_ENDPOINT"] == taken


def test_a_remote_place_keeps_its_scheme_and_joins_like_a_path():
    folder = storage.Remote("s3://bucket/corpora/")
    file = folder / "osie" / "stimuli/a.b.png"
    assert str(file) == os.fspath(file) == "s3://bucket/corpora/osie/stimuli/a.b.png"
    assert str(file.with_suffix(".npy")) == "s3://bucket/corpora/osie/stimuli/a.b.npy"
    assert str(file.with_name("c")) == "s3://bucket/corpora/osie/stimuli/c"
    assert (file.name, file.suffix, file.stem) == ("a.b.png", ".png", "a.b")
    assert file.relative_to(folder).as_posix() == "osie/stimuli/a.b.png"
    assert folder == storage.Remote("s3://bucket/corpora") and storage.is_remote(file.parent)
    assert {folder: 1}[storage.Remote("s3://bucket//corpora")] == 1
    assert (folder.address, folder.parent.address) == ("s3://bucket/corpora", "s3://bucket/")
    assert folder.resolve() == folder < file


@pytest.fixture
def remote(request):
    """A folder in TensorFlow's memory, which unlike an object store wants folders to be made."""
    folder = storage.path(f"ram://bucket/{request.node.name}")
    storage.ask(folder / "sub", "makedirs")
    return folder


def test_what_is_written_to_a_remote_place_is_there(remote):
    place = remote / "a.txt"
    assert not place.exists()
    with storage.replacing(place) as part:
        part.write_bytes("één\nzwei".encode())
        assert part.suffix == ".txt" and not place.exists()
    assert place.is_file() and not place.is_dir() and remote.is_dir()
    assert place.read_text() == "één\nzwei" and list(place.open()) == ["één\n", "zwei"]
    assert place.stat().st_size == len(place.read_bytes()) == len(place.open("rb").read()) == 10
    assert [*remote.glob("*.txt")] == [place] and [*(remote / "none").glob("*")] == []
    assert not part.exists()


def test_a_remote_file_is_lent_and_copied(remote, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with storage.replacing(remote / "a.png") as part:
        part.write_bytes(b"first")
    with storage.local(remote / "a.png") as file:
        assert (file.name, file.read_bytes()) == ("a.png", b"first")
    assert not file.exists()
    copy = storage.kept(remote / "a.png")
    assert copy.read_bytes() == b"first" and tmp_path in copy.parents and copy.suffix == ".png"
    assert storage.kept(remote / "a.png") == copy
    (remote / "a.png").unlink()  # memory, unlike a store, would add to it
    with storage.replacing(remote / "a.png") as part:
        part.write_bytes(b"second")
    assert storage.kept(remote / "a.png").read_bytes() == b"second"


def test_a_store_is_walked_from_the_top(remote):
    for name in ("b.png", "a.png", "sub/c"):
        with storage.replacing(remote / name) as part:
            part.write_bytes(b"1")
    storage.ask(remote / "dots.png", "makedirs")
    found = [(str(at), *names) for at, *names in storage.walk(remote)]
    assert found[0] == (str(remote), ["dots.png", "sub"], ["a.png", "b.png"])
    assert found[1:] == [(f"{remote}/dots.png", [], []), (f"{remote}/sub", [], ["c"])]
    assert [at for at, *_ in storage.walk(remote, {".png"})] == [remote, remote / "sub"]
    for _, folders, _ in storage.walk(remote):
        folders.clear()
    storage.remove(remote / "sub")
    assert not (remote / "sub" / "c").exists() and (remote / "a.png").exists()


def test_faults_of_a_store_are_those_of_a_disk(remote):
    for read in (storage.Remote.read_bytes, storage.Remote.stat, storage.Remote.unlink):
        with pytest.raises(FileNotFoundError) as missing:
            read(remote / "none")
        assert missing.value.strerror and missing.value.filename == str(remote / "none")
    (remote / "none").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError), storage.local(remote / "none"):
        pass


def test_a_file_is_replaced_in_one_piece(tmp_path):
    place = tmp_path / "new" / "a.weights.h5"
    with storage.replacing(place) as part:
        part.write_text("old")
        assert not place.exists() and part.parent == place.parent
        assert part.name.startswith(".") and part.name.endswith(".weights.h5")
    with storage.replacing(place) as part:
        part.write_text("new")
        assert place.read_text() == "old"
    assert place.read_text() == "new" and os.listdir(place.parent) == [place.name]


def test_what_fails_leaves_the_old_file(tmp_path):
    place = tmp_path / "a.png"
    place.write_text("old")
    with pytest.raises(ValueError), storage.replacing(place) as part:
        part.write_text("half")
        raise ValueError
    assert place.read_text() == "old" and os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_folders_that_cannot_be_flushed_are_done_without(tmp_path, monkeypatch, number):
    """As some network file systems have it; a disk that fails is another matter."""
    flushed = os.fsync

    def refuse(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        flushed(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    expected = pytest.raises(OSError) if number == errno.EIO else nullcontext()
    with expected, storage.replacing(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_file_that_cannot_be_flushed_is_an_error(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(errno.EINVAL, "refused")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError), storage.replacing(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert not (tmp_path / "a.txt").exists()


def test_two_that_replace_one_file_do_not_meet(tmp_path):
    place = tmp_path / "a.txt"
    with storage.replacing(place) as one, storage.replacing(place) as two:
        one.write_text("one")
        two.write_text("two")
    assert place.read_text() == "one" and os.listdir(tmp_path) == ["a.txt"]


def test_a_name_as_long_as_the_disk_allows_can_be_replaced(tmp_path):
    place = tmp_path / ("é" * 125 + ".png")
    with storage.replacing(place) as part:
        part.write_text("1")
    assert place.exists()


def test_a_replaced_file_is_flushed_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    flush, replace = storage.flush, os.replace
    monkeypatch.setattr(storage, "flush", lambda p: (calls.append(p), flush(p)))
    monkeypatch.setattr(os, "replace", lambda *two: (calls.append("renamed"), replace(*two)))
    with storage.replacing(tmp_path / "a.txt") as part:
        part.write_text("1")
    assert calls == [part, "renamed", tmp_path]


def test_a_file_on_disk_is_lent_as_it_is(tmp_path):
    with storage.local(tmp_path / "a") as file:
        assert file == tmp_path / "a"
    assert storage.kept(tmp_path / "a") == tmp_path / "a"


def test_a_folder_is_removed_whole_and_links_are_followed_in_a_walk(tmp_path):
    for name in ("a/b/c.png", "a/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    walked = {str(at.relative_to(tmp_path)): set(names) for at, _, names in storage.walk(tmp_path)}
    assert walked["link"] == walked["a"] == {"d.png"} and walked["link/b"] == {"c.png"}
    storage.remove(tmp_path / "a")
    storage.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_links_that_lead_back_are_not_followed(tmp_path):
    top = tmp_path / "corpus"
    for name in ("a", "b"):
        (top / name).mkdir(parents=True)
        (top / name / f"{name}.png").touch()
    for link, to in {"up": ".", "out": "..", "a/round": "..", "a/b": "../b", "b/a": "../a"}.items():
        (top / link).symlink_to(to)
    (tmp_path / "link").symlink_to(top)
    for start in (top, tmp_path / "link"):
        walked = sorted(
            str((at / n).relative_to(start)) for at, _, ns in storage.walk(start) for n in ns
        )
        assert walked == ["a/a.png", "a/b/b.png", "b/a/a.png", "b/b.png"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "stimuli" / "secret").mkdir(parents=True)
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with one_line(f"{tmp_path}/stimuli/secret: cannot be read: Permission denied"):
        list(storage.walk(tmp_path))


def test_caches_lie_on_a_disk(tmp_path, monkeypatch):
    assert storage.cache(tmp_path) == tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert storage.cache(storage.Remote("s3://bucket/results")).parent == tmp_path
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = storage.cache(storage.Remote("s3://bucket/results"))
    assert found.parent == tmp_path / "home" / ".cache"
