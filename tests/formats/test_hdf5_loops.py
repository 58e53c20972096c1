"""Files that libhdf5 1.14 follows without end: without the check each ends or holds up pytest."""

import re
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import one_line

from formats.hdf5 import attribute, dataset, numbers, opened, texts

TEXT = "a text that lies in a heap"


def refusal(path: Path, read, *args) -> str:
    """Return the one line in which a file is refused."""
    with one_line(f"^{re.escape(str(path))}: ") as error, opened(path) as file:
        read(file, *args)
    return str(error.value)


def changed(path: Path, place: int, form: str, *values) -> None:
    """Puts numbers at a place of a file."""
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, place, *values)
    path.write_bytes(content)


@pytest.fixture(params=[0, 512, 1024], ids="begins at {}".format)
def path(tmp_path, request):
    """A file with a matrix in many chunks and some texts, behind so many other bytes."""
    with h5py.File(tmp_path / "s.hdf5", "w", userblock_size=request.param) as file:
        file.create_dataset("x", data=np.arange(400.0).reshape(20, 20), chunks=(2, 2))
        file["names"] = ["one", "two"]
        file.create_dataset("chunked", data=["three", "four"], chunks=(1,))
        file.create_dataset("packed", data=["five", "six"], chunks=(2,), compression="gzip")
        file.attrs["long"], file.attrs["short"] = TEXT, np.bytes_("here")
    return tmp_path / "s.hdf5"


def test_a_whole_file_is_read(path):
    with opened(path) as file:
        assert numbers(file, "x", axes=2)[19].tolist() == list(range(380, 400))
        assert texts(file, "names") == ["one", "two"]
        assert texts(file, "chunked") == ["three", "four"]
        assert texts(file, "packed") == ["five", "six"]
        assert (attribute(file, "long"), attribute(file, "short")) == (TEXT, "here")


@pytest.mark.parametrize(
    "packing",
    [
        {"compression": "lzf"},
        {"shuffle": True},
        {"shuffle": True, "compression": "lzf"},
        {"shuffle": True, "compression": "gzip"},
    ],
    ids=repr,
)
def test_texts_are_read_however_they_are_packed(tmp_path, packing):
    """With a last chunk that is not full, and one that was never written."""
    names = [f"stimuli/{k}.png" for k in range(7)]
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        made = {"dtype": h5py.string_dtype(), "chunks": (3,), **packing}
        file.create_dataset("names", data=names, **made)
        file.create_dataset("more", (9,), **made)[:3] = ["a", "b", "c"]
    with opened(tmp_path / "s.hdf5") as file:
        assert texts(file, "names") == names
        assert texts(file, "more") == ["a", "b", "c"] + [""] * 6


@pytest.mark.parametrize("packing", [{"shuffle": True}, {"compression": "lzf"}], ids=repr)
def test_packed_texts_of_a_heap_without_an_end(path, packing):
    with h5py.File(path, "a") as file:
        file.create_dataset("rare", data=["five", "six"], chunks=(2,), **packing)
    heap = path.read_bytes().rindex(b"GCOL")
    changed(path, heap + 16 + 8, "<Q", 0)
    assert "a heap with an object" in refusal(path, texts, "rare")


@pytest.mark.parametrize(
    "packing",
    [{"shuffle": True}, {"compression": "lzf"}, {"fletcher32": True}, {"scaleoffset": 3}],
    ids=repr,
)
def test_numbers_are_read_however_they_are_packed(tmp_path, packing):
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        file.create_dataset("x", data=np.arange(70.0) / 8, chunks=(30,), **packing)
    with opened(tmp_path / "s.hdf5") as file:
        assert numbers(file, "x").tolist() == [k / 8 for k in range(70)]


def begin(path: Path) -> int:
    return path.read_bytes().index(b"\x89HDF")


def tree(path: Path, kind: int) -> int:
    """Where the root of a tree is: of names 0, of chunks 1."""
    content = path.read_bytes()
    roots = [k for k in range(len(content)) if content[k : k + 5] == b"TREE" + bytes([kind])]
    return max(roots, key=lambda place: content[place + 5])


