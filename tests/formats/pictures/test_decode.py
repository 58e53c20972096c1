import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import one_line, refusal_of
from PIL import Image, PngImagePlugin

from errors import UsageError
from formats.pictures import decode as decoding
from formats.pictures.decode import (
    FORMATS,
    allow,
    decode,
    decode_map,
    decode_whole,
    eight_bits,
    shape,
)

ROOT = Path(__file__).parents[3]
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3, (0,) * 3
COLOURS = np.uint8([[RED, GREEN, BLUE], [WHITE, BLACK, (10, 20, 30)]])
ORIENTATION = 0x0112
GREY, GREY_ALPHA, RGB = 0, 4, 2  # colour types of PNG


def save(path: Path, picture, **options) -> Path:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **options)
    return path


def png16(path: Path, levels, colour_type: int) -> Path:
    """A PNG of 16 bits a channel, by its specification: Pillow writes grey ones alone."""
    rows = np.asarray(levels, ">u2")
    height, width = rows.shape[:2]

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    body = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def netpbm16(path: Path, levels, white: int = 65535) -> Path:
    """A binary PGM or PPM of 16 bits a channel."""
    rows = np.asarray(levels, ">u2")
    kind = "P6" if rows.ndim == 3 else "P5"
    header = f"{kind} {rows.shape[1]} {rows.shape[0]} {white}\n"
    path.write_bytes(header.encode() + rows.tobytes())
    return path


def grey(*levels: int) -> np.ndarray:
    """The RGB (1, n, 3) of a row of grey levels."""
    return np.repeat(np.uint8([levels])[..., None], 3, axis=2)


# every format


@pytest.mark.parametrize(
    "name, options",
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.ppm", {}),
        ("a.tiff", {}),
        ("b.tif", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True}),
        ("a.gif", {}),
    ],
)
def test_formats_without_loss_are_read_exactly(tmp_path, name, options):
    found = decode(save(tmp_path / name, COLOURS, **options))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, COLOURS)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_formats_with_loss_are_read_nearly(tmp_path, name):
    blocks = COLOURS.repeat(16, 0).repeat(16, 1)
    found = decode(save(tmp_path / name, blocks, quality=95)).astype(int)
    assert found.shape == (32, 48, 3)
    assert abs(found[8::16, 8::16] - COLOURS).max() <= 8


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tiff", "a.png"])
def test_the_first_frame_is_the_picture(tmp_path, name):
    frames = [Image.new("RGB", (4, 3), colour) for colour in (RED, BLUE, GREEN)]
    lossless = {"lossless": True} if name == "a.webp" else {}
    path = save(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **lossless)
    np.testing.assert_array_equal(decode(path), np.full((3, 4, 3), RED))


# more than 8 bits


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.pgm"])
def test_grey_of_16_bits_is_scaled_by_its_range(tmp_path, name):
    # 257 = 65535 / 255; half a level is 128.5
    levels = np.uint16([[0, 128, 129, 257, 32896, 65535]])
    path = tmp_path / name
    netpbm16(path, levels) if name.endswith("pgm") else save(path, levels)
    np.testing.assert_array_equal(decode(path), grey(0, 0, 1, 1, 128, 255))


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path):
    path = netpbm16(tmp_path / "a.pgm", np.full((1, 2), 200))
    np.testing.assert_array_equal(decode(path), grey(1, 1))


def test_the_range_of_a_pgm_is_what_its_header_says(tmp_path):
    path = netpbm16(tmp_path / "a.pgm", [[0, 200, 1000]], white=1000)
    np.testing.assert_array_equal(decode(path), grey(0, 51, 255))


def test_rgb_of_16_bits_is_scaled_by_its_range(tmp_path):
    levels = np.array([[[65535, 257, 0], [0, 65535, 514], [25700, 0, 65535]]])
    expected = np.uint8([[[255, 1, 0], [0, 255, 2], [100, 0, 255]]])
    np.testing.assert_array_equal(decode(png16(tmp_path / "a.png", levels, RGB)), expected)
    np.testing.assert_array_equal(decode(netpbm16(tmp_path / "a.ppm", levels)), expected)


