import json
import os
import threading
from hashlib import blake2b

import numpy as np
import pytest
from PIL import Image

from errors import UsageError
from formats.pictures import decode as decoding
from formats.pictures import integrity
from formats.pictures.integrity import Memory


def pictures(folder, count: int = 3):
    """Pictures of 2 x 3, 2 x 4, ... pixels."""
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.fromarray(np.zeros((2, 3 + index), np.uint8)).save(path)
    return paths


def check(paths, folder, **options):
    """What pictures are like, as another process with this cache sees it."""
    return integrity.check(paths, Memory(folder), **options)


def watched(monkeypatch) -> list[str]:
    """The names of the pictures that are decoded from now on."""
    names, decode = [], integrity.decode
    monkeypatch.setattr(integrity, "decode", lambda path: names.append(path.name) or decode(path))
    return names


def test_shapes_are_found_and_remembered(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path), tmp_path / "results"
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
    assert [path.name for path in memory.iterdir()] == ["checked.json"]


def test_what_has_changed_is_looked_at_again(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path), tmp_path
    check(paths, memory)
    names = watched(monkeypatch)
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(paths[1])
    os.utime(paths[2], ns=(0, 0))
    found = check(paths, memory)
    assert sorted(names) == ["1.png", "2.png"] and found[paths[1]][:3] == (9, 8, True)


def test_broken_pictures_are_counted_and_the_first_is_named(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path, 4), tmp_path
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


def test_what_was_checked_before_a_kill_is_remembered(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path, 4), tmp_path / "cache"
    measure, remember, begun = integrity.of_stimulus, Memory.remember, threading.Event()

    def slow(path):
        if path == paths[2]:
            assert begun.wait(10)
            raise KeyboardInterrupt
        return measure(path)

    def watch(self, picture, *found):
        remember(self, picture, *found)
        if picture == str(paths[1]):
            assert len(Memory(memory).stored) == 2  # while the check is going on
            begun.set()

    with monkeypatch.context() as patch:
        patch.setattr(integrity, "of_stimulus", slow)
        patch.setattr(Memory, "remember", watch)
        with pytest.raises(KeyboardInterrupt):
            check(paths, memory)
    names = watched(monkeypatch)
    assert len(check(paths, memory)) == 4 and sorted(names) == ["2.png", "3.png"]


def test_a_memory_that_was_cut_anywhere_loses_one_picture_at_most(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path, 2), tmp_path
    expected = check(paths, memory)
    memory = tmp_path / "checked.json"
    whole = memory.read_bytes()
    names = watched(monkeypatch)
    for length in range(len(whole) // 2 + 1, len(whole)):
        memory.write_bytes(whole[:length])
        names.clear()
        assert check(paths, tmp_path) == expected and names == ["1.png"]
        assert check(paths, tmp_path) == expected and names == ["1.png"]


def test_two_that_check_at_once_remember_both(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path, 4), tmp_path
    found = check(paths, tmp_path / "other")
    one, other = Memory(memory), Memory(memory)
    for path, each in zip(paths, (one, other, one, other), strict=True):
        each.remember(str(path), integrity.mark(path), found[path])
    names = watched(monkeypatch)
    assert check(paths, memory) == found and names == []


def test_a_picture_whose_name_is_no_text_is_remembered(tmp_path, monkeypatch):
    path = pictures(tmp_path, 1)[0].rename(tmp_path / os.fsdecode(b'\xff\n".png'))
    expected = check([path], tmp_path)
    names = watched(monkeypatch)
    assert check([path], tmp_path) == expected and names == []


def test_pictures_that_are_remembered_need_no_disk_to_write_to(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path), tmp_path
    expected = check(paths, memory)
    monkeypatch.delattr(Memory, "remember")
    assert check(paths, memory) == expected


@pytest.mark.parametrize("place", ["file", "/dev/full/cache", "/proc/cache"])
def test_a_cache_that_takes_nothing_is_none(tmp_path, place):
    (tmp_path / "file").touch()
    paths = pictures(tmp_path)
    expected = check(paths, tmp_path / "other")
    assert check(paths, tmp_path / place) == expected


ROW = ["{path}", "{mark}", 2, 3, True, "0" * 16, []]
OTHERS = {
    "nothing": "",
    "a brace": "{",
    "a list": "[1]",
    "a number": "3",
    "a zero byte": "\x00",
    "no text": "\udcff",
    "an older form": json.dumps({"{path}": ROW[1:]}),
    "a field less": json.dumps(ROW[:-1]),
    "a field more": json.dumps([*ROW, 1]),
    "no path": json.dumps([["{path}"], *ROW[1:]]),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_line_of_a_memory_is_passed_over(tmp_path, kind, monkeypatch):
    paths, memory = pictures(tmp_path, 1), tmp_path
    line = OTHERS[kind].replace("{path}", str(paths[0]))
    line = line.replace("{mark}", integrity.mark(paths[0]))
    (memory / "checked.json").write_bytes(os.fsencode(line))
    expected = check(paths, tmp_path / "other")
    names = watched(monkeypatch)
    for _ in range(2):
        assert check(paths, memory) == expected and names == ["0.png"]


def test_a_missing_picture_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="gone.png': is gone, or a link to what is not there$"):
        check([tmp_path / "gone.png"], tmp_path)


def test_a_large_jpeg_has_one_shape_and_digest(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.full((75, 125), 90, np.uint8)).save(path)
    whole, _ = integrity.of_stimulus(path)
    monkeypatch.setattr(decoding, "PIXELS", 4000)
    for most in (4000, 10**6):
        monkeypatch.setattr(decoding, "most", most)
        half, _ = integrity.of_stimulus(path)
        assert half.shape == whole.shape == (75, 125)
        assert half.digest == integrity.digest(np.full((38, 63, 3), 90, np.uint8)) != whole.digest


def test_one_process_looks_at_a_picture_once(tmp_path, monkeypatch):
    """Not even at its size and time; what cannot be read is not tried again either."""
    paths = pictures(tmp_path)
    paths[1].write_bytes(b"")
    memory, names = Memory(tmp_path / "cache"), watched(monkeypatch)
    seen, broken = integrity.look(paths, memory)
    assert [*seen] == [paths[0], paths[2]] and broken == {paths[1]: "the file is empty"}
    assert sorted(names) == ["0.png", "1.png", "2.png"]
    for path in paths:
        path.unlink()
    assert integrity.look(paths, memory) == (seen, broken) and len(names) == 3


def test_without_a_cache_nothing_is_written(tmp_path, monkeypatch):
    paths, memory = pictures(tmp_path), Memory(None)
    names = watched(monkeypatch)
    assert integrity.check(paths, memory) == integrity.check(paths, memory)
    assert len(names) == 3 and sorted(tmp_path.iterdir()) == paths


def test_what_is_decoded_is_handed_on_and_what_is_remembered_is_not(tmp_path):
    paths, given = pictures(tmp_path), []
    memory = Memory(tmp_path / "cache", lambda seen, pixels: given.append((seen, pixels.shape)))
    seen = integrity.check(paths, memory, taken=paths[:2])
    expected = [(seen[path], (2, 3 + index, 3)) for index, path in enumerate(paths[:2])]
    assert sorted(given) == sorted(expected)
    integrity.check(paths, Memory(tmp_path / "cache", memory.take))
    assert len(given) == 2
