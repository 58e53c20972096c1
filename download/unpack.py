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
    """What tells where a member of an archive goes: a path below the corpus, or None if no pattern
    takes it.

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
    """For members in a folder: what fits their names in small letters, and what then comes before
    the name."""
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
    """Extracts what `take` takes (see placing) of a zip or tar archive; returns the paths, sorted.

    Files get the usual permissions, not the archive's. Raises DownloadError, before anything is
    written, for an archive with a member that leaves the folder, a link, a device, encryption, two
    files for one place, a name to take that cannot be printed, more than MEMBERS members, or more
    than FREE bytes that are also more than RATIO times its own size; and for a damaged one: of
    that, files may be left in `folder`.
    """
    archive, folder = Path(archive), Path(folder)
    with _reported(archive):
        places, size = _survey(archive, take)
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(archive, folder, places, size)
        bar = tqdm(desc=archive.name, total=size, unit="B", unit_scale=True, disable=None)
        with bar, closing(_members(archive)) as members:
            for member in members:
                if member.is_file and member.name in places:
                    _extract(archive, member, folder / places[member.name], bar)
    return sorted(places.values())


def _survey(archive: Path, take: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """The place of each member taken, and their size together; refuses what may do harm."""
    place, owners = placing(take), {}
    files: list[str] = []
    total = size = 0
    with closing(_members(archive)) as members:
        for count, member in enumerate(members, 1):
            total += member.size
            _refuse(archive, member, count, total)
            if not member.is_file:
                continue
            files.append(member.name)
            if target := place(member.name):
                if not target.isprintable():
                    raise DownloadError(
                        f"{archive.name}: refused, its member {member.name!r} has a name that "
                        "cannot be printed"
                    )
                if target in owners:
                    both = f"{owners[target]!r} and {member.name!r}"
                    raise DownloadError(f"{archive.name}: {both} would both become {target!r}")
                owners[target] = member.name
                size += member.size
    if not owners:
        first = f", first {', '.join(map(repr, files[:3]))}" if files else ""
        raise DownloadError(
            f"{archive.name}: nothing in it is called {' or '.join(map(repr, take))}; "
            f"it holds {len(files)} files{first}"
        )
    return {name: target for target, name in owners.items()}, size


def _refuse(archive: Path, member: _Member, count: int, total: int) -> None:
    """Raises for a member that no honest archive of pictures holds, taken or not."""
    name = member.name
    leaves = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in _parts(name)
    if leaves or "\0" in name:
        raise DownloadError(
            f"{archive.name}: refused, its member {name!r} would be written outside its folder"
        )
    if member.trouble:
        raise DownloadError(f"{archive.name}: refused, its member {name!r} is {member.trouble}")
    if count > MEMBERS:
        raise DownloadError(f"{archive.name}: refused, it has more than {MEMBERS:,} members")
    packed = archive.stat().st_size
    if total > max(FREE, RATIO * packed):
        raise DownloadError(
            f"{archive.name}: refused, its {packed:,} bytes would become {total:,} or more, "
            f"over {RATIO} times as many"
        )


def _check_room(archive: Path, folder: Path, places: dict[str, str], size: int) -> None:
    there = [target for target in places.values() if (folder / target).exists()]
    if there:
        raise DownloadError(
            f"{archive.name}: {len(there)} of its files are in {folder} already, "
            f"first {min(there)!r}; two archives must not hold the same file"
        )
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DownloadError(
            f"{archive.name}: needs {size:,} bytes, {folder} has room for {free:,}; "
            f"make room, or choose another disk"
        )


def _extract(archive: Path, member: _Member, target: Path, bar: tqdm) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with member.open() as source, open(target, "xb") as file:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            file.write(chunk)
            bar.update(len(chunk))
    if left:  # the limits were held against the sizes that the archive states
        more = "more" if left < 0 else "fewer"
        raise DownloadError(
            f"{archive.name}: damaged, {member.name!r} has {more} than its {member.size:,} bytes"
        )


def _members(archive: Path) -> Iterator[_Member]:
    """The members in the order of the archive; each can be opened until the next is asked for."""
    with open(archive, "rb") as file:
        head = file.read(8)
    if head.startswith(b"PK"):
        yield from _zip_members(archive)
        return
    opener = next((way for magic, way in COMPRESSED.items() if head.startswith(magic)), open)
    with opener(archive, "rb") as stream:
        with _open_tar(archive, stream, head) as tar:
            yield from _tar_members(tar)
        _drain(stream)


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was made without Unix
            trouble = None
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                trouble = "a link or a device"
            elif info.flag_bits & 1:
                trouble = "encrypted"
            is_file = not info.filename.endswith(("/", "\\"))
            opener = partial(file.open, info)
            yield _Member(info.filename, info.file_size, is_file, trouble, opener)


def _open_tar(archive: Path, stream: IO[bytes], head: bytes) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header)
    except tarfile.ReadError as error:
        raise DownloadError(
            f"{archive.name}: neither a zip nor a tar archive (plain or packed with gzip, bzip2 or "
            f"xz), or damaged: {error}; it begins with {head!r}"
        ) from error


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        known = info.isfile() or info.isdir()
        trouble = None if known else "a link or a device"
        yield _Member(info.name, info.size, info.isfile(), trouble, partial(tar.extractfile, info))


class _Header(tarfile.TarInfo):
    """tarfile takes an unreadable header for the end of the archive: here it is a fault.

    Nor may a header be so long (a name of gigabytes) that reading it fills the memory.
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
    """Reads what pads the archive, because gzip and its like check their sum at the very end."""
    for _ in range(FREE // CHUNK):
        if not stream.read(CHUNK):
            return
    raise tarfile.ReadError(f"more than {FREE:,} bytes after its end")


@contextmanager
def _reported(archive: Path) -> Iterator[None]:
    """Every fault of the archive or the disk as a DownloadError."""
    try:
        yield
    except NotImplementedError as error:
        advice = "unpack it by hand"
        raise DownloadError(f"{archive.name}: packed in a rare way ({error}); {advice}") from error
    except CORRUPT as error:
        raise DownloadError(f"{archive.name}: truncated or damaged ({error})") from error
    except OSError as error:
        if error.errno is None:  # gzip's and bzip2's word for damage
            raise DownloadError(f"{archive.name}: truncated or damaged ({error})") from error
        where = error.filename or archive
        raise DownloadError(f"{archive.name}: {error.strerror}: {where}") from error


def _parts(path: str) -> list[str]:
    """Its components; a backslash parts them too, as archives made on Windows have it."""
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]


def _fits(part: str, pattern: str) -> bool:
    return fnmatchcase(part.lower(), pattern.lower())
