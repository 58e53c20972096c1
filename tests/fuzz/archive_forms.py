"""What archives are made of: zip (APPNOTE 6.3), tar (POSIX ustar and pax), and what packs a tar."""

import bz2
import gzip
import lzma
import re
import zlib
from functools import partial

from fuzz.mutations import Field, Format

BLOCK = 512  # bytes in which a tar counts
ZIP_FIELDS = {  # (start, size) of the numbers behind a signature
    b"PK\3\4": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\1\2": ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (38, 4), (42, 4)),
    b"PK\5\6": ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    b"PK\6\6": ((4, 8), (16, 4), (24, 8), (32, 8), (40, 8), (48, 8)),
    b"PK\6\7": ((4, 4), (8, 8), (16, 4)),
}
TAR_FIELDS = ((100, 8), (108, 8), (124, 12), (136, 12), (329, 8), (337, 8))


def zip_parts(data: bytes) -> list[tuple[int, int]]:
    starts = [match.start() for match in re.finditer(b"PK(?:\3\4|\1\2|\5\6|\6\6|\6\7)", data)]
    return list(zip(starts, [*starts[1:], len(data)], strict=False))


def zip_fields(data: bytes) -> list[Field]:
    return [
        Field(start + at, size, "little")
        for start, end in zip_parts(data)
        for at, size in ZIP_FIELDS[data[start : start + 4]]
        if start + at + size <= end
    ]


def zip_repair(data: bytes, whole: bytes) -> bytes:
    """Right sums of members whose data can be unpacked."""
    for start, end in zip_parts(data):
        if data[start : start + 4] != b"PK\1\2" or end - start < 46:
            continue
        method, size = _number(data, start + 10, 2), _number(data, start + 20, 4)
        local = _number(data, start + 42, 4)
        body = local + 30 + _number(data, local + 26, 2) + _number(data, local + 28, 2)
        packed = data[body : body + size]
        try:
            crc = zlib.crc32(zlib.decompress(packed, -15) if method == 8 else packed)
        except zlib.error:
            continue
        for at in (start + 16, local + 14):
            if data[at - 14 : at - 12] == b"PK" or at == start + 16:
                data = data[:at] + crc.to_bytes(4, "little") + data[at + 4 :]
    return data


def _number(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "little")


def tar_headers(data: bytes) -> list[int]:
    return [at for at in range(0, len(data), BLOCK) if data[at + 257 : at + 262] == b"ustar"]


def tar_parts(data: bytes) -> list[tuple[int, int]]:
    starts = tar_headers(data)
    return list(zip(starts, [*starts[1:], len(data)], strict=False))


def tar_fields(data: bytes) -> list[Field]:
    found = []
    for start in tar_headers(data):
        found += [Field(start + at, size, "octal") for at, size in TAR_FIELDS]
        found += [Field(start + 156, 1, "little")] * 2  # the kind of the member
    return found


def tar_repair(data: bytes, whole: bytes) -> bytes:
    for start in tar_headers(data):
        header = data[start : start + BLOCK]
        if len(header) == BLOCK:
            total = sum(header[:148]) + 8 * 32 + sum(header[156:])
            data = data[: start + 148] + b"%06o\0 " % total + data[start + 156 :]
    return data


ZIP = Format(zip_parts, zip_fields, zip_repair)
TAR = Format(tar_parts, tar_fields, tar_repair)
PACKERS = {
    "gz": (gzip.decompress, partial(gzip.compress, mtime=0)),
    "bz2": (bz2.decompress, bz2.compress),
    "xz": (lzma.decompress, lzma.compress),
}


def packed_tar(packing: str) -> Format:
    """A tar that is packed whole: mostly it is damaged before it is."""
    unpack, pack = PACKERS[packing]

    def inside(data: bytes, damage) -> bytes:
        try:
            whole = unpack(data)
        except EOFError:  # it is cut
            return damage(data)
        return pack(tar_repair(damage(whole, TAR), b""))

    return Format(inside=inside)


FORMS = {"zip": ZIP, "tar": TAR} | {f"tar.{packing}": packed_tar(packing) for packing in PACKERS}
