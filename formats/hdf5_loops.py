"""Loops in HDF5 files, checked before libhdf5 1.14 follows them until memory or stack ends.

Trees that hold themselves, lists of free space without an end, texts in heaps that lead nowhere.
What is read here is laid out in the HDF5 File Format Specification 3.0.
"""

import io
import os
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

import numpy as np

from errors import UsageError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
NOWHERE, LAST = 2**64 - 1, 1  # the address of nothing; the end of a list of free space
LAYOUT, ATTRIBUTE, CONTINUED, SYMBOLS = 0x08, 0x0C, 0x10, 0x11  # messages of an object's header
NAMES, CHUNKS = 0, 1  # what a tree leads to
REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("object", "<u4")])  # of such a text


class Raw:
    """The bytes of an open file; addresses count from its superblock, which others may lead."""

    def __init__(self, file: BinaryIO):
        self.file, self.size = file, os.fstat(file.fileno()).st_size
        starts = [0, *(512 << k for k in range(self.size.bit_length()))]
        self.base = next((s for s in starts if self.at(s, len(SIGNATURE)) == SIGNATURE), 0)
        version = self.at(self.base + 8, 1)
        sizes = self.at(self.base + (13 if version < b"\2" else 9), 2)
        if sizes != b"\x08\x08":
            raise damaged(f"addresses of {sizes.hex()} bytes, 8 are read")

    def at(self, place: int, size: int) -> bytes:
        """So many bytes at a place of the file, or fewer where it ends."""
        self.file.seek(min(place, self.size))
        return self.file.read(min(max(size, 0), self.size))

    def numbers(self, address: int, form: str) -> tuple:
        """Numbers at an address, in the words of struct."""
        data = self.at(self.base + address, struct.calcsize(form))
        if len(data) < struct.calcsize(form):
            raise damaged("an address beyond its end")
        return struct.unpack(form, data)


def damaged(how: str) -> UsageError:
    return UsageError(f"not a whole HDF5 file ({how})")


def check_object(node) -> None:
    """Raises UsageError where what leads to the members of a group, or to the chunks of a dataset,
    has a loop."""
    name = node.file.filename
    known = os.stat(name)
    _check_object(name, (known.st_ino, known.st_size, known.st_mtime_ns), _address(node))


def _address(node) -> int:
    """Where the header of an object is."""
    import h5py

    # Not h5o.get_info, which itself follows what is looked for here.
    low, high = h5py.h5g.get_objinfo(node.id).objno
    return low | high << 32


@lru_cache(2**12)
def _check_object(name: str, version: tuple, address: int) -> None:
    with open(name, "rb") as file:
        raw = Raw(file)
        for kind, data in messages(raw, address):
            if kind == SYMBOLS and len(data) >= 16:
                tree, heap = struct.unpack_from("<QQ", data)
                check_tree(raw, tree, NAMES, 8)
                check_free_space(raw, heap)
            elif kind == LAYOUT and (found := chunk_tree(data)):
                tree, axes = found
                check_tree(raw, tree, CHUNKS, 8 + 8 * axes)


def messages(raw: Raw, address: int) -> Iterator[tuple[int, bytes]]:
    """(kind, data) of what an object's header says, over all blocks in which it goes on."""
    start = raw.base + address
    old = raw.at(start, 1) == b"\1"
    first, size = (16, raw.numbers(address + 8, "<I")[0]) if old else _newer(raw, address)
    form, head = ("<HHB3x", 8) if old else ("<BHB", 6 if raw.at(start + 5, 1)[0] & 4 else 4)
    blocks, left = [(start + first, size)], raw.size
    for place, size in blocks:
        left -= size
        if left < 0:
            raise damaged("a header larger than the file")
        block = raw.at(place, size)
        at = 0 if old or place == start + first else 4  # a later one begins with OCHK
        while at + head <= len(block):
            kind, length, _ = struct.unpack_from(form, block, at)
            data = block[at + head : at + head + length]
            at += head + length
            if kind == CONTINUED and len(data) >= 16:
                there, size = struct.unpack_from("<QQ", data)
                blocks.append((raw.base + there, max(size, 1)))
            yield kind, data


def _newer(raw: Raw, address: int) -> tuple[int, int]:
    """Where the messages of a header of version 2 begin, and how many bytes they are."""
    flags = raw.numbers(address + 5, "<B")[0]
    start = 6 + 16 * (flags >> 5 & 1) + 4 * (flags >> 4 & 1)
    width = 1 << (flags & 3)
    return start + width, int.from_bytes(raw.at(raw.base + address + start, width), "little")


def chunk_tree(layout: bytes) -> tuple[int, int] | None:
    """The address of a dataset's tree of chunks and its number of axes, one more than it has; None
    where its data lie in another way."""
    if layout[:2] == b"\3\2" and len(layout) >= 11:
        return int.from_bytes(layout[3:11], "little"), layout[2]
    if layout[:1] in (b"\1", b"\2") and layout[2:3] == b"\2" and len(layout) >= 16:
        return int.from_bytes(layout[8:16], "little"), layout[1]
    return None


