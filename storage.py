"""Where corpora and results lie: on a disk, or in an object store by tf.io.gfile.

A place on a disk is a pathlib.Path. One with a scheme, such as s3://bucket/results, is a Remote,
which has as much of a Path's interface as is needed here. A store has neither folders nor renames:
an object is there whole, under its name, or not at all.
"""

import errno
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import TYPE_CHECKING
from uuid import uuid4

from filelock import FileLock, Timeout

from errors import UsageError

if TYPE_CHECKING:
    import h5py

CLOUD = (
    's3://, gs:// and az:// come with the extra cloud: pip install ".[cloud]" (TensorFlow 2.16 and '
    "its file systems, for Python 3.11 or 3.12)"
)


class Remote(PurePosixPath):
    """An object of a store, or all objects whose names begin with this one's and a slash.

    Faults of a store are raised as OSError. One that cannot be reached looks empty to readers, for
    so TensorFlow's file systems tell it; writing says what is wrong.
    """

    def __str__(self) -> str:
        scheme, colon, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest}" if colon else scheme

    @property
    def address(self) -> str:
        """Return it as tf.io.gfile takes it: a bucket ends with a slash."""
        return f"{self}/" if len(self.parts) == 2 else str(self)

    def exists(self) -> bool:
        return ask(self, "exists")

    def is_dir(self) -> bool:
        return ask(self, "isdir")

    def is_file(self) -> bool:
        return self.exists() and not self.is_dir()

    def iterdir(self) -> Iterator["Remote"]:
        names = {name.rstrip("/") for name in ask(self, "listdir")}
        return (self / name for name in sorted(names - {""}))

    def glob(self, pattern: str) -> Iterator["Remote"]:
        """Return those right below it whose names match; none where there is no such folder."""
        paths = self.iterdir() if self.is_dir() else ()
        return (path for path in paths if fnmatchcase(path.name, pattern))

    def stat(self) -> SimpleNamespace:
        stat = ask(self, "stat")
        times = {"st_mtime": stat.mtime_nsec / 1e9, "st_mtime_ns": stat.mtime_nsec}
        return SimpleNamespace(st_size=stat.length, **times)

    def read_bytes(self) -> bytes:
        with faults(self):
            return ask(self, "GFile", "rb").read()

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        with self.open(encoding=encoding, errors=errors) as file:
            return file.read()

    def open(self, mode: str = "r", **text) -> io.IOBase:
        """Return the whole object, read only; `text` as for io.TextIOWrapper."""
        content = io.BytesIO(self.read_bytes())
        return content if "b" in mode else io.TextIOWrapper(content, **{"encoding": "utf-8"} | text)

    def mkdir(self, **_) -> None:
        """Do nothing: a store has no folders."""

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok or self.exists():
            ask(self, "remove")

    def resolve(self) -> "Remote":
        return self


def path(text: str) -> Path | Remote:
    """Return the place that a flag names.

    Raises:
        UsageError: an address without a bucket, or in a store that is not installed.
    """
    scheme, colon, rest = text.partition("://")
    if not colon or not re.fullmatch(r"[a-z][a-z0-9]*", scheme):
        return Path(text).expanduser() if text.startswith("~/") else Path(text)
    if not rest.partition("/")[0]:
        raise UsageError(f"{text}: an address has a bucket: {scheme}://BUCKET/FOLDER")
    if scheme not in schemes():
        complete_endpoint()
        with suppress(ImportError, NotImplementedError):  # the latter of one for another TensorFlow
            import tensorflow_io  # noqa: F401  its file systems register themselves
    if scheme not in schemes():
        raise UsageError(f"{text}: no such store is known; {CLOUD}")
    return Remote(text)


def complete_endpoint() -> None:
    """Give S3_ENDPOINT the scheme that it may lack: for TensorFlow's S3 that means https, whatever
    S3_USE_HTTPS says, and a server that has none is then taken for an empty one."""
    address = os.environ.get("S3_ENDPOINT")
    if address and "://" not in address:
        plain = os.environ.get("S3_USE_HTTPS", "1").lower() in ("0", "false")
        os.environ["S3_ENDPOINT"] = f"http{'' if plain else 's'}://{address}"


def schemes() -> Collection[str]:
    """Return the file systems that TensorFlow knows."""
    import_tensorflow()
    import tensorflow as tf

    return tf.io.gfile.get_registered_schemes()


