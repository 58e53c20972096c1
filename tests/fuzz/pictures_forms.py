"""What pictures are made of, by their specifications: chunks, segments, tags, and their numbers."""

import re
import struct
import zlib

from fuzz.mutations import Field, Format

Part = tuple[int, int]


def spread(start: int, style: str, *sizes: int) -> list[Field]:
    """Fields one behind another; a negative size is left out."""
    fields = []
    for size in sizes:
        if size > 0:
            fields.append(Field(start, size, style))
        start += abs(size)
    return fields


def within(data: bytes, fields: list[Field]) -> list[Field]:
    return [field for field in fields if 0 <= field.start <= len(data) - field.size]


# PNG (ISO/IEC 15948): a signature, then chunks: length, kind, data, CRC of the last two


def png_parts(data: bytes) -> list[Part]:
    parts, start = [], 8
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            break
        parts.append((start, end))
        start = end
    return parts


PNG_FIELDS = {
    b"IHDR": (4, 4, 1, 1, 1, 1, 1),
    b"acTL": (4, 4),
    b"fcTL": (4, 4, 4, 4, 4, 2, 2, 1, 1),
    b"IDAT": (1, 1),
    b"tRNS": (1, 1, 1),
}


def png_fields(data: bytes) -> list[Field]:
    fields = []
    for start, _ in png_parts(data):
        kind = data[start + 4 : start + 8]
        fields += spread(start, "big", 4, -4, *PNG_FIELDS.get(kind, ()))
        if kind == b"eXIf":
            fields += tiff_fields(data, start + 8)
    return within(data, fields)


def png_repair(data: bytes, whole: bytes) -> bytes:
    for start, end in png_parts(data):
        crc = zlib.crc32(data[start + 4 : end - 4])
        data = data[: end - 4] + crc.to_bytes(4, "big") + data[end:]
    return data


def png_inside(data: bytes, damage) -> bytes:
    """Damages the rows before they were packed."""
    at = [part for part in png_parts(data) if data[part[0] + 4 : part[0] + 8] == b"IDAT"]
    rows = zlib.decompress(b"".join(data[start + 8 : end - 4] for start, end in at))
    packed = b"IDAT" + zlib.compress(damage(rows))
    chunk = struct.pack(">I", len(packed) - 4) + packed + zlib.crc32(packed).to_bytes(4, "big")
    return data[: at[0][0]] + chunk + data[at[-1][1] :]


# JPEG (ITU-T T.81): segments of a marker and, mostly, a length


def jpeg_parts(data: bytes) -> list[Part]:
    starts = [0]
    while starts[-1] + 4 <= len(data):
        start = starts[-1]
        size = 0 if start == 0 else int.from_bytes(data[start + 2 : start + 4], "big")
        found = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]").search(data, start + 2 + size)
        if not found:
            break
        starts.append(found.start())
    return list(zip(starts, [*starts[1:], len(data)], strict=False))


