"""Damaged pictures, through the ways that a stimulus and a map go."""

import io
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import PIL
from fuzz.mutations import Format
from fuzz.outcomes import expect, tried
from fuzz.pictures_forms import FORMS
from PIL import Image, PngImagePlugin

from errors import UsageError
from formats.pictures import looks
from formats.pictures.decode import PIXELS, decode, decode_map, shape

WIDTH, HEIGHT = 64, 48
ORIENTATION = 0x0112
SMALL = 2**20  # pixels of a picture that is also looked at as a map of points


def noise(*channels: int, dtype=np.uint8) -> np.ndarray:
    """A slope with some noise, so that it is neither blank nor beyond packing."""
    slope = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).reshape(HEIGHT, WIDTH, 1)
    levels = slope + np.random.default_rng(0).integers(0, 40, (HEIGHT, WIDTH, *(channels or (1,))))
    scale = 257 if dtype == np.uint16 else 1
    return (levels * scale).astype(dtype).reshape(HEIGHT, WIDTH, *channels)


def saved(kind: str, picture, **options) -> bytes:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def frames() -> dict:
    """Options of save for a picture of three; new ones, since Pillow writes into them."""
    more = [Image.fromarray(noise(3)[::-1]) for _ in range(2)]
    return {"save_all": True, "append_images": more}


