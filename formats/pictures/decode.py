"""Pictures -> the RGB that a person sees; maps -> grey levels. Pillow, for every format of files.

One decoder for training, validation and test: TensorFlow's reads no PPM, ignores the EXIF
orientation and cuts 16 bits to 8, and two decoders would give two pictures of one file.
"""

import ctypes
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from errors import UsageError

# Known by their content, whatever their name says. Others Pillow would take to other programs.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "WEBP", "TIFF", "AVIF")
# Two screens of 8K, while a WebP of 1.2 kB may unpack to 268 million. A picture takes up to 26
# bytes a pixel on its way (WebP with transparency).
PIXELS = 2**26
ORIENTATION = 0x0112  # EXIF's tag
SWAPPED = (5, 6, 7, 8)  # its values for which height and width are
WIDE = ("I;16", "I;16B", "I;16L", "I", "F")
DAMAGED = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError)
DAMAGED += (struct.error, MemoryError, AssertionError)

most = PIXELS  # what `allow` may raise, though not for JPEGs: those have smaller scales
Image.MAX_IMAGE_PIXELS = None  # in place of Pillow's limit, which knows no scales
TINT, TINTED = 16, 1e-3  # levels between the channels of a grey pixel; the share that may have more
# What cannot be read is an error; a damaged description of a picture that can is no one's concern.
warnings.filterwarnings("ignore", module="PIL")
# libtiff writes its own lines on stderr, beside the error that Pillow then raises. Looked for in
# Pillow's library it is found among those that this one needs, where it is not built in.
with suppress(OSError, AttributeError):
    ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


def decode(path: Path) -> np.ndarray:
    """uint8 (height, width, 3) RGB: upright by EXIF, transparency on white, first frame.

    A JPEG of more than PIXELS pixels comes at a half, a quarter or an eighth of its size, by its
    own scaled transform.

    Raises:
        UsageError: the file is no picture, a damaged one, or one of more pixels than are read.
    """
    with upright(path) as picture:
        return seen(picture)


def decode_whole(path: Path) -> np.ndarray:
    """uint8 (height, width, 3) of a picture's own shape, to which one that `decode` gives at a
    smaller scale is enlarged; raises as decode."""
    pixels, own = decode(path), shape(path)
    if pixels.shape[:2] == own:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(own[::-1]))


def decode_map(path: Path) -> np.ndarray:
    """float32 (height, width) >= 0: the grey levels of a fixation or saliency map.

    Levels of 16 and 32 bits stay what they are. Where a map is transparent it shows nothing: 0.

    Raises:
        UsageError: as decode; or it is coloured, and colours are no levels.
    """
    with upright(path) as picture:
        return levels(path, picture)


