"""A frozen encoder's features, computed once and kept on disk by the digests of pictures."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cache import Rows
from errors import UsageError
from model.training.trainer import Share, distributed


class Features:
    """What an encoder, image (B, H, W, 3) -> (B, h, w, C), gives of pictures of a size, in a folder
    of caches; `name` says there whose features these are."""

    def __init__(self, cache: Path, name: str, encoder: keras.Model, size: tuple[int, int]):
        self.encoder = encoder
        folder = f"{name}-{size[0]}x{size[1]}-{fingerprint(encoder, size)}"
        self.rows = Rows(cache / "features" / folder)

    def fill(
        self,
        strategy: tf.distribute.Strategy,
        make: Callable[[Share], tf.data.Dataset],
        digests: Sequence[str],
    ) -> None:
        """Compute and keep the features of pictures.

        Args:
            make: share -> batches of image, id (an index into digests) and weight (0 for filling),
                as trainer.Data has them. Each worker computes all: its folder may be its own.
            digests: of the pictures, see `Rows.lacking`.

        Raises:
            UsageError: the disk is full, before the first picture where that can be foreseen, or
                the folder cannot be written to; nothing half written stays.
        """
        try:
            self.rows.check_room(len(digests) * self._empty().nbytes)
            features = encoded(strategy, self.encoder, make)
            for index, array in tqdm(features, total=len(digests), disable=None):
                self.rows.write(digests[index], array)
        except OSError as error:
            folder, why = self.rows.folder, (error.strerror or str(error)).lower()
            raise UsageError(f"{folder}: no features can be kept there: {why}") from None

    def read(self, digest: str, frame: Callable[[], np.ndarray]) -> np.ndarray:
        """Return a picture's features (h, w, C), in the type that the encoder gives.

        Args:
            frame: gives the picture (H, W, 3), of which they are made anew where they are damaged.
        """
        features = self._empty()
        self.rows.get(digest, features, lambda: self._alone(np.float32(frame()[None]))[0])
        return features

    def _empty(self) -> np.ndarray:
        kind = tf.as_dtype(self.encoder.output.dtype).as_numpy_dtype
        return np.empty(self.encoder.output.shape[1:], kind)

    @cached_property
    def _alone(self) -> Callable:
        """A graph, as `encoded` has it: step by step, bfloat16 is rounded more often."""
        return tf.function(lambda images: self.encoder(images, training=False))


def fingerprint(encoder: keras.Model, size: tuple[int, int], *extra: object) -> str:
    """Return 16 hex digits of all that decides an encoder's features but the picture: its layers as
    connected, its weights' bytes, the types that it computes in, the input's size, the libraries'
    versions and the kind of device. `extra`: what else does; its text counts."""
    versions = (keras.__version__, keras.backend.backend(), tf.__version__)
    kind = tf.DeviceSpec.from_string(encoder.weights[0].value.device).device_type
    facts = (structure(encoder), tuple(size), versions, kind, extra)
    digest = hashlib.sha256(repr(facts).encode())
    for weight in encoder.weights:
        values = np.asarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]


def structure(encoder: keras.Model) -> str:
    """Return a functional model's layers, in JSON, under their places in place of their names:
    Keras numbers names by what else was built before."""
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


def encoded(
    strategy: tf.distribute.Strategy, encoder: keras.Model, make: Callable[[Share], tf.data.Dataset]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each picture's id and its features (h, w, C), in the type that the encoder gives."""

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
