"""gs://, by TensorFlow's own client, on a server that answers as Google's does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL, make_own
from google_store import google

import storage

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The objects of gs://bucket by name, and the environment that leads there."""
    if "gs" not in storage.schemes():
        pytest.skip("this TensorFlow has no gs:// of its own")
    with google(tmp_path) as (objects, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield objects, environment


def test_objects_are_written_read_listed_and_removed(store):
    objects, _ = store
    folder, content = storage.path("gs://bucket/folder"), os.urandom(300_000)
    for name in ("a.txt", "sub/b.png", "sub/empty"):
        with storage.replacing(folder / name) as part:
            part.write_bytes(b"" if name == "sub/empty" else content)
    assert objects["folder/a.txt"] == content and set(objects) == {
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
    assert set(objects) == {"folder/a.txt"}
    with pytest.raises(FileNotFoundError):
        (folder / "none").read_bytes()
    storage.check_writable(folder)
    assert set(objects) == {"folder/a.txt"}


def test_a_run_with_corpus_and_results_in_the_store(store, tmp_path):
    objects, environment = store
    own = make_own(tmp_path / "own")
    for path in own.rglob("*.*"):
        objects[f"corpora/own/{path.relative_to(own)}"] = path.read_bytes()
    environment |= {"GCS_OUTPUT_PATH": "gs://bucket/out", "XDG_CACHE_HOME": str(tmp_path)}

    def program(*argv):
        command = [sys.executable, "main.py", *argv]
        known = {**os.environ, **environment}
        found = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True)
        assert (found.returncode, found.stderr) == (0, "")
        return found.stdout

    train = ("train", "-d", "gs://bucket/corpora/own", *SMALL)
    program(*train, "--epochs", "1")
    assert "own state after 1 epochs" in program(*train, "--epochs", "2")
    program("test", "--name", "msinet_own")
    assert json.loads(objects["out/reports/msinet_own.metrics.json"])["n_images"] == 3
    assert objects["out/history/msinet_own.csv"].decode().count("\n") == 3
    assert len([name for name in objects if name.startswith("corpora/")]) == 14
