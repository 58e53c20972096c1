import json
from pathlib import Path

import pytest

from batches.store import folder
from commands import caches
from config import Config
from model.checkpoints import folders


def a_run(results, name, size, **config):
    """The files of a run of which `info` asks: its weights and what is said of them."""
    best = results / "ckpts" / "best"
    best.mkdir(parents=True, exist_ok=True)
    (best / f"{name}.weights.h5").touch()
    about = {"corpus": "own", "config": {"model": "msinet", **config}, "size": size, "epoch": 1}
    (best / f"{name}.json").write_text(json.dumps({**about, "metrics": {}}))


def files(cache, *names):
    for name in names:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(bytes(140_000))


@pytest.fixture
def results(tmp_path):
    """Two runs, one of them on frozen features, and a cache with parts of both, and of none."""
    a_run(tmp_path, "first", [24, 32])
    a_run(tmp_path, "second", [48, 64], model="deepgaze", encoder="small", flip=False)
    small, large, lone = (folder(size) for size in ((24, 32), (48, 64), (240, 320)))
    files(
        tmp_path / "cache",
        f"pictures/{small}/ab/ab1", f"pictures/{small}/ab/ab2", f"densities/{small}/cd/cd1",
        f"pictures/{large}/ab/ab1", f"pictures/{lone}/ab/ab1",
        "pictures/24x32-00000000/ab/ab1", "pictures/0123456789abcdef.pictures",
        "pictures/0123456789abcdef.checks",
        "features/small-48x64-0123456789abcdef/ab/ab1",
        "features/vgg16-48x64-0123456789abcdef/ab/ab1",
        "features/0123456789abcdef/ab1.npy",
        "checked.json", "tables/0123.npz",
    )  # fmt: skip
    return tmp_path


# Of files of 140,000 bytes each.
LISTED = """\
  checked.json: 1 files, 0.1 MB
  densities at 24x32: 1 files, 0.1 MB, used by first
  features of another version: 1 files, 0.1 MB, used by no run
  features of small at 48x64: 1 files, 0.1 MB, used by second
  features of vgg16 at 48x64: 1 files, 0.1 MB, used by no run
  pictures of another version: 3 files, 0.4 MB, used by no run
  pictures at 24x32: 2 files, 0.3 MB, used by first
  pictures at 48x64: 1 files, 0.1 MB, used by second
  pictures at 240x320: 1 files, 0.1 MB, used by no run
  tables: 1 files, 0.1 MB
""".splitlines()


def test_what_caches_hold_is_listed_with_who_uses_it(cli, results):
    code, out, _ = cli("info", "--results", results, "--caches")
    first, *lines = out.splitlines()
    assert code == 0 and first == f"what can be made again, in {results}/cache/"
    assert sorted(lines) == sorted(LISTED)


def test_what_no_run_uses_is_removed_when_told(cli, results):
    before = {path for path in (results / "cache").rglob("*") if path.is_file()}
    code, out, _ = cli("info", "--results", results, "--remove-unused")
    unused = [line for line in LISTED if line.endswith("no run")]
    said = [line for line in out.splitlines() if line.endswith("; removed")]
    assert code == 0 and sorted(said) == sorted(f"{line}; removed" for line in unused)
    left = {path for path in (results / "cache").rglob("*") if path.is_file()}
    assert len(before - left) == 1 + 1 + 3 + 1
    code, out, _ = cli("info", "--results", results, "--caches")
    used = [line for line in LISTED if line not in unused]
    assert sorted(out.splitlines()[1:]) == sorted(used)


def test_a_run_without_a_best_epoch_yet_uses_its_parts(cli, results):
    name, about = "240x320", {"corpus": "own", "config": {}, "size": [240, 320], "epoch": 0}
    files = {"run.json": lambda path: path.write_text(json.dumps(about))}
    folders.save(results / "ckpts/latest" / name, files)
    _, out, _ = cli("info", "--results", results, "--remove-unused")
    assert f"  pictures at {name}: 1 files, 0.1 MB, used by {name}" in out.splitlines()


def test_what_a_training_moves_meanwhile_is_not_counted(results, monkeypatch):
    part = results / "cache/tables/0123.npz"
    monkeypatch.setattr(Path, "is_file", lambda path: path.unlink(missing_ok=True) or True)
    assert [*caches.sizes([part])] == []


def test_a_cache_elsewhere_is_listed(cli, results, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    assert cli("info", "--results", results, "--caches", "--cache-dir", other)[1].splitlines() == [
        f"what can be made again, in {other}/",
        "  nothing yet",
    ]
    code, _, err = cli("info", "--caches", "--cache-dir", "gs://bucket/cache")
    assert code == 2 and "'gs://bucket/cache' must lie on a disk" in err


def test_the_frozen_features_of_a_run_are_those_that_its_configuration_keeps():
    """By which a cache tells whose features it has."""
    assert Config.make({"model": "deepgaze"}).cached
    assert not Config.make({"model": "deepgaze", "cache": False}).cached
    assert not Config.make({"model": "deepgaze", "flip": True}).cached