def import_tensorflow() -> None:
    """Import TensorFlow with its start-up lines, which no setting turns off, kept off stderr."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow
    finally:
        os.dup2(stderr, 2)
        os.close(nowhere)
        os.close(stderr)
    tensorflow.get_logger().setLevel("ERROR")  # its advice is for authors of programs


def ask(place: Remote, function: str, *arguments):
    """Return what a function of tf.io.gfile answers of a place."""
    import tensorflow as tf

    with faults(place):
        return getattr(tf.io.gfile, function)(place.address, *arguments)


@contextmanager
def faults(place: Remote) -> Iterator[None]:
    """Raise TensorFlow's errors as Python's own, of one line."""
    import tensorflow as tf

    kinds = {tf.errors.NotFoundError: errno.ENOENT, tf.errors.PermissionDeniedError: errno.EACCES}
    try:
        yield
    except tf.errors.OpError as error:
        number = kinds.get(type(error), errno.EIO)
        message = " ".join((error.message or "").split())
        raise OSError(number, message or os.strerror(number), str(place)) from None


def is_remote(place: Path | Remote) -> bool:
    """Return whether it lies in an object store."""
    return isinstance(place, Remote)


@contextmanager
def replacing(place: Path | Remote) -> Iterator[Path]:
    """Yield a path on disk to write a file to, which then is at `place`, or nothing on failure.

    Whoever reads `place` sees the old file or the new one, never a part, also after the machine
    lost its power. Makes parent folders. The path ends as `place` does, by its last two suffixes.
    """
    if is_remote(place):
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder, place.name)
            yield part
            upload(part, place)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by their owner alone, and results are shared.
    part = place.with_name(f".{uuid4().hex[:12]}.part" + "".join(place.suffixes[-2:]))
    try:
        yield part
        flush(part)
        os.replace(part, place)
        flush(place.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def locked(file: Path, doing: str, cure: str = "") -> Iterator[None]:
    """Hold a file on disk as a lock inside, which no other process has then.

    Raises:
        UsageError: another does; says what it is `doing`, and the cure.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(file, timeout=0):
            yield
    except Timeout:
        busy = f"{doing} by another process (it holds {file}); wait for it"
        raise UsageError(f"{busy}{cure}") from None


@contextmanager
def hdf5(place: Path | Remote) -> Iterator["h5py.File"]:
    """Yield an HDF5 file to fill, which then is at `place`, or nothing on failure.

    Made in memory: one that a full disk keeps from being closed crashes the process at its end.
    """
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        yield file
    with replacing(place) as part:
        part.write_bytes(content.getbuffer())


def flush(path: Path) -> None:
    """Have the disk keep what was written to a file, or to the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems refuse it for folders; they keep names by their own measure.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(handle)


def upload(file: Path, place: Remote) -> None:
    """Put a file into a store, whole or not at all."""
    import tensorflow as tf

    with faults(place):
        tf.io.gfile.copy(str(file), place.address, overwrite=True)


def fetch(place: Remote, file: Path) -> None:
    """Get an object out of a store."""
    import tensorflow as tf

    with faults(place):
        tf.io.gfile.copy(place.address, str(file), overwrite=True)


@contextmanager
def local(place: Path | Remote) -> Iterator[Path]:
    """Yield a file on disk with the content, for libraries: itself, or a passing copy."""
    if not is_remote(place):
        yield place
        return
    with tempfile.TemporaryDirectory() as folder:
        fetch(place, Path(folder, place.name))
        yield Path(folder, place.name)


def kept(place: Path | Remote) -> Path:
    """Return a file on disk with the content, for what is read again and again: itself, or a copy
    in the cache, which is made anew when the object is another."""
    if not is_remote(place):
        return place
    stat = place.stat()
    mark = hashlib.sha256(f"{place} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    copy = cache(place) / "copies" / (mark[:16] + place.suffix)
    if not copy.exists():
        with replacing(copy) as part:
            fetch(place, part)
    return copy


def cache(results: Path | Remote) -> Path:
    """Return a folder on disk for what can be made again: in the results, or the user's own where
    the results are in a store."""
    return results / "cache" if not is_remote(results) else users_cache()


def users_cache() -> Path:
    """Return the user's own folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "saliency-trainer"


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_writable(results: Path | Remote) -> None:
    """Make the folder of results; raise UsageError where nothing can be written to it."""
    try:
        with replacing(results / ".writable") as part:
            part.write_text("1")  # a store takes what is empty for a folder
        (results / ".writable").unlink()
    except OSError as error:
        raise UsageError(f"--results {results}: cannot write to it: {error.strerror}") from None


def remove(folder: Path | Remote) -> None:
    """Remove a folder and all below it, if there is one."""
    if not is_remote(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.is_dir():
        ask(folder, "rmtree")


def walk(folder: Path | Remote, endings: Collection[str] = ()) -> Iterator[tuple]:
    """Yield (folder, names of folders in it, names of files in it), from the top down; links are
    followed, but for those that lead back to where they lie, and folders that the caller takes off
    the list are left out.

    A store is asked about each name whether it is a folder, which takes long: not about those that
    have one of the endings of files.

    Raises:
        UsageError: a folder cannot be read.
    """
    if not is_remote(folder):
        for parent, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
            folders[:] = [name for name in folders if not leads_back(Path(parent, name), folder)]
            yield Path(parent), folders, names
        return
    folders, names = [], []
    for place in folder.iterdir():
        is_file = place.suffix.lower() in endings or not place.is_dir()
        (names if is_file else folders).append(place.name)
    yield folder, folders, names
    for name in folders:
        yield from walk(folder / name, endings)


def unreadable(error: OSError) -> None:
    """Raise what kept a folder from being read, which os.walk would pass over."""
    raise UsageError(f"{error.filename}: cannot be read: {error.strerror}")


def leads_back(link: Path, top: Path) -> bool:
    """Return whether it is a link to a folder in which it lies, from `top` down, or around one."""
    if not link.is_symlink():
        return False
    to, way = link.resolve(), [p for p in link.parents if p.is_relative_to(top)]
    return any(folder.resolve().is_relative_to(to) for folder in way)
