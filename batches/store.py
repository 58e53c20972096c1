"""Pictures and densities as a model's input has them, made once and kept on disk for every epoch.

A file for each fingerprint of samples and input size, with a place of equal length for each sample;
beside it another with the CRC-32 of each place, which every reading checks. What fits in memory the
operating system keeps there.
"""

import errno
import hashlib
import os
import shutil
import weakref
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import PIL
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from data.samples import Sample
from formats.pictures.images import fitted

ROOM = 0.8  # as much of what is free may be taken: others write too
CHECK = np.dtype("<u8")  # of a place: a CRC-32, and above it 1 where something was written
WRITTEN = 1 << 32
KINDS = {"image": (np.dtype(np.uint8), 3), "density": (np.dtype(np.float32), 1)}


Make = Callable[[Sample], dict[str, np.ndarray]]  # a sample's arrays by name


class Store:
    """Arrays of samples at the shape that fits an input size: those named of image (h, w, 3) uint8
    and density (h, w, 1) float32, as `make` gives them.

    Raises (when it is made):
        OSError: the disk has no room, or cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        samples: Sequence[Sample],
        size: tuple[int, int],
        names: Sequence[str],
        make: Make,
    ):
        self.samples = sorted(samples, key=lambda sample: (sample.name, sample.digest))
        self.size, self.names, self.make = tuple(size), tuple(names), make
        self.places = {sample: place for place, sample in enumerate(self.samples)}
        self.length = self._length(size)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{self.fingerprint}.pictures"
        self.rows = self._opened(self.path, len(self.samples) * self.length)
        checks = self.path.with_suffix(".checks")
        self.checks = self._opened(checks, len(self.samples) * CHECK.itemsize)
        self.damage_said = False

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all that decides what is kept."""
        versions = (PIL.__version__, tf.__version__, self.size, self.names)
        digest = hashlib.sha256(repr(versions).encode())
        for sample in self.samples:
            known = sample.content if "density" in self.names else sample.digest
            digest.update(repr((known, sample.shape)).encode())
        return digest.hexdigest()[:16]

    def fill(self) -> None:
        """Makes what was never written, or was cut off; what is damaged within, `read` finds.

        Raises:
            UsageError: of `make`, a picture cannot be read.
            OSError: it cannot be written.
        """
        lacking = self._lacking()
        if lacking:
            logging.info("fitting %d pictures to %dx%d", len(lacking), *self.size)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            made = pool.map(lambda row: self._write(row, self.make(self.samples[row])), lacking)
            for _ in tqdm(made, total=len(lacking), disable=None, leave=False):
                pass

    def read(self, sample: Sample, into: dict[str, np.ndarray] | None = None) -> dict:
        """A sample's arrays by name: those of `into`, each in one piece, or new ones. A place that
        does not hold what was written there is made anew.

        Raises:
            UsageError: of `make`, its picture cannot be read.
        """
        place = self.places[sample]
        found = into or self._empty(fitted(sample.shape, self.size))
        if not self._intact(place, [found[name] for name in self.names]):
            for name, array in self._mended(place).items():
                found[name][...] = array
        return found

    def _intact(self, place: int, parts: list[np.ndarray]) -> bool:
        """Reads a place into arrays; whether it held what was written there."""
        try:
            check = os.pread(self.checks, CHECK.itemsize, place * CHECK.itemsize)
            length = os.preadv(self.rows, parts, place * self.length)
        except OSError:
            return False
        crc = 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        return length == sum(part.nbytes for part in parts) and check == checked(crc)

    def _mended(self, place: int) -> dict[str, np.ndarray]:
        """Makes a damaged place's arrays anew, and writes them where the disk takes them."""
        if not self.damage_said:
            self.damage_said = True
            logging.warning(
                "%s: damaged, first at '%s'; what is damaged is made anew",
                self.path, self.samples[place].name,
            )  # fmt: skip
        made = self.make(self.samples[place])
        with suppress(OSError):  # the numbers are right all the same
            self._write(place, made)
        return made

    def _lacking(self) -> list[int]:
        """The places where nothing was written, or which the file no longer reaches."""
        stored = os.pread(self.checks, len(self.samples) * CHECK.itemsize, 0)
        checks = np.zeros(len(self.samples), CHECK)
        whole = len(stored) // CHECK.itemsize
        checks[:whole] = np.frombuffer(stored, CHECK, whole)
        ends = np.arange(len(self.samples)) * self.length
        ends += [self._length(fitted(sample.shape, self.size)) for sample in self.samples]
        there = (checks > 0) & (ends <= os.fstat(self.rows).st_size)
        return np.flatnonzero(~there).tolist()

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
        os.pwrite(self.checks, checked(zlib.crc32(row)), place * CHECK.itemsize)

    def _opened(self, path: Path, length: int) -> int:
        file = opened(path, length)
        # Not at the program's end: a pipeline may still be reading.
        weakref.finalize(self, os.close, file).atexit = False
        return file


def checked(crc: int) -> bytes:
    """What lies in the file of checks for a place with a CRC-32."""
    return (crc | WRITTEN).to_bytes(CHECK.itemsize, "little")


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
