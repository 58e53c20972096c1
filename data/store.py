"""Pictures and densities as a model's input has them, made once and kept on disk for every epoch.

A file for each fingerprint of samples and input size, with a place of equal length for each sample;
beside it another with the CRC-32 of each place. What fits in memory the operating system keeps
there.
"""

import errno
import hashlib
import os
import shutil
import weakref
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import PIL
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from data.images import fitted
from data.samples import Sample

ROOM = 0.8  # as much of what is free may be taken: others write too
CHECK, WRITTEN = 8, 1 << 32  # bytes of a check: a CRC-32, and above it 1 where there is one
KINDS = {"image": (np.dtype(np.uint8), 3), "density": (np.dtype(np.float32), 1)}


class Store:
    """Arrays of samples at the shape that fits an input size: those named of image (h, w, 3) uint8
    and density (h, w, 1) float32.

    Raises (when it is made):
        OSError: the disk has no room, or cannot be written to.
    """

    def __init__(
        self, folder: Path, samples: Sequence[Sample], size: tuple[int, int], names: Sequence[str]
    ):
        self.samples = sorted(samples, key=lambda sample: (sample.name, sample.digest))
        self.size, self.names = tuple(size), tuple(names)
        self.places = {sample: place for place, sample in enumerate(self.samples)}
        self.length = self._length(size)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.fingerprint}.pictures"
        self.rows = self._opened(path, len(self.samples) * self.length)
        self.checks = self._opened(path.with_suffix(".checks"), len(self.samples) * CHECK)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all that decides what is kept."""
        versions = (PIL.__version__, tf.__version__, self.size, self.names)
        digest = hashlib.sha256(repr(versions).encode())
        for sample in self.samples:
            drawn = sample.density_map and sample.density_map.stat()
            known = (sample.digest, sample.shape, sample.sigma)
            known += (str(sample.density_map), drawn and (drawn.st_size, drawn.st_mtime_ns))
            digest.update(repr(known).encode())
            if "density" in self.names and sample.points is not None:
                digest.update(sample.points.tobytes())
        return digest.hexdigest()[:16]

    def fill(self, make: Callable[[Sample], dict[str, np.ndarray]]) -> None:
        """Makes what is lacking or damaged: `make` gives a sample's arrays by name.

        Raises:
            UsageError: of `make`, a picture cannot be read.
            OSError: it cannot be written.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sound = list(pool.map(self._sound, range(len(self.samples))))
            lacking = [place for place, whole in enumerate(sound) if not whole]
            if lacking:
                logging.info("fitting %d pictures to %dx%d", len(lacking), *self.size)
            made = pool.map(lambda place: self._write(place, make(self.samples[place])), lacking)
            for _ in tqdm(made, total=len(lacking), disable=None, leave=False):
                pass

    def read(self, sample: Sample, into: dict[str, np.ndarray] | None = None) -> dict:
        """A sample's arrays by name: those of `into`, each in one piece, or new ones."""
        found = into or self._empty(fitted(sample.shape, self.size))
        parts = [found[name] for name in self.names]
        os.preadv(self.rows, parts, self.places[sample] * self.length)
        return found

    def _empty(self, shape: tuple[int, int]) -> dict[str, np.ndarray]:
        """Arrays of a picture fitted to a shape."""
        kinds = {name: KINDS[name] for name in self.names}
        return {name: np.empty((*shape, depth), kind) for name, (kind, depth) in kinds.items()}

    def _length(self, shape: tuple[int, int]) -> int:
        """How many bytes the arrays of a picture fitted to a shape have."""
        kinds = [KINDS[name] for name in self.names]
        return shape[0] * shape[1] * sum(kind.itemsize * depth for kind, depth in kinds)

    def _write(self, place: int, arrays: dict[str, np.ndarray]) -> None:
        row = b"".join(arrays[name].astype(KINDS[name][0]).tobytes() for name in self.names)
        # A disk takes what it still has room for, and says how much that was.
        if os.pwrite(self.rows, row, place * self.length) < len(row):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        check = (zlib.crc32(row) | WRITTEN).to_bytes(CHECK, "little")
        os.pwrite(self.checks, check, place * CHECK)

    def _sound(self, place: int) -> bool:
        """Whether a place holds what was written there; a cut may leave it half done."""
        check = int.from_bytes(os.pread(self.checks, CHECK, place * CHECK), "little")
        if not check:
            return False
        length = self._length(fitted(self.samples[place].shape, self.size))
        return check == zlib.crc32(os.pread(self.rows, length, place * self.length)) | WRITTEN

    def _opened(self, path: Path, length: int) -> int:
        file = opened(path, length)
        # Not at the program's end: a pipeline may still be reading.
        weakref.finalize(self, os.close, file).atexit = False
        return file


def opened(path: Path, length: int) -> int:
    """A descriptor of a file for reading and writing that may become so long.

    Others may be filling it at the same time: they write the same.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    lacking = length - os.fstat(file).st_blocks * 512
    free = shutil.disk_usage(path.parent).free
    if lacking > ROOM * free:
        os.close(file)
        needed = f"{lacking / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB free"
        raise OSError(errno.ENOSPC, needed, str(path))
    return file
