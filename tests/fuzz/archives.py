"""Hostile and damaged archives, unpacked where every write is watched."""

import io
import os
import re
import shutil
import stat
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

from fuzz.archive_forms import FORMS, PACKERS
from fuzz.mutations import Format
from fuzz.outcomes import expect, tried

from download import DownloadError
from download.unpack import unpack

TAKE = {"Stimuli/*/*.jpg": "stimuli/", "*.mat": "fixations/", "*": "rest/"}
HONEST = {
    "set/Stimuli/Action/1.jpg": b"\xff\xd8 no picture" * 40,
    "set/Stimuli/Art/1.jpg": b"",
    "set/eye/fixations.mat": bytes(range(256)) * 9,
    "set/read me.txt": b"text\n" * 30,
}
EVIL = b"this must not be written"
OUTSIDE = [
    "../evil.jpg",
    "a/../../evil.jpg",
    "a/b/../../../evil.jpg",
    "/evil.jpg",
    "//evil.jpg",
    "..",
    "/",
    "..\\evil.jpg",
    "\\evil.jpg",
    "\\\\host\\share\\evil.jpg",
    "C:\\evil.jpg",
    "c:evil.jpg",
    "C:/evil.jpg",
    "a\\..\\..\\evil.jpg",
    "./../evil.jpg",
    "Stimuli/../../Stimuli/a/evil.jpg",
]
ODD = {  # names that are strange and stay inside, or cannot be had at all
    "bytes": "set/caf\udce9.jpg",
    "line": "set/two\nlines.jpg",
    "escape": "set/\x1b[2J.jpg",
    "long": f"set/{'n' * 300}.jpg",
    "longer": f"set/{'n' * 5000}/1.jpg",
    "deep": "d/" * 300 + "1.jpg",
    "blank": "set/ .jpg",
    "dots": "set/....jpg",
    "right to left": "set/\u202egpj.exe",
    "reserved": "set/CON.jpg",
}
TAR_KINDS = {
    "link": (tarfile.SYMTYPE, "../../.."),
    "link to a file": (tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": (tarfile.LNKTYPE, "/etc/passwd"),
    "hard link inside": (tarfile.LNKTYPE, "set/read me.txt"),
    "character device": (tarfile.CHRTYPE, ""),
    "block device": (tarfile.BLKTYPE, ""),
    "pipe": (tarfile.FIFOTYPE, ""),
}


def zipped(members, method=zipfile.ZIP_DEFLATED, streamed=False) -> bytes:
    """members: name or ZipInfo -> bytes, or pairs of them."""
    buffer = io.BytesIO()
    buffer.seekable = lambda: not streamed  # sizes then stand behind the data
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members.items() if isinstance(members, dict) else members:
            info = name if isinstance(name, zipfile.ZipInfo) else zip_info(name)
            file.writestr(info, data, method)
    return buffer.getvalue()


def zip_info(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name.encode("utf-8", "replace").decode()
    info.external_attr = (kind | 0o644) << 16
    return info


def tarred(members, form=tarfile.GNU_FORMAT) -> bytes:
    """members: name or TarInfo -> bytes, or pairs of them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, errors="surrogateescape") as file:
        for name, data in members.items() if isinstance(members, dict) else members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_info(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def sparse() -> bytes:
    """A GNU sparse file of 1 TB of which nothing is there."""
    info = tarfile.TarInfo("set/sparse.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:398] = header[398:410] = b"%011o\0" % 0
    header[483:495] = b"\x80" + (2**40).to_bytes(11, "big")
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    return bytes(header) + bytes(1024)


def changed(data: bytes, old: bytes, new: bytes, count: int = -1) -> bytes:
    expect(old in data and len(old) == len(new), f"{old} is not in it")
    return data.replace(old, new, count)


@cache
def honest() -> dict[str, bytes]:
    """Archives that are read, by "<kind> <variant>"."""
    again = [*HONEST.items(), ("SET/stimuli/action/1.JPG", b"another"), ("set/a/", b"")]
    methods = {"stored": 0, "deflated": 8, "bzip2": 12, "lzma": 14}
    found = {f"zip {name}": zipped(HONEST, method) for name, method in methods.items()}
    found |= {
        "zip streamed": zipped(HONEST, streamed=True),
        "zip of two cases": zipped(again),
        "tar of two cases": tarred(again),
        "tar pax": tarred({**HONEST, "set/caf\u00e9.jpg": b"x"}, tarfile.PAX_FORMAT),
        "tar long": tarred({**HONEST, "set/" + "d/" * 60 + "1.jpg": b"x"}),
    }
    plain = tarred(HONEST)
    found |= {"tar": plain}
    return found | {f"tar.{name}": pack(plain) for name, (_, pack) in PACKERS.items()}


@cache
def hostile() -> dict[str, bytes]:
    """Archives that are refused, by "<kind> <what is wrong>"."""
    found = {}
    for number, name in enumerate(OUTSIDE):
        found[f"zip outside {number}"] = zipped({**HONEST, name: EVIL})
        found[f"tar outside {number}"] = tarred({**HONEST, name: EVIL})
    for name, (kind, target) in TAR_KINDS.items():
        member = (tar_info("set/Stimuli/a", kind, target), b"")
        through = ("set/Stimuli/a/evil.jpg", EVIL)  # through a link, where it was made
        found[f"tar {name}"] = tarred([*HONEST.items(), member, through])
    chain = [(tar_info(f"set/{k}", tarfile.SYMTYPE, f"{k + 1}/.."), b"") for k in range(40)]
    found["tar chain of links"] = tarred([*chain, ("set/0/evil.jpg", EVIL)])
    link = zip_info("set/Stimuli/a", stat.S_IFLNK)
    found["zip link"] = zipped([(link, b"../../.."), ("set/Stimuli/a/evil.jpg", EVIL)])
    found["zip device"] = zipped([(zip_info("set/device", stat.S_IFCHR), b"")])
    twice = [*HONEST.items(), ("set/read me.txt", b"other")]
    found |= {"zip twice": zipped_twice(twice), "tar twice": tarred(twice)}
    found["tar sparse"] = sparse()
    return found | lies()


def zipped_twice(members) -> bytes:
    import warnings

    with warnings.catch_warnings(action="ignore"):  # zipfile's own, of the duplicate
        return zipped(members)


def lies() -> dict[str, bytes]:
    """Archives that say what is not so, and bombs."""
    stored, plain = zipped(HONEST, 0), tarred(HONEST)
    size = len(HONEST["set/eye/fixations.mat"])
    words = size.to_bytes(4, "little") * 2
    bomb = zipped({"set/zeros.jpg": bytes(2**21)})
    return {
        "zip smaller": changed(stored, words, words[:4] + (size - 9).to_bytes(4, "little")),
        "zip larger": changed(stored, words, words[:4] + (size + 9).to_bytes(4, "little")),
        "zip giant": changed(bomb, (2**21).to_bytes(4, "little"), b"\xff\xff\xff\x7f"),
        "zip cut": stored[: len(stored) // 2],
        "zip encrypted": changed(stored, b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
        "tar giant": changed(plain, b"%011o" % size, b"7" * 11),
        "tar cut": plain[: len(plain) // 4],
        "tar.gz cut": PACKERS["gz"][1](plain)[:-9],
        "tar.gz of a cut tar": PACKERS["gz"][1](plain[: len(plain) // 4]),
    }


def bases(folder: Path) -> dict[str, bytes]:
    few = {
        name: data for name, data in hostile().items() if not re.search(r"outside \d[1-9]", name)
    }
    found = honest() | few
    for packing, (_, pack) in PACKERS.items():
        for name in ("tar pax", "tar long", "tar link", "tar outside 0", "tar sparse", "tar giant"):
            found[f"tar.{packing} of {name}"] = pack(found[name])
    found["zip behind"] = b"#!/bin/sh\n" * 9 + zipped(HONEST)
    found["tar.xz before zeros"] = PACKERS["xz"][1](tarred(HONEST) + bytes(2**25))
    for name, odd in ODD.items():
        found[f"zip named {name}"] = zipped({**HONEST, odd: b"x"})
        found[f"tar named {name}"] = tarred({**HONEST, odd: b"x"})
    return found


def form(name: str) -> Format:
    return FORMS[name.split()[0]]


def ending(name: str) -> str:
    return f".{name.split()[0]}"


WATCHED: list[Path] = []  # where a write may be, while one is looked for
WRITES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate")


def watch(event: str, arguments: tuple) -> None:
    """Forbids what Python is about to write anywhere else."""
    if not WATCHED or event not in ("open", *WRITES):
        return
    if event == "open":
        flags = arguments[2] or 0
        if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return
    for place in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
        if isinstance(place, str | bytes | os.PathLike):
            real = Path(os.path.realpath(os.fsdecode(place)))
            expect(real.is_relative_to(WATCHED[0]), f"{event} outside of the folder: {place!r}")


def check(path: Path) -> bool:
    """Whether it was unpacked; AssertionError where anything is not as it must be."""
    if not watch_is_on():
        sys.addaudithook(watch)
    around = Path(f"{path}.d")
    folder = around / "some" / "where" / "corpus"
    folder.parent.mkdir(parents=True)
    WATCHED.append(Path(os.path.realpath(folder)))
    try:
        taken = tried(DownloadError, path, unpack, path, folder, TAKE)
    finally:
        WATCHED.clear()
    found = {each.relative_to(folder).as_posix(): each for each in folder.rglob("*")}
    kinds = {name: each.lstat().st_mode for name, each in found.items()}
    expect(all(map(usual, kinds.values())), f"more than files and folders: {kinds}")
    files = {name for name, mode in kinds.items() if stat.S_ISREG(mode)}
    expect(taken is None or {*taken} == files, f"says {taken}, wrote {sorted(files)}")
    expect({*around.rglob("*")} - {*folder.rglob("*")} <= {*folder.parents, folder}, "outside")
    shutil.rmtree(around)
    return taken is not None


HOOKED: list[bool] = []


def watch_is_on() -> bool:
    """Whether the hook is there; from now on it is, and it cannot be taken away."""
    HOOKED.append(True)
    return len(HOOKED) > 1


def usual(mode: int) -> bool:
    """A file or folder without special rights."""
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and not mode & 0o7000
