"""gs://, by TensorFlow's own client, on a server that answers as Google's does."""

import json
import os
import shutil

import pytest
from conftest import SMALL, make_own
from google_store import google

import storage
from model.checkpoints import folders

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The objects of gs://bucket by name; the environment leads there."""
    if "gs" not in storage.schemes():
        pytest.skip("this TensorFlow has no gs:// of its own")
    with google(tmp_path) as (objects, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield objects


def test_objects_are_written_read_listed_and_removed(store):
    folder, content = storage.path("gs://bucket/folder"), os.urandom(300_000)
    for name in ("a.txt", "sub/b.png", "sub/empty"):
        with storage.replacing(folder / name) as part:
            part.write_bytes(b"" if name == "sub/empty" else content)
    assert store["folder/a.txt"] == content and set(store) == {
        "folder/a.txt", "folder/sub/b.png", "folder/sub/empty"
    }  # fmt: skip
    assert (folder / "a.txt").read_bytes() == content
    assert (folder / "sub" / "empty").read_bytes() == b""
    assert [*folder.iterdir()] == [folder / "a.txt", folder / "sub"]
    assert (folder / "sub").is_dir() and (folder / "a.txt").is_file()
    walked = [*storage.walk(folder)]
    assert walked == [(folder, ["sub"], ["a.txt"]), (folder / "sub", [], ["b.png", "empty"])]
    assert (folder / "a.txt").stat().st_size == 300_000 and (folder / "a.txt").stat().st_mtime > 0
    with storage.local(folder / "sub" / "b.png") as file:
        assert file.read_bytes() == content
    storage.remove(folder / "sub")
    assert set(store) == {"folder/a.txt"}
    with pytest.raises(FileNotFoundError):
        (folder / "none").read_bytes()
    storage.check_writable(folder)
    assert set(store) == {"folder/a.txt"}


def test_a_checkpoint_is_replaced_whole_whatever_is_cut_off(store, monkeypatch):
    """Of a run of before, whose files lie side by side; then of one in a folder."""
    place, before, uploads = storage.path("gs://bucket/ckpts/best/r"), "old", storage.upload
    for ending in folders.FLAT:
        store[f"ckpts/best/r{ending}"] = b"old"
    for text in ("new", "newer"):
        for count in range(4):  # two files, their checksums, the name

            def cut(file, to, left=[count]):  # noqa: B006
                left[0] -= 1
                if left[0] < 0:
                    raise KeyboardInterrupt
                uploads(file, to)

            monkeypatch.setattr(storage, "upload", cut)
            with pytest.raises(KeyboardInterrupt):
                folders.save(place, files(text))
            monkeypatch.setattr(storage, "upload", uploads)
            if before != "old" or count < 3:  # without a name yet, what is whole counts
                assert read(place) == (before, before)
        folders.save(place, files(text))
        before = text
        assert read(place) == (text, text)
        assert len(store) == 4 and not any(name.endswith("r.json") for name in store)


def files(text):
    return {name: lambda part: part.write_text(text) for name in ("weights.h5", "run.json")}


def read(place):
    found = folders.find(place)
    found.check()
    return found.weights.read_text(), found.record.read_text()


@pytest.mark.slow
def test_a_run_with_corpus_and_results_in_the_store(store, tmp_path, cli, monkeypatch):
    own = make_own(tmp_path / "own")
    for path in own.rglob("*.*"):
        store[f"corpora/own/{path.relative_to(own)}"] = path.read_bytes()
    monkeypatch.setenv("GCS_OUTPUT_PATH", "gs://bucket/out")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def program(*argv):
        code, out, err = cli(*argv)
        assert (code, err) == (0, "")
        return out

    train = ("train", "-d", "gs://bucket/corpora/own", *SMALL)
    program(*train, "--epochs", "1")
    assert "latest checkpoint after 1 epochs" in program(*train, "--epochs", "2")
    program("test", "--name", "msinet_own")
    assert json.loads(store["out/reports/msinet_own.metrics.json"])["n_images"] == 3
    assert store["out/history/msinet_own.csv"].decode().count("\n") == 3
    assert len([name for name in store if name.startswith("corpora/")]) == 15