def test_rgb_of_16_bits_is_within_a_level_anywhere(tmp_path):
    levels = np.arange(0, 65536, 7).reshape(1, -1, 1).repeat(3, 2)
    for path in (png16(tmp_path / "a.png", levels, RGB), netpbm16(tmp_path / "a.ppm", levels)):
        assert abs(decode(path) - levels / 257).max() <= 1  # Pillow takes the PNG's upper byte


def test_transparency_of_16_bits_lies_on_white(tmp_path):
    levels = np.array([[[25700, 65535], [25700, 0]]])
    path = png16(tmp_path / "a.png", levels, GREY_ALPHA)
    np.testing.assert_array_equal(decode(path), grey(100, 255))


@pytest.mark.parametrize(
    "levels, expected",
    [
        (np.int32([[0, 257, 65535]]), (0, 1, 255)),
        (np.int32([[0, 1_000_000, 5_000_000]]), (0, 51, 255)),
        (np.float32([[0, 0.2, 0.6]]), (0, 51, 153)),
        (np.float32([[0, 2, 254]]), (0, 2, 254)),
        (np.float32([[0, 257, 25700]]), (0, 1, 100)),
        (np.float32([[0, 1e6, 5e6]]), (0, 51, 255)),
        (np.float32([[0, 0, 0]]), (0, 0, 0)),
    ],
)
def test_32_bits_are_scaled_by_the_range_that_holds_them(tmp_path, levels, expected):
    path = save(tmp_path / "a.tiff", levels)
    np.testing.assert_array_equal(decode(path), grey(*expected))


@pytest.mark.parametrize("level", [np.nan, np.inf, -1.0])
def test_levels_that_are_none_are_named(tmp_path, level):
    path = save(tmp_path / "a.tiff", np.float32([[0.5, level]]))
    for read in (decode, decode_map):
        with pytest.raises(UsageError, match=r"a\.tiff: .*negative or not finite$"):
            read(path)


def test_eight_bits_rounds():
    np.testing.assert_array_equal(eight_bits(np.float64([0.4999 / 255, 0.5001 / 255])), [0, 1])


# every mode


def test_grey_is_grey(tmp_path):
    path = save(tmp_path / "a.png", np.uint8([[0, 7, 255]]))
    np.testing.assert_array_equal(decode(path), grey(0, 7, 255))


def test_one_bit_is_black_and_white(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(np.uint8([[0, 255, 0]])).convert("1"))
    np.testing.assert_array_equal(decode(path), grey(0, 255, 0))


def test_grey_with_alpha_lies_on_white(tmp_path):
    # 100 * 51/255 + 255 * 204/255 = 224
    path = save(tmp_path / "a.png", np.uint8([[[100, 255], [100, 51], [100, 0]]]))
    np.testing.assert_array_equal(decode(path), grey(100, 224, 255))


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.webp"])
def test_rgba_lies_on_white(tmp_path, name):
    # 0 * 102/255 + 255 * 153/255 = 153; 200 * .4 + 153 = 233
    levels = np.uint8([[[0, 200, 255, 102], [9, 9, 9, 0], [1, 2, 3, 255]]])
    lossless = {"lossless": True, "exact": True} if name == "a.webp" else {}
    path = save(tmp_path / name, levels, **lossless)
    np.testing.assert_array_equal(decode(path), [[[153, 233, 255], WHITE, (1, 2, 3)]])


def paletted(colours) -> Image.Image:
    """A picture of one row that has each colour of its palette once."""
    picture = Image.new("P", (len(colours), 1))
    picture.putpalette([level for colour in colours for level in colour])
    picture.putdata(range(len(colours)))
    return picture


def test_a_palette_is_looked_up(tmp_path):
    path = save(tmp_path / "a.png", paletted([(10, 20, 30), RED]))
    np.testing.assert_array_equal(decode(path), [[(10, 20, 30), RED]])


@pytest.mark.parametrize(
    "name, transparency, expected",
    [
        ("a.png", bytes([255, 0, 51]), (RED, WHITE, (204, 204, 255))),
        ("a.png", 1, (RED, WHITE, BLUE)),
        ("a.gif", 1, (RED, WHITE, BLUE)),
    ],
)
def test_a_palette_may_be_transparent(tmp_path, name, transparency, expected):
    path = save(tmp_path / name, paletted([RED, GREEN, BLUE]), transparency=transparency)
    np.testing.assert_array_equal(decode(path), [expected])


