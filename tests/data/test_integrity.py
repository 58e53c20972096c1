import json
import os
from hashlib import blake2b

import numpy as np
import pytest
from PIL import Image

from config import UsageError
from data import decode as decoding
from data import integrity
from data.integrity import check


def pictures(folder, count: int = 3):
    """Pictures of 2 x 3, 2 x 4, ... pixels."""
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.fromarray(np.zeros((2, 3 + index), np.uint8)).save(path)
    return paths


def watched(monkeypatch) -> list[str]:
    """The names of the pictures that are decoded from now on."""
    names, decode = [], integrity.decode
    monkeypatch.setattr(integrity, "decode", lambda path: names.append(path.name) or decode(path))
    return names


def test_shapes_are_found_and_remembered(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path), tmp_path / "results" / "checked.json"
    shown = [(2, 3, True), (2, 4, True), (2, 5, True)]
    blank = [f"(2, {n}, 3)".encode() + bytes(2 * n * 3) for n in (3, 4, 5)]
    digests = [blake2b(content, digest_size=8).hexdigest() for content in blank]
    expected = {p: (*s, d, []) for p, s, d in zip(paths, shown, digests, strict=True)}
    assert len(set(digests)) == 3 and {len(d) for d in digests} == {16}
    names = watched(monkeypatch)
    assert check(paths, memory) == expected
    assert sorted(names) == ["0.png", "1.png", "2.png"]
    assert check(paths, memory) == expected
    assert len(names) == 3
    assert [path.name for path in memory.parent.iterdir()] == ["checked.json"]


def test_what_has_changed_is_looked_at_again(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path), tmp_path / "checked.json"
    check(paths, memory)
    names = watched(monkeypatch)
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(paths[1])
    os.utime(paths[2], ns=(0, 0))
    found = check(paths, memory)
    assert sorted(names) == ["1.png", "2.png"] and found[paths[1]][:3] == (9, 8, True)


def test_broken_pictures_are_counted_and_the_first_is_named(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path, 4), tmp_path / "checked.json"
    paths[1] = paths[1].rename(tmp_path / "odd: name.png")
    paths[1].write_bytes(b"")
    paths[3].write_bytes(b"no picture")
    said = rf"^2 pictures cannot be read, first '{paths[1]}': the file is empty$"
    with pytest.raises(UsageError, match=said):
        check(paths, memory)
    names = watched(monkeypatch)
    with pytest.raises(
        UsageError, match=said
    ):  # the whole ones are remembered, broken ones are not
        check(paths, memory)
    assert sorted(names) == ["3.png", "odd: name.png"]


def test_a_memory_of_an_older_form_is_no_memory(tmp_path):
    paths, memory = pictures(tmp_path, 1), tmp_path / "checked.json"
    expected = check(paths, memory)
    known = {path: row[:3] for path, row in json.loads(memory.read_text()).items()}
    memory.write_text(json.dumps(known))
    assert check(paths, memory) == expected


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "\x00"])
def test_a_damaged_memory_is_no_memory(tmp_path, content):
    paths, memory = pictures(tmp_path, 1), tmp_path / "checked.json"
    memory.write_text(content)
    assert check(paths, memory)[paths[0]][:3] == (2, 3, True)
    assert set(json.loads(memory.read_text())) == {str(paths[0])}


def test_a_missing_picture_is_an_error(tmp_path):
    with pytest.raises((UsageError, FileNotFoundError)):
        check([tmp_path / "gone.png"], tmp_path / "checked.json")


def test_a_large_jpeg_has_one_shape_and_digest(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.full((75, 125), 90, np.uint8)).save(path)
    whole = integrity.of_stimulus(path)
    monkeypatch.setattr(decoding, "PIXELS", 4000)
    for most in (4000, 10**6):
        monkeypatch.setattr(decoding, "most", most)
        half = integrity.of_stimulus(path)
        assert half.shape == whole.shape == (75, 125)
        assert half.digest == integrity.digest(np.full((38, 63, 3), 90, np.uint8)) != whole.digest