def decode_levels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The grey levels of a map, as decode_map gives them, and what they are known by: the picture
    as decode gives it, or the levels where these are more than that shows."""
    with upright(path) as picture:
        found = levels(path, picture)
        more = picture.mode in WIDE or picture.has_transparency_data
        return found, found if more else seen(picture)


def seen(picture: Image.Image) -> np.ndarray:
    """uint8 (height, width, 3), what a person sees of an upright picture."""
    if picture.mode in WIDE:
        picture = Image.fromarray(eight_bits(wide(picture)))
    picture = opaque(picture, "white")
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def levels(path: Path, picture: Image.Image) -> np.ndarray:
    """float32 (height, width), the levels of an upright map; see decode_map."""
    return np.float32(
        wide(picture) if picture.mode in WIDE else grey(path, opaque(picture, "black"))
    )


def allow(pixels: int) -> None:
    """Have pictures of so many pixels read from now on, where that is more than usual."""
    global most
    most = max(PIXELS, pixels)


def shape(path: Path) -> tuple[int, int]:
    """Height and width of the picture that `decode` gives, from the file's header alone.

    Raises:
        UsageError: the file is no picture.
    """
    with opened(path) as picture:
        return picture.size if lies(picture) else picture.size[::-1]


def lies(picture: Image.Image) -> bool:
    """Whether a picture, not read yet, has its sides swapped."""
    # Pillow gives a TIFF's size as its own tag has it seen, any other's as it is stored.
    own = picture.tag_v2.get(ORIENTATION) if picture.format == "TIFF" else None
    return picture.getexif().get(ORIENTATION) in SWAPPED and own not in SWAPPED


@contextmanager
def upright(path: Path) -> Iterator[Image.Image]:
    """The whole first frame, turned as its EXIF orientation says; see decode."""
    with opened(path) as picture:
        check_rows(picture)
        picture.draft(None, scaled(picture))  # nothing but of a JPEG
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        yield picture


def scaled(picture: Image.Image) -> tuple[int, int]:
    """The width and height, as stored, at which a JPEG has no more than PIXELS pixels."""
    pixels = picture.width * picture.height
    scale = next((s for s in (1, 2, 4) if pixels <= PIXELS * s**2), 8)
    return picture.width // scale, picture.height // scale


def check_rows(picture: Image.Image) -> None:
    """Raises ValueError for a TIFF whose strips are fewer than its rows: Pillow leaves them black,
    and a file of some bytes becomes as large a picture as its header says."""
    if picture.format == "TIFF":
        boxes = [tile[1] for tile in picture.tile]
        held = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
        if held < picture.width * picture.height:
            raise ValueError(f"it has {held} of {picture.width * picture.height} pixels")


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture file; what is wrong with it, or is found to be while it is in use, becomes a
    UsageError."""
    try:
        # From an open file, not by its name: Pillow maps a TIFF that it knows by name into memory,
        # in the shape of its turned self, and rows run into one another.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
            said = too_large(*picture.size, most)
            if said and picture.format not in ("JPEG", "MPO"):
                raise ValueError(said)
            yield picture
    except DAMAGED as error:
        raise UsageError(f"{path}: {reason(path, error)}") from None


def too_large(width: int, height: int, most: int) -> str:
    """Return why a picture of more than `most` pixels is not read, with the cure; "" of others."""
    if width * height <= most:
        return ""
    return (
        f"{width}x{height} pixels are {width * height / 1e6:.0f} million, at most "
        f"{most / 1e6:.0f} million are read; make it smaller, or allow --max-pixels "
        f"{width * height}"
    )


def reason(path: Path, error: Exception) -> str:
    """Why a file cannot be read, in one line without its name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "not a picture, or one damaged at its start; readable are " + ", ".join(FORMATS)
    return " ".join(str(error).split()) or type(error).__name__


def opaque(picture: Image.Image, ground: str) -> Image.Image:
    """The picture on a ground of one colour, where it lets one through."""
    if picture.mode == "P" and picture.palette is None:
        raise ValueError("its colours are numbers in a palette that is not there")
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture)


def grey(path: Path, picture: Image.Image) -> Image.Image:
    """The picture in grey; raises UsageError where that is not what it shows.

    A grey picture may be stored in colour, and compression leaves faint hues; few coloured pixels
    may be points."""
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    red, green, blue = (np.asarray(band) for band in picture.convert("RGB").split())
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    if (spread > TINT).mean() > TINTED:
        raise UsageError(
            f"{path}: it is coloured, and a heat map's colours are no levels; save the numbers "
            "that it shows, as grey levels or as .npy"
        )
    return picture.convert("L")


def wide(picture: Image.Image) -> np.ndarray:
    """The levels (height, width) of a grey picture of more than 8 bits, in its own type."""
    levels = np.asarray(picture)
    if not (np.isfinite(levels).all() and levels.min() >= 0):
        raise ValueError("some of its levels are negative or not finite")
    return levels


def eight_bits(levels: np.ndarray) -> np.ndarray:
    """uint8 of wider grey levels, scaled by their range: of 16 bits, 65535 becomes 255.

    What a picture of floating-point numbers or of 32 bits calls white is known nowhere: the
    smallest usual range (1, 255, 65535) that holds its maximum, else the maximum.
    """
    usual = (1, 255, 65535) if levels.dtype.kind == "f" else (65535,)
    top = next((white for white in usual if levels.max() <= white), levels.max())
    return np.uint8(np.round(levels / np.float64(top) * 255))