def test_one_colour_may_be_transparent(tmp_path):
    path = save(tmp_path / "a.png", COLOURS, transparency=RED)
    np.testing.assert_array_equal(decode(path)[0], [WHITE, GREEN, BLUE])


def test_cmyk_jpegs_are_inks(tmp_path):
    inks = [(255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 0), (0, 0, 0, 255)]
    blocks = Image.fromarray(np.uint8([inks]).repeat(16, 0).repeat(16, 1), "CMYK")
    path = save(tmp_path / "a.jpg", blocks, quality=95)
    assert b"Adobe" in path.read_bytes()  # so that the file has the inks inverted
    expected = [(0, 255, 255), (255, 0, 255), (255, 255, 0), WHITE, BLACK]
    assert abs(decode(path)[8, 8::16].astype(int) - expected).max() <= 8


# orientation

SEEN = np.uint8([[0, 50, 100], [150, 200, 250]])
STORED = {  # EXIF 2.3, 4.6.4: which side of what is seen the first row and column are
    1: SEEN,
    2: SEEN[:, ::-1],
    3: SEEN[::-1, ::-1],
    4: SEEN[::-1],
    5: SEEN.T,
    6: SEEN[:, ::-1].T,
    7: SEEN[::-1, ::-1].T,
    8: SEEN[::-1].T,
}


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


@pytest.mark.parametrize("value", STORED)
@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.webp", "a.jpg"])
def test_pictures_stand_upright(tmp_path, name, value):
    blocks = STORED[value].repeat(16, 0).repeat(16, 1)
    path = save(tmp_path / name, blocks, quality=95, exif=orientation(value))
    assert shape(path) == (32, 48)
    for found in (decode(path)[..., 0], decode_map(path)):
        assert found.shape == (32, 48)
        assert abs(found[8::16, 8::16].astype(int) - SEEN).max() <= 2


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_pictures_of_16_bits_stand_upright(tmp_path, name):
    path = save(tmp_path / name, np.uint16(STORED[6]) * 257, exif=orientation(6))
    np.testing.assert_array_equal(decode(path)[..., 0], SEEN)
    np.testing.assert_array_equal(decode_map(path), np.float32(SEEN) * 257)


# maps


def test_maps_are_grey_levels(tmp_path):
    for number, (picture, expected) in enumerate(
        [
            (np.uint8([[0, 7, 255]]), [0, 7, 255]),
            (np.uint16([[0, 300, 65535]]), [0, 300, 65535]),
            (np.uint8([[[7] * 3, [255] * 3]]), [7, 255]),
            (np.uint8([[[9, 255], [200, 0], [100, 51]]]), [9, 0, 20]),
            (paletted([WHITE, (10, 10, 10), BLACK]), [255, 10, 0]),
            (Image.fromarray(np.uint8([[0, 255]])).convert("1"), [0, 255]),
        ]
    ):
        found = decode_map(save(tmp_path / f"{number}.png", picture))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, [expected])


def test_a_map_of_a_palette_shows_nothing_where_it_is_transparent(tmp_path):
    path = save(tmp_path / "a.png", paletted([WHITE, WHITE]), transparency=bytes([0, 255]))
    np.testing.assert_array_equal(decode_map(path), [[0, 255]])


def test_a_map_of_floating_point_numbers_stays_as_it_is(tmp_path):
    path = save(tmp_path / "a.tiff", np.float32([[0, 0.125, 1e-6]]))
    np.testing.assert_array_equal(decode_map(path), np.float32([[0, 0.125, 1e-6]]))


