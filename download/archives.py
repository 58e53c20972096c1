"""The members of zip and tar archives, in order, and what each of them is."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from download import DownloadError

CHUNK = 1 << 20
PADDING = 1 << 30  # bytes after the last member
HEADER = 1 << 20  # bytes of one tar header, which tarfile holds in memory
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
CORRUPT = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError)
NO_FILE = "a link or a device"


@dataclass(frozen=True)
class Member:
    """A file or folder of an archive; `trouble` says why it is refused, if it is."""

    name: str
    size: int
    is_file: bool
    trouble: str | None
    open: Callable[[], IO[bytes]]


def members(archive: Path) -> Iterator[Member]:
    """Yield the members in the order of the archive; each can be opened until the next one is."""
    with open(archive, "rb") as file:
        head = file.read(8)
    if head.startswith(b"PK"):
        yield from zip_members(archive)
        return
    opener = next((opens for magic, opens in COMPRESSED.items() if head.startswith(magic)), open)
    with opener(archive, "rb") as stream:
        with open_tar(stream, head) as tar:
            yield from tar_members(tar)
        drain(stream)


def zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was made without Unix
            trouble = "encrypted" if info.flag_bits & 1 else None
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                trouble = NO_FILE
            is_file = not info.filename.endswith(("/", "\\"))
            opener = partial(file.open, info)
            yield Member(info.filename, info.file_size, is_file, trouble, opener)


def open_tar(stream: IO[bytes], head: bytes) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r:", tarinfo=Header)
    except tarfile.ReadError as error:
        raise DownloadError(
            "neither a zip nor a tar archive (plain or packed with gzip, bzip2 or xz), or damaged: "
            f"{error}; it begins with {head!r}"
        ) from error


def tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        trouble = None if info.isfile() or info.isdir() else NO_FILE
        yield Member(info.name, info.size, info.isfile(), trouble, partial(tar.extractfile, info))


class Header(tarfile.TarInfo):
    """A header that is a fault where it cannot be read, which tarfile takes for the archive's end.

    Nor may one be so long (a name of gigabytes) that reading it fills the memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "Header":
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        known = info.isfile() or info.isdir() or info.islnk() or info.issym() or info.isdev()
        if info.size < 0 or (not known and info.size > HEADER):
            raise tarfile.ReadError(f"a header of {info.size:,} bytes")
        return info


def drain(stream: IO[bytes]) -> None:
    """Read what pads the archive, because gzip and its like check their sum at the very end."""
    for _ in range(PADDING // CHUNK):
        if not stream.read(CHUNK):
            return
    raise tarfile.ReadError(f"more than {PADDING:,} bytes after its end")