def jpeg_fields(data: bytes) -> list[Field]:
    fields = []
    for start, end in jpeg_parts(data)[1:]:
        marker = data[start + 1]
        fields += spread(start + 1, "big", 1, 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            fields += spread(start + 4, "big", 1, 2, 2, 1, *[1] * min(12, end - start - 10))
        elif marker in (0xDA, 0xDB, 0xC4, 0xDD, 0xEE):
            fields += spread(start + 4, "big", *[1] * min(17, end - start - 4))
        elif data[start + 4 : start + 10] == b"Exif\0\0":
            fields += tiff_fields(data, start + 10)
        elif data[start + 4 : start + 8] == b"MPF\0":
            fields += tiff_fields(data, start + 8)
    return within(data, fields)


# TIFF 6.0 and BigTIFF: directories of entries (tag, kind, count, value), anywhere in the file


def tiff_layout(data: bytes, base: int) -> tuple[str, int]:
    style = "big" if data[base : base + 2] == b"MM" else "little"
    return style, 8 if int.from_bytes(data[base + 2 : base + 4], style) == 43 else 4


def tiff_directories(data: bytes, base: int = 0) -> list[tuple[int, int]]:
    """(start, number of entries) of each directory."""
    style, word = tiff_layout(data, base)
    count_size, found = 2 if word == 4 else 8, []
    at = base + (4 if word == 4 else 8)
    while len(found) < 8:
        start = base + int.from_bytes(data[at : at + word], style)
        count = int.from_bytes(data[start : start + count_size], style)
        if start == base or start in dict(found) or count > 200:
            break
        found.append((start, count))
        at = start + count_size + count * (4 + 2 * word)
    return found


def tiff_entries(data: bytes, base: int = 0) -> list[Part]:
    word = tiff_layout(data, base)[1]
    size, head = 4 + 2 * word, 2 if word == 4 else 8
    starts = [
        start + head + size * k
        for start, count in tiff_directories(data, base)
        for k in range(count)
    ]
    return [(start, start + size) for start in starts if start + size <= len(data)]


def tiff_fields(data: bytes, base: int = 0) -> list[Field]:
    style, word = tiff_layout(data, base)
    fields = spread(base, style, 2, 2, word)
    fields += [Field(start, 2, style) for start, _ in tiff_directories(data, base)]
    for start, _ in tiff_entries(data, base):
        fields += spread(start, style, 2, 2, word, word)
        fields += spread(start + 4 + word, style, 2, 2)
    return within(data, fields)


# RIFF (WebP: RFC 9649): chunks of a kind, a length and data, padded to even lengths


def riff_parts(data: bytes, start: int = 12) -> list[Part]:
    parts = []
    while start + 8 <= len(data):
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        end = min(start + 8 + size + size % 2, len(data))
        parts.append((start, end))
        start = end
    return parts


RIFF_FIELDS = {
    b"VP8X": (1, -3, 3, 3),
    b"VP8 ": (3, 3, 2, 2),
    b"VP8L": (1, 4),
    b"ANIM": (4, 2),
    b"ANMF": (3, 3, 3, 3, 3, 1),
    b"ALPH": (1,),
}


def riff_fields(data: bytes) -> list[Field]:
    fields = [Field(4, 4, "little")]
    for start, end in riff_parts(data):
        kind = data[start : start + 4]
        fields += spread(start + 4, "little", 4, *RIFF_FIELDS.get(kind, ()))
        if kind == b"EXIF":
            fields += tiff_fields(data, start + 8)
        if kind == b"ANMF":
            inner = riff_parts(data[:end], start + 24)
            fields += [Field(at + 4, 4, "little") for at, _ in inner]
    return within(data, fields)


# GIF89a: a header, a colour table, then extensions and frames made of small blocks


def gif_blocks(data: bytes) -> list[Part]:
    start = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 128 else 0)
    parts = []
    while start < len(data) and data[start] in (0x21, 0x2C):
        at = start + 2
        if data[start] == 0x2C and start + 9 < len(data):
            flags = data[start + 9]
            at = start + 11 + (3 << (flags & 7) + 1 if flags & 128 else 0)
        while at < len(data) and data[at]:
            at += 1 + data[at]
        parts.append((start, min(at + 1, len(data))))
        start = at + 1
    return parts


def gif_fields(data: bytes) -> list[Field]:
    fields = spread(6, "little", 2, 2, 1, 1, 1)
    for start, _ in gif_blocks(data):
        frame = data[start] == 0x2C
        fields += spread(start, "little", *((1, 2, 2, 2, 2, 1, 1, 1) if frame else (1, 1, 1, 1, 2)))
    return within(data, fields)


# BMP: two headers of fixed layout; netpbm: numbers in words


def bmp_fields(data: bytes) -> list[Field]:
    return within(data, spread(2, "little", 4, -4, 4, 4, 4, 4, 2, 2, 4, 4, 4, 4, 4, 4))


def netpbm_fields(data: bytes) -> list[Field]:
    words = re.finditer(rb"(?<!\S)\d+(?=\s)", data[:64])
    return [Field(word.start(), len(word[0]), "text") for word in words]


FORMS = {
    "jpeg": Format(jpeg_parts, jpeg_fields),
    "png": Format(png_parts, png_fields, png_repair, png_inside),
    "gif": Format(gif_blocks, gif_fields),
    "bmp": Format(fields=bmp_fields),
    "ppm": Format(fields=netpbm_fields),
    "webp": Format(riff_parts, riff_fields),
    "tiff": Format(tiff_entries, tiff_fields),
}