# bad files


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "the file is empty"),
        (b"no picture at all\n", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"P5 99999 99999 255\n", "are 10000 million, at most 67 million"),
        (b"P5 4 4 255\nxyz", "truncated|not enough"),
    ],
)
@pytest.mark.parametrize("read", [decode, decode_map])
def test_what_is_no_picture_is_named(tmp_path, read, content, said):
    path = tmp_path / "a: b.jpg"
    path.write_bytes(content)
    with one_line(said) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count(str(path)) == 1


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.bmp", "a.ppm", "a.webp", "a.tiff"])
def test_a_truncated_picture_is_named(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = save(tmp_path / name, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match=rf"^{path}: [^\n]+$"):
        decode(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.jpg: no such file or directory$"):
        decode(tmp_path / "gone.jpg")
    with pytest.raises(UsageError, match=": is a directory$"):
        decode(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = save(tmp_path / "a.png", COLOURS)
    path.chmod(0)
    with pytest.raises(UsageError, match=r"a\.png: permission denied$"):
        decode(path)


def test_a_name_may_lie(tmp_path):
    path = save(tmp_path / "a.png", COLOURS).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(decode(path), COLOURS)


def test_files_are_closed(tmp_path):
    path = save(tmp_path / "a.tiff", COLOURS)
    before = os.listdir("/proc/self/fd") if Path("/proc/self/fd").is_dir() else []
    for _ in range(3):
        decode(path)
    assert len(os.listdir("/proc/self/fd") if before else []) <= len(before)


def test_a_damaged_description_says_nothing_and_spoils_nothing(tmp_path):
    """Run alone, since pytest puts its own filters before those of the program."""
    path = save(tmp_path / "a.jpg", COLOURS, exif=orientation(1))
    whole = path.read_bytes()
    count = whole.index(b"Exif\0\0") + 14  # header, then TIFF's 8 bytes: the number of entries
    path.write_bytes(whole[:count] + b"\0\x7f" + whole[count + 2 :])
    code = "import sys, pathlib as p, formats.pictures.decode as d; "
    code += "print(d.decode(p.Path(sys.argv[1])).shape)"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (ran.stdout, ran.stderr) == ("(2, 3, 3)\n", "")


def test_formats_are_those_that_pillow_knows():
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)


# found by fuzzing


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(tmp_path, value):
    path = save(tmp_path / "a.jpg", np.zeros((16, 32, 3), np.uint8), exif=orientation(value))
    assert shape(path) == decode(path).shape[:2] == (16, 32)


@pytest.mark.parametrize("name", ["a.tiff", "a.png", "a.webp", "a.jpg"])
@pytest.mark.parametrize("value", [1, 6])
def test_an_orientation_may_stand_in_xmp(tmp_path, name, value):
    xmp = f'<rdf:Description tiff:Orientation="{value}"/>'
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    ways = {"a.tiff": {"tiffinfo": {700: xmp.encode()}}, "a.png": {"pnginfo": info}}
    options = ways.get(name, {"xmp": xmp.encode()})
    path = save(tmp_path / name, np.zeros((16, 32, 3), np.uint8), **options)
    assert shape(path) == decode(path).shape[:2] == ((32, 16) if value == 6 else (16, 32))


def test_a_palette_that_is_not_there(tmp_path):
    picture = paletted([RED, GREEN])
    path = save(tmp_path / "a.png", picture, transparency=bytes([0, 255]))
    whole = path.read_bytes()
    start = whole.index(b"PLTE") - 4
    path.write_bytes(whole[:start] + whole[start + 12 + 6 :])
    for read in (decode, decode_map):
        with pytest.raises(UsageError, match=r"a\.png: its colours are numbers in a palette"):
            read(path)


def test_a_tiff_with_fewer_strips_than_rows(tmp_path):
    path = save(tmp_path / "a.tiff", np.full((8, 8), 255, np.uint8))
    whole = bytearray(path.read_bytes())
    place = whole.index(struct.pack("<HHII", 257, 4, 1, 8))  # the tag of its height
    whole[place + 8 : place + 12] = struct.pack("<I", 80)
    path.write_bytes(whole)
    for read in (decode, decode_map):
        with pytest.raises(UsageError, match=r"a\.tiff: it has 64 of 640 pixels$"):
            read(path)


@pytest.mark.parametrize("read", [decode, decode_map, shape])
def test_a_bomb_is_refused_unread(tmp_path, read):
    path = tmp_path / "a.webp"  # 16383 x 16383 pixels of one colour
    bits = 0x2F | (16382 << 8) | (16382 << 22)
    data = bits.to_bytes(5, "little") + bytes(8)
    chunk = b"WEBPVP8L" + struct.pack("<I", len(data)) + data + b"\0"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunk)) + chunk)
    said = "16383x16383 pixels are 268 million, at most 67 million are read; make it smaller"
    assert refusal_of(path, read, path) == f"{said}, or allow --max-pixels 268402689"


