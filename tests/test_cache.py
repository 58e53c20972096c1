"""Rows on disk: what comes back, what is damaged, full disks, several at once."""

import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from helpers import flip

import cache
from cache import Rows

ROOT = Path(__file__).parents[1]


def values(seed=0, shape=(5, 7, 3), kind=np.uint8):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(kind)


def read(rows, digest, like):
    """A row, None where it does not hold what was written."""
    found = np.full_like(like, 7)
    return found if rows.read(digest, found) else None


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_row_comes_back_bit_by_bit(tmp_path, kind):
    rows, array = Rows(tmp_path / "r"), values(kind=kind)
    rows.write("abc", array)
    assert read(rows, "abc", array).tobytes() == array.tobytes()
    assert [p.relative_to(tmp_path / "r").as_posix() for p in tmp_path.rglob("abc*")] == ["ab/abc"]
    assert rows.place("abc").stat().st_size == array.nbytes + cache.CHECK


def test_a_row_is_read_right_into_its_place(tmp_path):
    rows, array, frame = Rows(tmp_path), values(), np.zeros((9, 7, 3), np.uint8)
    rows.write("abc", array)
    assert rows.read("abc", frame[2:7])
    np.testing.assert_array_equal(frame[2:7], array)
    assert not frame[:2].any() and not frame[7:].any()


def test_only_what_lacks_is_named_and_each_once(tmp_path):
    rows = Rows(tmp_path / "r")
    assert rows.lacking(["a", "b", "a"]) == ["a", "b"]
    rows.write("b", values())
    assert rows.lacking(["b", "a", "b", "c", "a"]) == ["a", "c"]


def test_rows_without_a_digest_share_no_file(tmp_path):
    with pytest.raises(ValueError, match="a row without a digest"):
        Rows(tmp_path).lacking([""])


DAMAGES = {
    "a bit": lambda path: flip(path, 40),
    "the last bit": lambda path: flip(path, path.stat().st_size - 1),
    "the first bit": lambda path: flip(path, 0),
    "cut by a byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "cut": lambda path: os.truncate(path, 50),
    "without its checksum": lambda path: os.truncate(path, path.stat().st_size - 4),
    "empty": lambda path: os.truncate(path, 0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_anew_and_said_once(tmp_path, damage, caplog):
    rows, made = Rows(tmp_path), []

    def get(digest, seed):
        found = values(9)
        rows.get(digest, found, lambda: made.append(digest) or values(seed))
        np.testing.assert_array_equal(found, values(seed))

    for seed, digest in enumerate("abc"):
        rows.write(digest, values(seed))
    for digest in "ab":
        DAMAGES[damage](rows.place(digest))
        assert read(rows, digest, values()) is None
    for _ in range(2):
        for seed, digest in enumerate("abc"):
            get(digest, seed)
    assert made == (["a", "b"] * 2 if damage == "a folder" else ["a", "b"])
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith(f"{rows.place('a')}: damaged or gone; ")


def test_a_disk_that_cannot_be_read_or_written_has_rows_made(tmp_path, monkeypatch):
    def failing(*_):
        raise OSError(5, "Input/output error")

    rows, found = Rows(tmp_path), values(9)
    rows.write("a", values())
    monkeypatch.setattr(cache.os, "readv", failing)
    monkeypatch.setattr(Path, "write_bytes", failing)
    rows.get("a", found, values)
    np.testing.assert_array_equal(found, values())


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_nothing_half_written_stays(tmp_path, monkeypatch, error):
    def interrupted(path, stored):
        path.touch()
        raise error

    rows = Rows(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(error):
        rows.write("abc", values())
    assert [*rows.place("abc").parent.iterdir()] == []


def test_a_disk_without_room_is_said_with_what_is_needed(tmp_path, monkeypatch):
    rows, usage = Rows(tmp_path / "r"), cache.shutil.disk_usage(tmp_path)
    for free, needed, fits in ((1000, 800, True), (1000, 801, False), (3e9, 2.5e9, False)):
        monkeypatch.setattr(cache.shutil, "disk_usage", lambda _, f=free: usage._replace(free=f))
        if fits:
            rows.check_room(needed)
            continue
        said = f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB free"
        with pytest.raises(OSError, match=said) as error:
            rows.check_room(needed)
        assert error.value.errno == 28


WRITING = """
import sys
sys.path[:0] = [".", "tests"]
from test_cache import write_all
write_all(sys.argv[1])
"""


def write_all(folder):
    rows = Rows(Path(folder))
    for _ in range(20):
        for seed in range(20):
            rows.write(f"{seed:02}", values(seed))


def test_two_processes_write_the_same_rows(tmp_path):
    command = [sys.executable, "-c", WRITING, tmp_path / "r"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        write_all(tmp_path / "r")
        said = process.communicate()[1]
    assert process.returncode == 0, said
    rows = Rows(tmp_path / "r")
    for seed in range(20):
        np.testing.assert_array_equal(read(rows, f"{seed:02}", values()), values(seed))
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 20
