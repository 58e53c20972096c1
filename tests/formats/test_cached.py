import os

import numpy as np
import pytest
from authors_files import cat2000_mat
from helpers import refusal

from formats import cached, isolated, matlab


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """Have what is read kept in a folder of this test."""
    monkeypatch.setattr(cached, "_folder", tmp_path / "cache")


@pytest.fixture
def path(tmp_path):
    cat2000_mat(tmp_path / "a.mat", np.eye(3))
    return tmp_path / "a.mat"


@pytest.fixture
def unread(monkeypatch):
    """Call this, and no file is read any more."""
    return lambda: monkeypatch.setattr(isolated, "read", None)


def x_of(path) -> list[float]:
    return cached.read(matlab.cat2000, path)["x"].tolist()


def test_what_was_read_needs_no_process(path, unread):
    found = x_of(path)
    unread()
    assert x_of(path) == found == [0.5, 1.5, 2.5]
    path.rename(path.with_name("b.mat"))
    assert x_of(path.with_name("b.mat")) == found


def test_another_content_is_read_anew_though_it_has_the_same_size_and_time(path):
    before, _ = path.stat(), x_of(path)
    cat2000_mat(path, np.eye(3)[::-1])
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    cached._digest_of.cache_clear()  # as in another process
    assert path.stat().st_size == before.st_size
    assert x_of(path) == [2.5, 1.5, 0.5]


def test_another_reader_reads_anew(path, monkeypatch):
    x_of(path)
    monkeypatch.setattr(cached, "_readers", lambda: "another version")
    monkeypatch.setattr(isolated, "read", lambda *_: {"x": np.zeros(1)})
    assert x_of(path) == [0]


@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: whole[:-9], lambda whole: whole.replace(b"?", b"@")]
)
def test_what_is_damaged_in_the_cache_is_read_anew(path, tmp_path, damage):
    found = x_of(path)
    (entry,) = (tmp_path / "cache").rglob("*.npz")
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert entry.read_bytes() != whole
    assert x_of(path) == found
    assert isolated.arrays(entry.read_bytes())["x"].tolist() == found


def test_where_nothing_can_be_written_it_is_read_all_the_same(path, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    assert x_of(path) == x_of(path) == [0.5, 1.5, 2.5]


def test_nothing_is_kept_of_what_is_refused(path, tmp_path):
    said = f"{path}: needs the variable 's', found none of that name"
    assert refusal(cached.read, matlab.dutomron, path) == said
    assert not (tmp_path / "cache").exists()
    assert refusal(x_of, tmp_path / "gone.mat") == f"{tmp_path}/gone.mat: no such file"


def test_columns_of_many_files_are_one_entry(path, tmp_path, unread):
    other = tmp_path / "b.mat"
    cat2000_mat(other, np.zeros((3, 3)))
    found = cached.read_all(matlab.cat2000, [path, other, path])
    assert found["record"].tolist() == [0, 0, 0, 2, 2, 2] and found["x"].tolist()[3:] == x_of(path)
    unread()
    again = cached.read_all(matlab.cat2000, [path, other, path])
    assert again["record"].tolist() == found["record"].tolist()


def test_without_a_folder_it_is_kept_as_long_as_the_process_lasts(path, monkeypatch, unread):
    monkeypatch.setattr(cached, "_folder", None)
    found = x_of(path)
    unread()
    assert x_of(path) == found
