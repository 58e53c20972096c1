"""What MATLAB's files up to version 7 are made of ("MAT-File Format", The MathWorks): elements of a
kind, a length and data, which may hold others or be packed."""

import struct
import zlib

from fuzz.mutations import Field, Format

HEADER = 128
MATRIX, COMPRESSED = 14, 15
DEEPEST = 6


def elements(data: bytes, start: int, end: int, depth: int = 0) -> list[tuple[int, int, int]]:
    """(start, start of its data, end) of each element of a file that is not packed, the outer
    ones before what they hold."""
    found = []
    while start + 8 <= end and depth < DEEPEST:
        kind, size = struct.unpack_from("<II", data, start)
        body = start + 8
        if kind >> 16:  # a small one: both in the first word, its data in the second
            size, body = kind >> 16, start + 4
        stop = start + 8 if kind >> 16 else body + -(-size // 8) * 8
        if stop > end:
            break
        found.append((start, body, stop))
        if kind == MATRIX:
            found += elements(data, body, stop, depth + 1)
        start = stop
    return found


def level_parts(start: int):
    """The function that gives the parts of data whose elements begin there."""
    return lambda data: [(at, stop) for at, _, stop in elements(data, start, len(data))]


def level_fields(start: int):
    """Kind and length of each element, and the first words of its data: flags, sizes, numbers."""

    def fields(data: bytes) -> list[Field]:
        found = [Field(at, 2, "little") for at in (124, 126)] if start else []
        for at, body, stop in elements(data, start, len(data)):
            found += [
                Field(at, 2, "little"),
                Field(at + 2, 2, "little"),
                Field(at + 4, 4, "little"),
            ]
            found += [Field(k, 4, "little") for k in range(body, min(body + 16, stop - 3), 4)]
        return found

    return fields


PLAIN = Format(level_parts(HEADER), level_fields(HEADER))
PACKED = Format(level_parts(0), level_fields(0))


def inside(data: bytes, damage) -> bytes:
    """Damages what is packed in the first element."""
    kind, size = struct.unpack_from("<II", data, HEADER)
    if kind != COMPRESSED:
        return damage(data, PLAIN)
    whole = zlib.decompress(data[HEADER + 8 : HEADER + 8 + size])
    packed = zlib.compress(damage(whole, PACKED))
    head = data[:HEADER] + struct.pack("<II", COMPRESSED, len(packed))
    return head + packed + data[HEADER + 8 + size :]


MATLAB = Format(PLAIN.parts, PLAIN.fields, inside=inside)