def check_tree(raw: Raw, root: int, kind: int, key: int) -> None:
    """Raises UsageError where a node of a tree does not stand right above its children, or where
    one is the child of two."""
    todo, seen = [(root, None)] if root != NOWHERE else [], set()
    while todo:
        address, level = todo.pop()
        signature, found, height, count = raw.numbers(address, "<4sBBH")
        if (signature, found) != (b"TREE", kind) or level not in (None, height) or address in seen:
            raise damaged("a tree that is none")
        seen.add(address)
        for index in range(count if height else 0):
            child = raw.numbers(address + 24 + key + index * (key + 8), "<Q")[0]
            todo.append((child, height - 1))


def check_free_space(raw: Raw, heap: int) -> None:
    """Raises UsageError where the list of free space in a heap of names has no end."""
    signature, _, free, start = raw.numbers(heap, "<4s4x3Q")
    if signature != b"HEAP":
        raise damaged("a heap that is none")
    seen = set()
    while free not in (LAST, NOWHERE):
        if free in seen:
            raise damaged("a heap whose free space has no end")
        seen.add(free)
        free = raw.numbers(start + free, "<Q")[0]


def check_texts(node) -> None:
    """Raises UsageError where reading the texts of a dataset would not end, or fill the memory."""
    if node.dtype.hasobject:
        with open(node.file.filename, "rb") as file:
            raw = Raw(file)
            check_references(raw, _stored(raw, node))


def _stored(raw: Raw, node) -> bytes:
    """The bytes of a dataset as they were before they were packed."""
    if node.chunks is not None:
        return _unpacked(raw, node)
    if node.size and node.id.get_offset() is None:
        raise damaged("texts that are stored in a rare way")
    return raw.at(node.id.get_offset() or 0, node.id.get_storage_size())


def _unpacked(raw: Raw, node) -> bytes:
    """The bytes of a dataset in chunks. libhdf5 itself undoes their filters: in a file in memory,
    where they are chunks of plain bytes, which lead nowhere."""
    import h5py

    made, plain = node.id.get_create_plist(), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plain.set_chunk(node.chunks)
    for k in range(made.get_nfilters()):
        plain.set_filter(*made.get_filter(k)[:3])
    kind = h5py.h5t.py_create(np.dtype(f"V{REFERENCE.itemsize}"))
    with h5py.File(io.BytesIO(), "w") as file:
        copy = h5py.h5d.create(file.id, b"copy", kind, node.id.get_space(), plain)
        for index in range(node.id.get_num_chunks()):
            chunk = node.id.get_chunk_info(index)
            data = raw.at(chunk.byte_offset, chunk.size)
            copy.write_direct_chunk(chunk.chunk_offset, data, chunk.filter_mask)
        del copy  # as long as it is open, it forgets which filters a chunk was spared
        return file["copy"][...].tobytes()


def check_attribute(node, name: str) -> None:
    """As check_texts, of an attribute."""
    with open(node.file.filename, "rb") as file:
        raw = Raw(file)
        for kind, data in messages(raw, _address(node)):
            if kind == ATTRIBUTE and (found := _attribute(data))[0] == name.encode():
                check_references(raw, found[1])
                return
    raise damaged(f"an attribute {name} that is stored in a rare way")


def _attribute(message: bytes) -> tuple[bytes, bytes]:
    """The name of an attribute, and its data."""
    version, *sizes = struct.unpack_from("<BxHHH", message)
    start, step = (9, 1) if version == 3 else (8, 8 if version == 1 else 1)  # version 1 pads
    name = message[start : start + sizes[0]].partition(b"\0")[0]
    return name, message[start + sum(-(-size // step) * step for size in sizes) :]


def check_references(raw: Raw, data: bytes) -> None:
    """Raises UsageError where texts of any length, of which the data say where they are, are not
    there; or where a heap in which they lie has no end.

    Each object of a heap says where the next begins; libhdf5 goes round for ever at one that says:
    here.
    """
    held = np.frombuffer(data, REFERENCE, len(data) // REFERENCE.itemsize)
    held = held[held["length"] > 0]
    if held["length"].sum(dtype=np.int64) > raw.size:
        raise damaged("texts longer than the file")
    left = raw.size
    for heap in np.unique(held["heap"]):
        size = int.from_bytes(raw.at(raw.base + int(heap) + 8, 8), "little")
        left -= size
        if left < 0:
            raise damaged("heaps larger than the file")
        check_heap(raw.at(raw.base + int(heap) + 16, size - 16))


def check_heap(objects: bytes) -> None:
    """Raises UsageError where an object of a heap is smaller than its own header of 16 bytes, or
    so large that libhdf5's sum with it begins again from 0."""
    start = 0
    while start + 16 <= len(objects):
        index, size = struct.unpack_from("<H6xQ", objects, start)
        step = 16 + -(-size // 8) * 8 if index else size  # free space counts its header
        if step < 16:
            raise damaged("a heap with an object of no size")
        if start + step > len(objects):
            raise damaged("a heap with an object larger than itself")
        start += step
