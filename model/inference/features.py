"""A frozen encoder's features, computed once and kept on disk.

A folder for each fingerprint, in it a .npy for each picture, named by the digest of its pixels.
After the array a .npy ends in the CRC-32 of all before it; NumPy reads it nevertheless.
"""

import hashlib
import io
import json
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from errors import UsageError
from model.training.trainer import Share, distributed

_CHECK = 4  # bytes of the checksum
_DOUBTED = "damaged"  # lies in a folder where a file was found so, until all of it is checked
_HEADER = 1024  # as many bytes hold a .npy's header


def fingerprint(encoder: keras.Model, size: tuple[int, int], *extra: object) -> str:
    """16 hex digits of all that decides an encoder's features but the picture: its layers and what
    connects them, the bytes of its weights, the types that it computes in, the input's size, the
    libraries' versions and the kind of device. `extra`: what else does; its text counts."""
    versions = (keras.__version__, keras.backend.backend(), tf.__version__)
    kind = tf.DeviceSpec.from_string(encoder.weights[0].value.device).device_type
    known = (structure(encoder), tuple(size), versions, kind, extra)
    digest = hashlib.sha256(repr(known).encode())
    for weight in encoder.weights:
        values = np.asarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]


def structure(encoder: keras.Model) -> str:
    """A functional model's layers, in JSON, under their places in place of their names: Keras
    numbers names by what else was built before."""
    config = json.loads(encoder.to_json())["config"]
    places = {layer["name"]: f"#{place}" for place, layer in enumerate(config["layers"])}

    def renamed(node):
        if isinstance(node, dict):
            return {key: renamed(value) for key, value in node.items()}
        if isinstance(node, list):
            return [renamed(value) for value in node]
        return places.get(node, node) if isinstance(node, str) else node

    parts = {key: renamed(config[key]) for key in ("layers", "input_layers", "output_layers")}
    return json.dumps(parts, sort_keys=True)


def lacking(folder: Path, digests: Sequence[str]) -> list[int]:
    """The places of pictures, each named once, whose features are not in the folder. What is
    damaged there goes first, where `read` came upon some: then every file is read and checked."""
    places = {place(folder, digest): index for index, digest in reversed([*enumerate(digests)])}
    if (folder / _DOUBTED).exists():
        with ThreadPoolExecutor() as pool:
            list(pool.map(remove_damaged, places))
        (folder / _DOUBTED).unlink()
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else ()
    return sorted(index for path, index in places.items() if path.name not in there)


def remove_damaged(path: Path) -> None:
    """Removes a file that is not whole, and says so."""
    try:
        content(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        logging.warning("%s: %s; made anew", path, reason(error))
        path.unlink(missing_ok=True)


def fill(
    strategy: tf.distribute.Strategy,
    encoder: keras.Model,
    make: Callable[[Share], tf.data.Dataset],
    digests: Sequence[str],
    folder: Path,
) -> None:
    """Computes and keeps the features of pictures.

    Args:
        encoder: image (B, H, W, 3) -> (B, h, w, C).
        make: share -> batches of image, id (an index into digests) and weight (0 for filling), as
            trainer.Data has them. Each worker computes all: its folder may be its own.
        digests: of the pictures, see `lacking`.
        folder: made where it is not there. Others may fill it at the same time.

    Raises:
        UsageError: the disk is full, before the first picture where that can be foreseen, or the
            folder cannot be written to; nothing half written stays.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_space(encoder, len(digests), folder)
        for index, array in tqdm(
            encoded(strategy, encoder, make), total=len(digests), disable=None
        ):
            save(place(folder, digests[index]), array)
    except OSError as error:
        raise UsageError(f"{folder}: no features can be kept there: {reason(error)}") from None


def check_space(encoder: keras.Model, count: int, folder: Path) -> None:
    """Raises UsageError where the features of so many pictures are more than the disk has room."""
    needed = count * np.prod(encoder.output.shape[1:]) * tf.as_dtype(encoder.output.dtype).size
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"{folder}: the features of {count} pictures need {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free"
        )


def encoded(
    strategy: tf.distribute.Strategy, encoder: keras.Model, make: Callable[[Share], tf.data.Dataset]
) -> Iterator[tuple[int, np.ndarray]]:
    """Each picture's id and its features (h, w, C), in the type that the encoder gives."""

    def replica(batch):
        return (
            encoder(keras.ops.cast(batch["image"], "float32"), training=False),
            batch["id"],
            batch["weight"],
        )

    step = tf.function(lambda batch: strategy.run(replica, (batch,)))
    alone = (0, 1, len(strategy.extended.worker_devices))
    for batch in distributed(strategy, lambda _: make(alone)):
        for parts in zip(*map(strategy.experimental_local_results, step(batch)), strict=True):
            rows = zip(*(part.numpy() for part in parts), strict=True)
            yield from ((int(index), array) for array, index, weight in rows if weight > 0)


def place(folder: Path, digest: str) -> Path:
    """The file of a picture's features; ValueError where all without a digest would share one."""
    if not digest:
        raise ValueError("a picture without a digest")
    return folder / f"{digest}.npy"


def save(path: Path, array: np.ndarray) -> None:
    """Writes the array in its own bits, in one piece; bfloat16, which .npy does not know, as
    uint16."""
    stream = io.BytesIO()
    np.save(stream, array.view(np.uint16) if array.dtype.name == "bfloat16" else array)
    check = zlib.crc32(stream.getbuffer()).to_bytes(_CHECK, "little")
    part = path.with_name(f"{path.stem}.{secrets.token_hex(4)}.part")  # others write theirs
    try:
        part.write_bytes(stream.getvalue() + check)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def content(path: Path) -> memoryview:
    """The bytes that `save` checked; ValueError where they are others, or not all."""
    stored = memoryview(path.read_bytes())
    array, check = stored[:-_CHECK], stored[-_CHECK:]
    if not array or zlib.crc32(array) != int.from_bytes(check, "little"):
        raise ValueError("damaged, its checksum is another")
    return array


def read(folder: Path, digest: str) -> np.ndarray:
    """A picture's features (h, w, C), float32 or float16; those of bfloat16 in float32, exact.

    Raises:
        UsageError: they are not there, or damaged.
    """
    path = place(folder, digest)
    try:
        stored = content(path)
    except (OSError, ValueError) as error:
        with suppress(OSError):
            (folder / _DOUBTED).touch()
        raise UsageError(f"{path}: {reason(error)}; the run, started again, makes it") from None
    # np.load reads a stream in pieces, which takes six times as long.
    header = io.BytesIO(stored[:_HEADER])
    np.lib.format.read_magic(header)
    shape, _, kind = np.lib.format.read_array_header_1_0(header)
    array = np.frombuffer(stored, kind, offset=header.tell()).reshape(shape)
    if kind != np.uint16:
        return array
    wide = array.astype(np.uint32)  # the upper half of a float32 is a bfloat16
    wide <<= 16
    return wide.view(np.float32)


def reason(error: Exception) -> str:
    """Why a file cannot be read or written, in one line without its name."""
    return (getattr(error, "strerror", None) or str(error)).lower()
