"""Archives into the folders of a corpus: what a pattern takes, and nothing outside the folder.

An archive is looked through from end to end before anything of it is written.
"""

import bz2
import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

from tqdm import tqdm

from download import DownloadError

# Pictures hardly shrink (OSIE's archive by nothing, blank fixation maps some 20 times), so what
# is both big and shrank 200 times is no corpus; SALICON, the largest, has some 40 000 members.
RATIO = 200
FREE = 1 << 30  # bytes: below this the ratio does not matter
MEMBERS = 500_000
CHUNK = 1 << 20
HEADER = 1 << 20  # bytes of one tar header, which tarfile holds in memory

COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
CORRUPT = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError)
NO_FILE = "a link or a device"
LITTER = {".ds_store", "thumbs.db"}  # what file managers leave


@dataclass(frozen=True)
class _Member:
    """A file or folder of an archive; `trouble` says why it is refused, if it is."""

    name: str
    size: int
    is_file: bool
    trouble: str | None
    open: Callable[[], IO[bytes]]


def placing(take: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return what tells where a member of an archive goes: a path below the corpus, or None where
    no pattern takes it.

    Each pattern, such as "Stimuli/*/*.jpg", is matched, component by component and in any case of
    letters, against the end of the member's path; the first that fits wins. What is below its
    first component with a wildcard is kept below its folder: with {"Stimuli/*/*.jpg": "stimuli/"}
    trainSet/Stimuli/Action/001.jpg goes to stimuli/Action/001.jpg.
    """
    # A corpus has few folders, and many files in each.
    rules = lru_cache(partial(_rules, take))

    def place(member: str) -> str | None:
        head, _, name = member.replace("\\", "/").rpartition("/")
        if name in ("", ".", "..", "__MACOSX") or name.startswith("._") or name.lower() in LITTER:
            return None
        for fits, folder in rules(head):
            if fits(name.lower()):
                return folder + name
        return None

    return place


def _rules(take: Mapping[str, str], head: str) -> list[tuple[Callable, str]]:
    """Return, for members in a folder, what fits their names in small letters, and what then comes
    before the name."""
    folders = _parts(head)
    if ".." in folders or "__MACOSX" in folders:
        return []
    rules = []
    for pattern, to in take.items():
        *outer, last = pattern.split("/")
        tail = folders[max(len(folders) - len(outer), 0) :]
        if len(tail) == len(outer) and all(map(_fits, tail, outer)):
            wild = (i for i, part in enumerate(outer) if re.search(r"[*?\[]", part))
            kept = tail[next(wild, len(outer)) :]
            fits = re.compile(translate(last.lower())).match
            rules.append((fits, "/".join([*_parts(to), *kept, ""])))
    return rules


def unpack(archive: Path, folder: Path, take: Mapping[str, str]) -> list[str]:
    """Extract what `take` takes (see placing) of a zip or tar archive; return the paths, sorted.

    Files get the usual permissions, not the archive's.

    Raises:
        DownloadError: before anything is written, for an archive with a member that leaves the
            folder, a link, a device, encryption, two files for one place, a name to take that
            cannot be printed, more than MEMBERS members, or more than FREE bytes that are also more
            than RATIO times its own size; and for a damaged one: of that, files may be left in
            `folder`.
    """
    with _reported(archive):
        places, size = _survey(archive, take)
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(folder, places, size)
        bar = tqdm(desc=archive.name, total=size, unit="B", unit_scale=True, disable=None)
        with bar, closing(_members(archive)) as members:
            for member in members:
                if member.is_file and member.name in places:
                    _extract(member, folder / places[member.name], bar)
    return sorted(places.values())


def _survey(archive: Path, take: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """Return the place of each member taken, and their size together; refuse what may do harm."""
    place, members_of = placing(take), {}
    files: list[str] = []
    total = size = 0
    with closing(_members(archive)) as members:
        for count, member in enumerate(members, 1):
            total += member.size
            _refuse(archive.stat().st_size, member, count, total)
            if not member.is_file:
                continue
            files.append(member.name)
            if target := place(member.name):
                if not target.isprintable():
                    named = f"its member {member.name!r} has a name that cannot be printed"
                    raise DownloadError(f"refused, {named}")
                if target in members_of:
                    both = f"{members_of[target]!r} and {member.name!r}"
                    raise DownloadError(f"{both} would both become {target!r}")
                members_of[target] = member.name
                size += member.size
    if not members_of:
        first = f", first {', '.join(map(repr, files[:3]))}" if files else ""
        names = " or ".join(map(repr, take))
        raise DownloadError(f"nothing in it is called {names}; it holds {len(files)} files{first}")
    return {name: target for target, name in members_of.items()}, size


def _refuse(packed: int, member: _Member, count: int, total: int) -> None:
    """Refuse a member that no honest archive of pictures holds, taken or not.

    Args:
        packed: the archive's own size in bytes; total: that of its first `count` members.
    """
    name = member.name
    leaves = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in _parts(name)
    if leaves or "\0" in name:
        raise DownloadError(f"refused, its member {name!r} would be written outside its folder")
    if member.trouble:
        raise DownloadError(f"refused, its member {name!r} is {member.trouble}")
    if count > MEMBERS:
        raise DownloadError(f"refused, it has more than {MEMBERS:,} members")
    if total > max(FREE, RATIO * packed):
        more = f"{total:,} or more, over {RATIO} times as many"
        raise DownloadError(f"refused, its {packed:,} bytes would become {more}")


def _check_room(folder: Path, places: dict[str, str], size: int) -> None:
    """Refuse to write over files, or more bytes than there is room for."""
    present = [target for target in places.values() if (folder / target).exists()]
    if present:
        raise DownloadError(
            f"{len(present)} of its files are in {folder} already, first {min(present)!r}; "
            "two archives must not hold the same file"
        )
    free = shutil.disk_usage(folder).free
    if size > free:
        room = f"{folder} has room for {free:,}; make room, or choose another disk"
        raise DownloadError(f"needs {size:,} bytes, {room}")


def _extract(member: _Member, target: Path, bar: tqdm) -> None:
    """Write a member to a new file; refuse one of another size than the archive states, against
    which the limits were held."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with member.open() as source, open(target, "xb") as file:
        while left >= 0 and (chunk := source.read(CHUNK)):
            left -= len(chunk)
            file.write(chunk)
            bar.update(len(chunk))
    if left:
        more = "more" if left < 0 else "fewer"
        raise DownloadError(f"damaged, {member.name!r} has {more} than its {member.size:,} bytes")


def _members(archive: Path) -> Iterator[_Member]:
    """Yield the members in the order of the archive; each can be opened until the next one is."""
    with open(archive, "rb") as file:
        head = file.read(8)
    if head.startswith(b"PK"):
        yield from _zip_members(archive)
        return
    opener = next((opens for magic, opens in COMPRESSED.items() if head.startswith(magic)), open)
    with opener(archive, "rb") as stream:
        with _open_tar(stream, head) as tar:
            yield from _tar_members(tar)
        _drain(stream)


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was made without Unix
            trouble = "encrypted" if info.flag_bits & 1 else None
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                trouble = NO_FILE
            is_file = not info.filename.endswith(("/", "\\"))
            opener = partial(file.open, info)
            yield _Member(info.filename, info.file_size, is_file, trouble, opener)


def _open_tar(stream: IO[bytes], head: bytes) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header)
    except tarfile.ReadError as error:
        raise DownloadError(
            "neither a zip nor a tar archive (plain or packed with gzip, bzip2 or xz), or damaged: "
            f"{error}; it begins with {head!r}"
        ) from error


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        trouble = None if info.isfile() or info.isdir() else NO_FILE
        yield _Member(info.name, info.size, info.isfile(), trouble, partial(tar.extractfile, info))


