"""What HDF5 files are made of (HDF5 File Format Specification 3.0), and their checksums."""

import re
import struct
from functools import lru_cache

from fuzz.mutations import Field, Format

# What begins with a signature, and so many bytes behind it hold addresses, sizes and counts.
SIGNATURES = re.compile(
    rb"\x89HDF\r\n\x1a\n|OHDR|OCHK|TREE|SNOD|HEAP|GCOL|BTHD|BTLF|BTIN|FRHP|FHDB|FHIB|FAHD|FADB|EAHD"
)
REACH = 192
ENTRY = 40  # bytes of a symbol table's entry; the address of its object header is at 8


@lru_cache(4)
def places(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of what describes the data: what has a signature, and old object headers."""
    starts = [match.start() for match in SIGNATURES.finditer(data)]
    for start in [at for at in starts if data[at : at + 4] == b"SNOD"]:
        count = min(int.from_bytes(data[start + 6 : start + 8], "little"), 64)
        entries = range(start + 8, start + 8 + count * ENTRY, ENTRY)
        starts += [int.from_bytes(data[entry + 8 : entry + 16], "little") for entry in entries]
    if data[8:9] == b"\0":  # a superblock of version 0, and the entry of its root group
        starts.append(int.from_bytes(data[64:72], "little"))
    starts = sorted({start for start in starts if start < len(data)})
    spans = zip(starts, [*starts[1:], len(data)], strict=False)
    return [(start, min(start + REACH, end)) for start, end in spans]


@lru_cache(4)
def fields(data: bytes) -> list[Field]:
    """Every aligned number of a description."""
    return [
        Field(at, size, "little")
        for start, end in places(data)
        for size in (1, 2, 4, 8)
        for at in range(start, end - size + 1, size)
    ]


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash of 2006, which HDF5 has for a checksum of what describes its data."""
    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    if not data:
        return c
    whole = data + bytes(-len(data) % 12)
    words = struct.unpack(f"<{len(whole) // 4}I", whole)
    for k in range(0, len(words) - 3, 3):
        a, b, c = _mix(a + words[k], b + words[k + 1], c + words[k + 2])
    return _final(a + words[-3], b + words[-2], c + words[-1])


def _rotated(value: int, bits: int) -> int:
    value &= 0xFFFFFFFF
    return value << bits | value >> 32 - bits


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        # Each line of the published mix, with its three words in turn.
        a, b, c = b, c, a
        c, a, b = (c - b) ^ _rotated(b, bits), a, b + a
        c, b = c & 0xFFFFFFFF, b & 0xFFFFFFFF
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotated(b, bits)) & 0xFFFFFFFF
        a, b, c = b, c, a
    return b


@lru_cache(32)
def checked(whole: bytes) -> list[tuple[int, int]]:
    """(start, end) of what the four bytes behind it are the checksum of."""
    found = []
    for start, limit in places(whole):
        ends = range(start + 4, limit - 3)
        if whole[start : start + 4] == b"OHDR":
            flags = whole[start + 5]
            at = start + 6 + 16 * (flags >> 5 & 1) + 4 * (flags >> 4 & 1)
            size = 1 << (flags & 3)
            ends = [at + size + int.from_bytes(whole[at : at + size], "little")]
        for end in ends:
            stored = int.from_bytes(whole[end : end + 4], "little")
            if stored and stored == lookup3(whole[start:end]):
                found.append((start, end))
                break
    return found


def repair(data: bytes, whole: bytes) -> bytes:
    """Right checksums where they are in the whole file, if that is as long."""
    if len(data) == len(whole):
        for start, end in checked(whole):
            data = data[:end] + lookup3(data[start:end]).to_bytes(4, "little") + data[end + 4 :]
    return data


HDF5 = Format(parts=places, fields=fields, repair=repair)
