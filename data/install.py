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
    """Make `root`/<corpus>/ and return it; a folder that is there already is left as it is.

    Args:
        archives: files on disk, instead of downloads.
        mirror: the address of a folder that serves the archives by their names.
        checksums: refuse what was downloaded and is not what the authors published.
        partial: take a download of another number of stimuli than the corpus has.

    Raises:
        UsageError, DownloadError: what is missing, broken or not to be had, or another process is
            at it. What was downloaded stays, and the next try goes on from there.
    """
    place = place_of(corpus, root)
    if installed(corpus, place):
        return place
    with workplace(corpus, place.parent) as work:
        if installed(corpus, place):  # another process was quicker
            return place
        folder = work / "corpus"
        if hasattr(corpus, "make"):
            corpus.make(folder)
        elif archives:
            take_archives(corpus, archives, folder)
        else:
            take_downloads(corpus, mirror, work / "archives", folder, checksums)
        check_count(corpus, folder, fewer=partial or bool(archives))
        convert(corpus, folder)
        check_truth(corpus, folder)
        move(folder, place)
        shutil.rmtree(work)
    return place


def place_of(corpus: type[Corpus], root: Path) -> Path:
    """Return where a corpus lies or will: of a link, where it leads, maybe to another disk."""
    place = corpus.locate(root) or root / corpus.name
    return place.resolve() if not storage.is_remote(place) and place.is_symlink() else place


def installed(corpus: type[Corpus], place: Path) -> bool:
    """Return whether all of a corpus is in its folder already, and say so.

    Raises:
        UsageError: something else is there.
    """
    cut = storage.is_remote(place) and upload_marker(place).exists()
    if cut or not place.exists() or not any(place.iterdir()):
        return False
    if not corpus.contents(place)[1]:
        raise UsageError(f"{place} is there, without pictures of {corpus.name}; move it away")
    logging.info("%s is there already; remove it to install the corpus anew", place)
    return True


@contextmanager
def workplace(corpus: type[Corpus], root: Path) -> Iterator[Path]:
    """Yield a folder of one process for a corpus that is not whole yet, with an empty corpus/ in
    it; what was downloaded into archives/ outlasts a failure.

    Raises:
        UsageError: another process has it.
    """
    work = (storage.cache(root) if storage.is_remote(root) else root) / f".{corpus.name}.part"
    folder = work / "corpus"
    with storage.locked(work.with_suffix(".lock"), f"{corpus.name} is being installed"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield work
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # what was downloaded keeps them
                (work / "archives").rmdir()
            with suppress(OSError):
                work.rmdir()


def move(folder: Path, place: Path) -> None:
    """Put a corpus where it belongs: on a disk in one piece, into an object store file by file,
    with a marker beside it until all of them are there."""
    if not storage.is_remote(place):
        folder.rename(place)
        return
    marker = upload_marker(place)
    with storage.replacing(marker) as part:
        part.write_text("not all of the corpus is there yet\n")
    files = [path for path in folder.rglob("*") if path.is_file()]
    places = [place / file.relative_to(folder) for file in files]
    with ThreadPoolExecutor(integrity.AT_ONCE) as pool:
        uploads = pool.map(storage.upload, files, places)
        for _ in tqdm(uploads, desc="uploading", total=len(files), disable=None):
            pass
    marker.unlink()


def take_archives(corpus: type[Corpus], archives: Sequence[Path], folder: Path) -> None:
    """Unpack archives from disk; another checksum than the authors' is said, not refused."""
    checksums = {source.name: source.md5 for source in corpus.sources if source.md5}
    for archive in archives:
        if not archive.is_file():
            raise UsageError(f"--archive {archive}: no such file")
        authors = checksums.get(archive.name)
        if authors and (actual := md5_of(archive)) != authors:
            said = "%s: its md5 is %s, the authors' is %s; used all the same"
            logging.warning(said, archive, actual, authors)
        unpack(archive, folder, corpus.take())


def take_downloads(
    corpus: type[Corpus], mirror: str | None, downloads: Path, folder: Path, checksums: bool
) -> None:
    """Fetch each source's archive into `downloads`, and unpack it into `folder`."""
    for source in corpus.sources:
        url = f"{mirror.rstrip('/')}/{source.name}" if mirror else source.url
        if url is None:
            raise UsageError(
                f"{corpus.name} has no public download; with its archive on disk: "
                f"python main.py download -d {corpus.name} --archive {source.name}"
            )
        archive = fetch(url, downloads, name=source.name, md5=source.md5 if checksums else None)
        try:
            unpack(archive, folder, source.take)
        except DownloadError as error:
            raise DownloadError(
                f"{error}; it is kept at {archive}, move it away to fetch it anew"
            ) from None
        for name, md5 in (source.members if checksums else {}).items():
            check_md5(folder / name, md5)


def check_count(corpus: type[Corpus], folder: Path, fewer: bool) -> None:
    """Raise UsageError where not as many stimuli were unpacked as the corpus has; with `fewer`,
    say so, and raise it where there are none at all."""
    files = canonical_files(folder, {})
    stimuli, count = below(files, "stimuli", pictures=True), corpus.split.count
    if not stimuli:
        raise UsageError(f"{corpus.name}: no pictures in the archives, found {len(files)} files")
    if count in (len(stimuli), None):
        return
    said = f"{corpus.name}: {len(stimuli)} stimuli, {count} expected"
    if not fewer:
        where = f"what was fetched is kept in {folder.with_name('archives')}"
        raise UsageError(f"{said}; {where}, download --partial takes it as it is")
    logging.warning("%s; kept, --partial trains on them", said)


def convert(corpus: type[Corpus], folder: Path) -> None:
    """Turn the authors' fixations into pysaliency's files."""
    files = canonical_files(folder, {})
    stimuli = below(files, "stimuli", pictures=True)
    fixations = corpus.read(files, stimuli)
    if fixations is None:
        return
    seen = integrity.check(stimuli.values(), integrity.Memory(folder.parent))
    write_hdf5(folder, list(stimuli), [(*seen[p].shape, 3) for p in stimuli.values()], fixations)
    logging.info("%s: %d fixations in fixations.hdf5", corpus.name, len(fixations))
    shutil.rmtree(folder / "fixations")


def check_truth(corpus: type[Corpus], folder: Path) -> None:
    """Raise UsageError where the archives had pictures and no truth: one was forgotten."""
    files = canonical_files(folder, {})
    if not any(name.startswith(TRUTHS) for name in files):
        names = ", ".join(source.name for source in corpus.sources)
        raise UsageError(
            f"{corpus.name}: neither fixations nor maps in the archives, {len(files)} pictures "
            f"alone; its archives are {names}"
        )