@pytest.mark.parametrize(("kind", "key"), [(0, 8), (1, 32)])
def test_a_tree_that_is_its_own_child(path, kind, key):
    root = tree(path, kind)
    changed(path, root + 5, "B", 1)
    changed(path, root + 24 + key, "<Q", root - begin(path))
    assert "a tree that is none" in refusal(path, numbers, "x")


def test_a_node_that_is_the_child_of_two(path):
    """Forty of such levels would be walked through 2**40 times."""
    root = tree(path, 1)
    first = struct.unpack_from("<Q", path.read_bytes(), root + 24 + 32)[0]
    changed(path, root + 24 + 32 + 8 + 32, "<Q", first)
    assert "a tree that is none" in refusal(path, numbers, "x")


def test_free_space_without_an_end(path):
    heap = path.read_bytes().index(b"HEAP")
    data = struct.unpack_from("<Q", path.read_bytes(), heap + 24)[0] + begin(path)
    changed(path, heap + 16, "<Q", 8)
    changed(path, data + 8, "<QQ", 8, 16)  # the next is at 8, as this one is
    assert "free space has no end" in refusal(path, numbers, "x")


@pytest.mark.parametrize("size", [0, 2**64 - 1])  # 2**64 - 1 and its header are 0 in 64 bits
@pytest.mark.parametrize("name", ["names", "chunked", "packed"])
def test_texts_of_a_heap_without_an_end(path, name, size):
    heap = path.read_bytes().index(b"GCOL")
    changed(path, heap + 16 + 8, "<Q", size)
    assert "a heap with an object" in refusal(path, texts, name)


def test_an_attribute_of_a_heap_without_an_end(path):
    heap = path.read_bytes().index(b"GCOL")
    changed(path, heap + 16 + 8, "<Q", 0)
    assert "a heap with an object" in refusal(path, attribute, "long")
    with opened(path) as file:
        assert attribute(file, "short") == "here"


@pytest.mark.parametrize("name", ["names", "chunked"])
def test_texts_that_claim_to_be_long(path, name):
    with opened(path) as file:
        node = dataset(file, name)
        first = node.id.get_offset() or node.id.get_chunk_info(0).byte_offset
    changed(path, first, "<I", 2**32 - 1)
    assert "texts longer than the file" in refusal(path, texts, name)


def test_an_attribute_that_claims_to_be_long(path):
    content = path.read_bytes()
    reference = content.index(struct.pack("<I", len(TEXT)), content.index(b"long\0"))
    changed(path, reference, "<I", 2**32 - 1)
    assert "texts longer than the file" in refusal(path, attribute, "long")


def test_many_texts_in_one_place(path):
    """A million of them that are one of a megabyte would take a million megabytes."""
    with h5py.File(path, "a") as file:
        file["many"] = ["a" * 3000] + ["b"] * 99
        start = file["many"].id.get_offset()
    one = path.read_bytes()[start : start + 16]
    for k in range(100):
        changed(path, start + 16 * k, "16s", one)
    assert "texts longer than the file" in refusal(path, texts, "many")


def test_links_are_not_followed(path):
    with h5py.File(path, "a") as file:
        file["soft"], file["far"] = h5py.SoftLink("/x"), h5py.ExternalLink("other.hdf5", "/x")
    for name in ("soft", "far"):
        assert f"{name} is a link to elsewhere" in refusal(path, numbers, name)


def test_addresses_of_another_size(path):
    changed(path, begin(path) + 13, "B", 4)
    assert "not a whole HDF5 file" in refusal(path, numbers, "x")


@pytest.mark.parametrize("library", ["earliest", "latest"])
def test_a_header_that_goes_on_elsewhere_is_read_to_its_end(tmp_path, library):
    """Attributes made later lie in other blocks."""
    with h5py.File(tmp_path / "s.hdf5", "w", libver=library) as file:
        for k in range(7):
            file.attrs[f"text {k}"] = f"value {k}"
    with opened(tmp_path / "s.hdf5") as file:
        assert [attribute(file, f"text {k}") for k in range(7)] == [f"value {k}" for k in range(7)]