class _Header(tarfile.TarInfo):
    """A header that is a fault where it cannot be read, which tarfile takes for the archive's end.

    Nor may one be so long (a name of gigabytes) that reading it fills the memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "_Header":
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


def _drain(stream: IO[bytes]) -> None:
    """Read what pads the archive, because gzip and its like check their sum at the very end."""
    for _ in range(FREE // CHUNK):
        if not stream.read(CHUNK):
            return
    raise tarfile.ReadError(f"more than {FREE:,} bytes after its end")


@contextmanager
def _reported(archive: Path) -> Iterator[None]:
    """Raise every fault of the archive or the disk as a DownloadError that names the archive."""
    try:
        yield
    except DownloadError as error:
        raise DownloadError(f"{archive.name}: {error}") from error
    except NotImplementedError as error:
        raise DownloadError(
            f"{archive.name}: packed in a rare way ({error}); unpack it by hand"
        ) from error
    except (*CORRUPT, OSError) as error:
        # Without a number it is gzip's and bzip2's word for damage.
        if getattr(error, "errno", None):
            where = f"{error.strerror}: {error.filename or archive}"
            raise DownloadError(f"{archive.name}: {where}") from error
        raise DownloadError(f"{archive.name}: truncated or damaged ({error})") from error


def _parts(path: str) -> list[str]:
    """Return a path's components, parted by backslashes too, as Windows makes archives."""
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]


def _fits(part: str, pattern: str) -> bool:
    return fnmatchcase(part.lower(), pattern.lower())
