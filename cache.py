"""What can be made again, kept on disk: arrays by digest, a file for each.

A file is written beside its place and renamed, so that any number of runs and workers fill and read
one folder at once. It ends in the CRC-32 of what comes before, which every reading checks.
"""

import errno
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from absl import logging

CHECK = 4  # bytes of the CRC-32
ROOM = 0.8  # as much of what is free may be taken: others write too


class Rows:
    """Arrays by digest in a folder; what shape and type they have its name has to decide."""

    def __init__(self, folder: Path):
        self.folder, self.damage_said = folder, False

    def place(self, digest: str) -> Path:
        """Return the file of a row; ValueError where all without a digest would share one."""
        if not digest:
            raise ValueError("a row without a digest")
        return self.folder / digest[:2] / digest

    def lacking(self, digests: Iterable[str]) -> list[str]:
        """Return those of the digests, each once, that have no row, whole or not."""
        return [digest for digest in dict.fromkeys(digests) if not self.place(digest).exists()]

    def write(self, digest: str, array: np.ndarray) -> None:
        """Write a row, whole or not at all; OSError where the disk does not take it."""
        file = self.place(digest)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{digest}.{secrets.token_hex(4)}.part")  # others write theirs
        try:
            content = array.tobytes()
            part.write_bytes(content + zlib.crc32(content).to_bytes(CHECK, "little"))
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    def read(self, digest: str, into: np.ndarray) -> bool:
        """Read a row into an array in one piece; return whether it holds what was written."""
        values, check = into.view(np.uint8), bytearray(CHECK)  # not all types are buffers
        try:
            with self.place(digest).open("rb", buffering=0) as file:
                os.readv(file.fileno(), [values, check])
        except OSError:
            return False
        return zlib.crc32(values) == int.from_bytes(check, "little")

    def get(self, digest: str, into: np.ndarray, make: Callable[[], np.ndarray]) -> None:
        """Read a row into an array in one piece, or make it anew and write it where that fails."""
        if self.read(digest, into):
            return
        if not self.damage_said:
            self.damage_said = True
            logging.warning("%s: damaged or gone; what is so is made anew", self.place(digest))
        into[...] = make()
        with suppress(OSError):  # the numbers are right all the same
            self.write(digest, into)

    def check_room(self, needed: int) -> None:
        """Raise OSError where so many bytes are more than may be taken of what the disk has."""
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if needed > ROOM * free:
            why = f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB free"
            raise OSError(errno.ENOSPC, why, str(self.folder))
