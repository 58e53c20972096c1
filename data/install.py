"""A corpus from its archives: fetched, unpacked, converted, and there only when it is whole."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from absl import logging
from tqdm import tqdm

import storage
from data.corpus import Corpus, upload_marker
from download import DownloadError
from download.fetch import check_md5, fetch, md5_of
from download.unpack import unpack
from errors import UsageError
from formats.layout import TRUTHS, below, canonical_files
from formats.pictures import integrity
from formats.pysaliency import write_hdf5


def install(
    corpus: type[Corpus],
    root: Path,
    archives: Sequence[Path] = (),
    mirror: str | None = None,
    checksums: bool = True,
    partial: bool = False,
) -> Path:
    """Makes `root`/<corpus>/ and returns it; a folder that is there already is left as it is.

    Args:
        archives: files on disk, instead of downloads.
        mirror: the address of a folder that serves the archives by their names.
        checksums: refuse what was downloaded and is not what the authors published.
        partial: take a download of another number of stimuli than the corpus has.

    Raises:
        UsageError, DownloadError: what is missing, broken or not to be had, or another process is
            at it. What was downloaded stays, and the next try goes on from there.
    """
    there = place_of(corpus, root)
    if installed(corpus, there):
        return there
    with workplace(corpus, there.parent) as work:
        if installed(corpus, there):  # another process was quicker
            return there
        whole = work / "corpus"
        if hasattr(corpus, "make"):
            corpus.make(whole)
        elif archives:
            take_archives(corpus, archives, whole)
        else:
            take_downloads(corpus, mirror, work / "archives", whole, checksums)
        check_count(corpus, whole, fewer=partial or bool(archives))
        convert(corpus, whole)
        check_whole(corpus, whole)
        move(whole, there)
        shutil.rmtree(work)
    return there


def place_of(corpus: type[Corpus], root: Path) -> Path:
    """Where a corpus lies, or will; behind a link that may be another disk, where it is made."""
    there = corpus.locate(root) or root / corpus.name
    return there.resolve() if not storage.is_remote(there) and there.is_symlink() else there


def installed(corpus: type[Corpus], there: Path) -> bool:
    """Whether all of a corpus is in its folder already, which is said.

    Raises:
        UsageError: something else is there.
    """
    cut = storage.is_remote(there) and upload_marker(there).exists()
    if cut or not there.exists() or not any(there.iterdir()):
        return False
    if not corpus.contents(there)[1]:
        raise UsageError(f"{there} is there, without pictures of {corpus.name}; move it away")
    logging.info("%s is there already; remove it to install the corpus anew", there)
    return True


@contextmanager
def workplace(corpus: type[Corpus], root: Path) -> Iterator[Path]:
    """A folder of one process for a corpus that is not whole yet, with an empty corpus/ in it; what
    was downloaded into archives/ outlasts a failure.

    Raises:
        UsageError: another process has it.
    """
    work = (storage.cache(root) if storage.is_remote(root) else root) / f".{corpus.name}.part"
    whole, archives = work / "corpus", work / "archives"
    with storage.locked(work.with_suffix(".lock"), f"{corpus.name} is being installed"):
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir(parents=True)
        try:
            yield work
        finally:
            shutil.rmtree(whole, ignore_errors=True)
            for folder in (archives, work):
                with suppress(OSError):
                    folder.rmdir()  # what was downloaded keeps them


def move(whole: Path, there: Path) -> None:
    """Puts a corpus where it belongs: on a disk in one piece, into an object store file by file,
    with a marker beside it until all of them are there."""
    if not storage.is_remote(there):
        whole.rename(there)
        return
    marker = upload_marker(there)
    with storage.replacing(marker) as part:
        part.write_text("not all of the corpus is there yet\n")
    files = [path for path in whole.rglob("*") if path.is_file()]
    places = [there / file.relative_to(whole) for file in files]
    with ThreadPoolExecutor(integrity.AT_ONCE) as pool:
        done = pool.map(storage.upload, files, places)
        for _ in tqdm(done, desc="uploading", total=len(files), disable=None):
            pass
    marker.unlink()


def take_archives(corpus: type[Corpus], archives: Sequence[Path], folder: Path) -> None:
    """Unpacks archives from disk; another checksum than the authors' is said, not refused."""
    known = {source.name: source.md5 for source in corpus.sources if source.md5}
    for archive in archives:
        if not archive.is_file():
            raise UsageError(f"--archive {archive}: no such file")
        if archive.name in known:
            found = md5_of(archive)
            if found != known[archive.name]:
                said = "%s: its md5 is %s, the authors' is %s; used all the same"
                logging.warning(said, archive, found, known[archive.name])
        unpack(archive, folder, corpus.take())


def take_downloads(
    corpus: type[Corpus], mirror: str | None, kept: Path, folder: Path, checksums: bool
) -> None:
    """Fetches and unpacks each source's archive."""
    for source in corpus.sources:
        url = f"{mirror.rstrip('/')}/{source.name}" if mirror else source.url
        if url is None:
            raise UsageError(
                f"{corpus.name} has no public download; with its archive on disk: "
                f"python main.py download -d {corpus.name} --archive {source.name}"
            )
        archive = fetch(url, kept, name=source.name, md5=source.md5 if checksums else None)
        try:
            unpack(archive, folder, source.take)
        except DownloadError as error:
            raise DownloadError(
                f"{error}; it is kept at {archive}, move it away to fetch it anew"
            ) from None
        for name, md5 in (source.members if checksums else {}).items():
            check_md5(folder / name, md5)


def check_count(corpus: type[Corpus], folder: Path, fewer: bool) -> None:
    """Checks that as many stimuli were unpacked as the corpus has.

    Args:
        fewer: another number is said, not refused.

    Raises:
        UsageError: there are others, or none at all.
    """
    files = canonical_files(folder, {})
    stimuli, count = below(files, "stimuli", pictures=True), corpus.split.count
    if not stimuli:
        raise UsageError(f"{corpus.name}: no pictures in the archives, found {len(files)} files")
    if count in (len(stimuli), None):
        return
    said = f"{corpus.name}: {len(stimuli)} stimuli, {count} expected"
    if not fewer:
        kept = f"what was fetched is kept in {folder.with_name('archives')}"
        raise UsageError(f"{said}; {kept}, download --partial takes it as it is")
    logging.warning("%s; kept, --partial trains on them", said)


def convert(corpus: type[Corpus], folder: Path) -> None:
    """Turns the authors' fixations into pysaliency's files."""
    files = canonical_files(folder, {})
    stimuli = below(files, "stimuli", pictures=True)
    found = corpus.read(files, stimuli)
    if found is None:
        return
    seen = integrity.check(stimuli.values(), integrity.Memory(folder.parent))
    write_hdf5(folder, list(stimuli), [(*seen[p].shape, 3) for p in stimuli.values()], found)
    logging.info("%s: %d fixations in fixations.hdf5", corpus.name, len(found))
    shutil.rmtree(folder / "fixations")


def check_whole(corpus: type[Corpus], folder: Path) -> None:
    """Raises UsageError where the archives had pictures and no truth: one was forgotten."""
    found = canonical_files(folder, {})
    if not any(name.startswith(TRUTHS) for name in found):
        names = ", ".join(source.name for source in corpus.sources)
        raise UsageError(
            f"{corpus.name}: neither fixations nor maps in the archives, {len(found)} pictures "
            f"alone; its archives are {names}"
        )