def test_nothing_but_the_error_is_said(tmp_path):
    """libtiff speaks on stderr, where no one in Python hears it."""
    path = save(tmp_path / "a.tiff", COLOURS.repeat(30, 0), compression="tiff_lzw")
    whole = bytearray(path.read_bytes())
    whole[8 : len(whole) // 2] = b"\xff" * (len(whole) // 2 - 8)
    path.write_bytes(whole)
    code = "import sys, pathlib as p, formats.pictures.decode as d; d.decode(p.Path(sys.argv[1]))"
    ran = subprocess.run(
        [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True
    )
    assert "UsageError" in ran.stderr and ran.stderr.startswith("Traceback")


# colours that are no levels


def heat(name: str, share: float = 0.5) -> np.ndarray:
    """uint8 (40, 60, 3): a bump on so much of a picture, in the colours of a map of colours."""
    import matplotlib

    y, x = np.mgrid[:40, :60]
    bump = np.exp(-((x - 20) ** 2 + (y - 15) ** 2) / (600 * share))
    return np.uint8(255 * matplotlib.colormaps[name](bump)[..., :3])


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp"])
@pytest.mark.parametrize("name", ["jet", "viridis", "hot", "bone", "gray"])
def test_colours_of_a_map_are_refused(tmp_path, name, ending):
    path = save(tmp_path / f"a.{ending}", heat(name))
    if name == "gray":
        assert 250 < decode_map(path).max() <= 255
        return
    said = "it is coloured, and a heat map's colours are no levels; save the numbers that it shows"
    assert refusal_of(path, decode_map, path) == f"{said}, as grey levels or as .npy"


@pytest.mark.parametrize(("coloured", "refused"), [(1, False), (12, True)])
def test_few_coloured_pixels_may_be_points(tmp_path, coloured, refused):
    levels = np.zeros((40, 60, 3), np.uint8)  # 2400 pixels, of which 0.1 % are 2
    levels[0, :coloured] = (255, 0, 0)
    path = save(tmp_path / "a.png", levels)
    if refused:
        assert "it is coloured" in refusal_of(path, decode_map, path)
    else:
        assert np.count_nonzero(decode_map(path)) == coloured


def test_a_heat_map_over_its_picture_is_refused(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 1), dtype=np.uint8)
    path = save(tmp_path / "a.png", np.uint8(0.7 * picture + 0.3 * heat("jet", 0.01)))
    assert "it is coloured" in refusal_of(path, decode_map, path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "P", "LA"])
def test_grey_levels_may_be_stored_in_colour(tmp_path, mode):
    levels = heat("gray")[..., 0]
    stored = Image.fromarray(levels).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    path = save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"), stored)
    np.testing.assert_allclose(decode_map(path), levels, atol=6 if mode == "CMYK" else 0)


# pictures of more pixels than are read


@pytest.fixture
def few(monkeypatch):
    """Read 4000 pixels at most."""
    monkeypatch.setattr(decoding, "PIXELS", 4000)
    monkeypatch.setattr(decoding, "most", 4000)


@pytest.mark.parametrize("value", [1, 6])
def test_a_large_jpeg_comes_at_its_own_smaller_scale(tmp_path, few, value):
    levels = np.full((75, 125), 90, np.uint8)  # a half of it has 2394 pixels
    path = save(tmp_path / "a.jpg", levels, exif=orientation(value))
    turned = slice(None, None, -1 if value == 6 else 1)
    assert shape(path) == decode_whole(path).shape[:2] == (75, 125)[turned]
    assert decode(path).shape[:2] == (38, 63)[turned]
    assert (decode_whole(path) == 90).all()


def test_what_is_at_the_limit_is_read_whole(tmp_path, few):
    for name in ("a.jpg", "a.png"):
        path = save(tmp_path / name, np.zeros((50, 80), np.uint8))
        assert decode(path).shape[:2] == (50, 80)


def test_more_pixels_may_be_allowed_but_change_no_jpeg(tmp_path, few):
    large = [save(tmp_path / name, np.zeros((50, 81), np.uint8)) for name in ("a.png", "a.jpg")]
    said = "50 pixels are 0 million, at most 0 million are read; make it smaller, or allow"
    assert refusal_of(large[0], decode, large[0]) == f"81x{said} --max-pixels 4050"
    allow(4050)
    assert [decode(path).shape[:2] for path in large] == [(50, 81), (25, 41)]
    allow(0)
    assert "--max-pixels 4050" in refusal_of(large[0], decode, large[0])
