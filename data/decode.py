"""Pictures -> the RGB that a person sees; maps -> grey levels. Pillow, for every format of files.

One decoder for training, validation and test: TensorFlow's reads no PPM, ignores the EXIF
orientation and cuts 16 bits to 8, and two decoders would give two pictures of one file.
"""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from config import UsageError
from data.hdf5 import Stored

Picture = Path | Stored

# Known by their content, whatever their name says. Others Pillow would take to other programs.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "WEBP", "TIFF")
ORIENTATION = 0x0112  # EXIF's tag; from 5 on, height and width are swapped
WIDE = ("I;16", "I;16B", "I;16L", "I", "F")
DAMAGED = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError)
DAMAGED += (struct.error, MemoryError, Image.DecompressionBombError)

Image.MAX_IMAGE_PIXELS = 2**27  # Pillow refuses twice as many: web pages are tall, a bomb is larger
# What cannot be read is an error; a damaged description of a picture that can is no one's concern.
warnings.filterwarnings("ignore", module="PIL")


def decode(path: Picture) -> np.ndarray:
    """uint8 (height, width, 3) RGB: upright by EXIF, transparency on white, first frame.

    Raises:
        UsageError: the file is no picture or a damaged one.
    """
    with upright(path) as picture:
        if picture.mode in WIDE:
            picture = Image.fromarray(eight_bits(wide(picture)))
        return np.asarray(opaque(picture, "white").convert("RGB"))


def decode_map(path: Picture) -> np.ndarray:
    """float32 (height, width) >= 0: the grey levels of a fixation or saliency map.

    Levels of 16 and 32 bits stay what they are. Where a map is transparent it shows nothing: 0.

    Raises:
        UsageError: the file is no picture or a damaged one.
    """
    with upright(path) as picture:
        if picture.mode in WIDE:
            return np.float32(wide(picture))
        return np.float32(opaque(picture, "black").convert("L"))


def shape(path: Picture) -> tuple[int, int]:
    """Height and width of the picture that `decode` gives, from the file's header alone.

    Raises:
        UsageError: the file is no picture.
    """
    if isinstance(path, Stored):
        return path.shape
    with opened(path) as picture:
        # Pillow gives a TIFF's size as it is seen, any other's as it is stored.
        turned = picture.format != "TIFF" and picture.getexif().get(ORIENTATION, 1) >= 5
        return picture.size if turned else picture.size[::-1]


@contextmanager
def upright(path: Picture) -> Iterator[Image.Image]:
    """The whole first frame, turned as its EXIF orientation says."""
    if isinstance(path, Stored):
        yield Image.fromarray(path.pixels())
        return
    with opened(path) as picture:
        picture.load()
        yield ImageOps.exif_transpose(picture)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture file; what is wrong with it, or is found to be while it is in use, becomes a
    UsageError."""
    try:
        # From an open file, not by its name: Pillow maps a TIFF that it knows by name into memory,
        # in the shape of its turned self, and rows run into one another.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
            yield picture
    except DAMAGED as error:
        raise UsageError(f"{path}: {reason(path, error)}") from None


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
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture)


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
