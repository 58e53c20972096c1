"""Picture files -> the RGB that a person sees; maps -> grey levels. Pillow, for every format.

One decoder for training, validation and test: TensorFlow's reads no PPM, ignores the EXIF
orientation and cuts 16 bits to 8, and two decoders would give two pictures of one file.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from config import UsageError

Image.MAX_IMAGE_PIXELS = 2**28  # web pages are tall; a bomb is larger
WIDE = ("I;16", "I;16B", "I;16L", "I", "F")


def decode(path: Path) -> np.ndarray:
    """uint8 (height, width, 3) RGB: upright by EXIF, transparency on white, first frame.

    Raises:
        UsageError: the file is no picture or a damaged one.
    """
    with upright(path) as picture:
        return np.asarray(colours(picture))


def decode_map(path: Path) -> np.ndarray:
    """float32 (height, width) >= 0: the grey levels of a fixation or saliency map."""
    with upright(path) as picture:
        if picture.mode in WIDE:
            return np.asarray(picture, np.float32)
        return np.asarray(picture.convert("L"), np.float32)


def upright(path: Path) -> Image.Image:
    """The whole first frame, turned as its EXIF orientation says."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return ImageOps.exif_transpose(picture)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = "no bytes" if path.stat().st_size == 0 else " ".join(str(error).split())
        raise UsageError(f"{path}: {reason}") from None


def colours(picture: Image.Image) -> Image.Image:
    """The picture in 8-bit RGB; what is transparent lies on white."""
    if picture.mode in WIDE:
        picture = Image.fromarray(eight_bits(np.asarray(picture)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def eight_bits(levels: np.ndarray) -> np.ndarray:
    """uint8 of wider grey levels, scaled by the range of their type: 65535 becomes 255.

    Floating-point pictures have no range of a type: 0..1 is taken, or 0..their maximum.
    """
    top = max(float(levels.max()), 1.0) if levels.dtype.kind == "f" else 65535.0
    return np.uint8(np.clip(np.round(levels / top * 255.0), 0, 255))