def turned(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def xmp(value: int) -> bytes:
    return b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % value


def said(key: str, text: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, text)
    return info


@cache
def bases(folder: Path) -> dict[str, bytes]:
    """Whole pictures in the variants of each format, by "<format> <variant>"."""
    rgb, grey, alpha = noise(3), noise(), noise(4)
    found = {
        "jpeg baseline": saved("JPEG", rgb),
        "jpeg progressive": saved("JPEG", rgb, progressive=True),
        "jpeg grey": saved("JPEG", grey, optimize=True),
        "jpeg cmyk": saved("JPEG", Image.fromarray(alpha, "CMYK")),
        "jpeg cmyk progressive": saved("JPEG", Image.fromarray(alpha, "CMYK"), progressive=True),
        "jpeg 4:4:4 restarts": saved("JPEG", rgb, subsampling=0, restart_marker_blocks=4),
        "jpeg exif": saved("JPEG", rgb, exif=turned(6)),
        "jpeg xmp": saved("JPEG", rgb, xmp=xmp(8)),
        "jpeg of two": saved("MPO", Image.fromarray(rgb), **frames()),
        "png rgb": saved("PNG", rgb),
        "png rgba": saved("PNG", alpha),
        "png grey": saved("PNG", grey),
        "png grey alpha": saved("PNG", noise(2)),
        "png 1 bit": saved("PNG", Image.fromarray(grey).convert("1")),
        "png 16 bits": saved("PNG", noise(dtype=np.uint16)),
        "png rgb 16 bits": png(noise(3, dtype=np.uint16), 2),
        "png interlaced": png(rgb, 2, interlaced=True),
        "png rgba 16 bits interlaced": png(noise(4, dtype=np.uint16), 6, interlaced=True),
        "png palette": saved("PNG", paletted(), transparency=bytes(range(0, 200, 3))),
        "png colour key": saved("PNG", rgb, transparency=(9, 9, 9)),
        "png exif": saved("PNG", rgb, exif=turned(5)),
        "png xmp": saved("PNG", rgb, pnginfo=said("XML:com.adobe.xmp", xmp(8).decode())),
        "png animated": saved("PNG", Image.fromarray(rgb), **frames()),
        "gif": saved("GIF", paletted()),
        "gif transparent": saved("GIF", paletted(), transparency=7, interlace=0),
        "gif animated": saved("GIF", Image.fromarray(rgb), **frames()),
        "bmp rgb": saved("BMP", rgb),
        "bmp rgba": saved("BMP", alpha),
        "bmp palette": saved("BMP", paletted()),
        "bmp 1 bit": saved("BMP", Image.fromarray(grey).convert("1")),
        "bmp runs": bmp_of_runs(grey),
        "ppm": saved("PPM", rgb),
        "ppm grey": saved("PPM", grey),
        "ppm 16 bits": saved("PPM", noise(dtype=np.uint16)),
        "ppm 1 bit": saved("PPM", Image.fromarray(grey).convert("1")),
        "ppm 10 bits": b"P5 64 48 1023\n" + (noise(dtype=np.uint16) & 1023).astype(">u2").tobytes(),
        "ppm in words": b"P3\n64 48\n255\n" + b" ".join(b"%d" % level for level in rgb.ravel()),
        "ppm float": saved("PPM", Image.fromarray(np.float32(grey))),
        "webp lossy": saved("WEBP", rgb, quality=60),
        "webp lossless": saved("WEBP", rgb, lossless=True),
        "webp alpha": saved("WEBP", alpha),
        "webp exif": saved("WEBP", rgb, exif=turned(7)),
        "webp xmp": saved("WEBP", rgb, xmp=xmp(5)),
        "webp animated": saved("WEBP", Image.fromarray(rgb), **frames()),
    }
    return found | tiffs(rgb, grey, alpha)


def tiffs(rgb, grey, alpha) -> dict[str, bytes]:
    black = Image.fromarray(grey).convert("1")
    packings = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg")
    packings += ("lzma", "zstd")[: 1 if PIL.__version__ < "12" else 2]  # 11 cannot write the last
    found = {f"tiff {name}": saved("TIFF", rgb, compression=name) for name in packings}
    for name in ("group3", "group4", "tiff_ccitt"):
        found[f"tiff {name}"] = saved("TIFF", black, compression=name)
    return found | {
        "tiff 16 bits": saved("TIFF", noise(dtype=np.uint16)),
        "tiff 16 bits lzw": saved("TIFF", noise(dtype=np.uint16), compression="tiff_lzw"),
        "tiff 32 bits": saved("TIFF", np.int32(grey)),
        "tiff float": saved("TIFF", np.float32(grey), compression="tiff_lzw"),
        "tiff rgba": saved("TIFF", alpha, compression="tiff_adobe_deflate"),
        "tiff cmyk": saved("TIFF", Image.fromarray(alpha, "CMYK"), compression="tiff_lzw"),
        "tiff palette": saved("TIFF", paletted()),
        "tiff big": saved("TIFF", rgb, big_tiff=True),
        "tiff big endian": tiff_big_endian(grey),
        "tiff exif": saved("TIFF", rgb, exif=turned(6)),
        "tiff xmp": saved("TIFF", rgb, tiffinfo={700: xmp(6)}),
        "tiff of strips": saved("TIFF", rgb, strip_size=999, compression="tiff_adobe_deflate"),
        "tiff of frames": saved("TIFF", Image.fromarray(rgb), **frames()),
    }


def paletted() -> Image.Image:
    picture = Image.fromarray(noise() % 64)
    picture.putpalette(np.random.default_rng(1).integers(0, 256, 192, np.uint8).tobytes())
    return picture


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
ADAM7 += ((0, 1, 1, 2),)


def png(levels: np.ndarray, colour_type: int, interlaced: bool = False) -> bytes:
    """A PNG by its specification: Pillow writes none of 16 bits in colours, nor an interlaced."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    depth = levels.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour_type, 0, 0, interlaced)
    rows = levels.astype(">u2" if depth == 16 else np.uint8)
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    lines = [b"\0" + row.tobytes() for x, y, dx, dy in passes for row in rows[y::dy, x::dx]]
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(lines)))
    return b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b"")


def bmp_of_runs(levels: np.ndarray) -> bytes:
    """A BMP packed by run lengths, each of one pixel, which Pillow reads and does not write."""
    rows = b"".join(b"".join(bytes([1, level]) for level in row) + b"\0\0" for row in levels[::-1])
    palette = b"".join(bytes([n, n, n, 0]) for n in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(rows) + 2, 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    lead = b"BM" + struct.pack("<IHHI", start + len(rows) + 2, 0, 0, start)
    return lead + header + palette + rows + b"\0\1"


def tiff_big_endian(levels: np.ndarray) -> bytes:
    tags = [(256, WIDTH), (257, HEIGHT), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1)]
    tags += [(278, HEIGHT), (279, levels.size)]
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack(">H", len(tags)) + entries + bytes(4)
    return b"MM\0*" + struct.pack(">I", 8 + levels.size) + levels.tobytes() + directory


def form(name: str) -> Format:
    return FORMS[name.split()[0]]


def ending(name: str) -> str:
    return f".{name.split()[0]}"


def coloured(pixels: np.ndarray | None) -> bool:
    """Whether a picture may be refused as a map, since it shows colours."""
    return pixels is not None and int(np.ptp(pixels, axis=2).max()) > 16


def check(path: Path) -> bool:
    """Whether the picture was read; raises AssertionError where it was read wrongly."""
    pixels = tried(UsageError, path, decode, path)
    levels = tried(UsageError, path, decode_map, path)
    size = tried(UsageError, path, shape, path)
    if pixels is not None:
        expect(pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, pixels.shape)
        expect(pixels.size > 0, "a picture without pixels")
        whole = size == pixels.shape[:2] or size[0] * size[1] > PIXELS
        expect(whole, f"shape() says {size}, decode() {pixels.shape}")
    expect((pixels is None) == (levels is None) or coloured(pixels), "only one of the two reads it")
    if levels is not None:
        expect(levels.dtype == np.float32 and levels.shape == pixels.shape[:2], levels.shape)
        expect(bool(np.isfinite(levels).all() and levels.min() >= 0), "levels that are none")
        if levels.size < SMALL:
            looks.look_at(levels)
    return pixels is not None
