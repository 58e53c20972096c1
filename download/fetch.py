"""One file from the network: resumed where it was cut, checked, under its name only when whole.

The bytes grow in `<name>.part`; `<name>.part.json` says what they are the beginning of, so that
a later run can go on without joining halves of two different files.
"""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import requests
import urllib3
from absl import logging
from tqdm import tqdm

from download import DownloadError

TIMEOUT = (10, 60)  # seconds: to connect, and between two pieces of an answer
TRIES = 5  # in a row that bring less than PROGRESS new bytes
PROGRESS = 1 << 20
BACKOFF = 1.0  # seconds before the second try, doubled before each further one
CHUNK = 1 << 16  # what is lost at most when a connection breaks
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP answers that may be better a moment later
DRIVE = ("https://drive.google.com/", "https://docs.google.com/")


class _Cut(Exception):
    """This try failed, another may not; the text says why."""


def fetch(url: str, folder: Path, *, name: str, md5: str | None = None) -> Path:
    """Return the file at `url`, an http(s) or a Google Drive address, as `folder/name`.

    A file of that name is taken as it is if it has the sum `md5`, or if no sum is known.

    Raises:
        DownloadError: says why; what was received is kept, and the next call goes on from there.
    """
    final, part = folder / name, folder / f"{name}.part"
    if final.exists():
        check_md5(final, md5)
        return final
    logging.info("%s: fetching %s", name, url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (_from_drive if url.startswith(DRIVE) else _from_http)(url, part)
        check_md5(part, md5)
        os.replace(part, final)
        _note_path(part).unlink(missing_ok=True)
    except OSError as error:
        text = f"{name}: cannot write to {folder}: {error.strerror or error}"
        raise DownloadError(f"{text}; {_kept(part)}") from error
    return final


def md5_of(path: Path) -> str:
    """Return the md5 of a file, in small hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def check_md5(path: Path, md5: str | None) -> None:
    """Raise DownloadError with both sums if the file has another one; `md5` None fits any."""
    if md5 and (actual := md5_of(path)) != md5.lower():
        raise DownloadError(
            f"{path.name.removesuffix('.part')}: its md5 is {actual}, expected {md5.lower()}; "
            f"it is kept at {path}; move it away to fetch it anew, or take it with --no-checksum"
        )


def _from_http(url: str, part: Path) -> None:
    """Fetch the rest of `part`, in tries that grow apart until they bring something."""
    note = _read_note(url, part)
    if note and note["total"] == _size(part):
        return
    failures, farthest = 0, _size(part)
    while True:
        try:
            return _try_http(url, part)
        except _Cut as cut:
            failures = 1 if _size(part) >= farthest + PROGRESS else failures + 1
            farthest = max(farthest, _size(part))
            if failures >= TRIES:
                text = f"{part.stem}: {cut}, in {TRIES} tries of {url}; {_kept(part)}"
                raise DownloadError(text) from cut
            wait = BACKOFF * 2 ** (failures - 1)
            logging.info("%s: %s; going on in %g s", part.stem, cut, wait)
            time.sleep(wait)


def _try_http(url: str, part: Path) -> None:
    """Fetch the rest of `part`.

    Raises:
        _Cut: another try may bring more.
        DownloadError: none will.
    """
    note = _read_note(url, part)
    held = _size(part) if note else 0
    # Identity, because the sizes and the sum are those of the file and not of its encoding.
    headers = {"Accept-Encoding": "identity"}
    if held:
        headers |= {"Range": f"bytes={held}-", "If-Range": note["validator"]}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            start, total = _judge(answer, part, held, note)
            _receive(answer, url, part, start, total)
    except requests.exceptions.SSLError as error:
        text = f"{part.stem}: {url} has no valid certificate: {_root(error)}"
        raise DownloadError(text) from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _Cut("the server does not answer in time") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise _Cut(f"the connection failed ({_root(error)})") from error
    except requests.RequestException as error:  # not an address, endless redirection, ...
        raise DownloadError(f"{part.stem}: cannot fetch {url}: {_one_line(error)}") from error


def _judge(answer: requests.Response, part: Path, held: int, note: dict) -> tuple[int, int | None]:
    """Return where in the file this answer starts, and the whole file's length, if it says so."""
    said = f"the server answers {answer.status_code} {answer.reason}"
    if answer.status_code in PASSING:
        raise _Cut(said)
    if answer.status_code in (206, 416):
        span, _, size = answer.headers.get("Content-Range", "").partition("/")
        total = int(size) if size.isdigit() else None
        whole = answer.status_code == 416 and total == held
        same = None in (total, note.get("total")) or total == note["total"]
        if not (whole or (same and span.startswith(f"bytes {held}-"))):
            part.unlink(missing_ok=True)  # it begins something else: the next try starts anew
            raise _Cut("the file on the server is not the one begun")
        return held, total
    if answer.status_code != 200:
        raise DownloadError(f"{part.stem}: {said} for {answer.url}; is the address still right?")
    length = answer.headers.get("Content-Length", "")
    stated = length.isdigit() and "Transfer-Encoding" not in answer.headers
    return 0, int(length) if stated else None


def _receive(
    answer: requests.Response, url: str, part: Path, start: int, total: int | None
) -> None:
    """Write an answer's bytes after the first `start` of `part`, and what they are beside it."""
    # Undecoded: a server that labels a .tar.gz "Content-Encoding: gzip" means the file itself.
    chunks = answer.raw.stream(CHUNK, decode_content=False) if answer.ok else iter(())
    head = next(chunks, b"")
    if start == 0:
        # Before the first byte is written: a login page must not replace what is already here.
        _refuse_page(head, part.stem, answer.url)
    _check_room(part, total)
    with open(part, "ab" if start else "wb") as file, _bar(part.stem, start, total) as bar:
        if start == 0:  # only now are the bytes gone that the old note spoke of
            _write_note(answer, url, part, total)
        while head:
            file.write(head)
            bar.update(len(head))
            head = next(chunks, b"")
    if total is not None and _size(part) != total:
        raise _Cut(f"the connection ended at {_size(part):,} of {total:,} bytes")
    _write_note(answer, url, part, _size(part))


def _refuse_page(head: bytes, name: str, url: str) -> None:
    """Raise DownloadError where what arrives begins as a web page does."""
    text = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<") and (b"<html" in text or text.startswith(b"<!doctype html")):
        raise DownloadError(
            f"{name}: {url} delivers a web page and not the file (a login, a quota or a notice); "
            f"open it in a browser, save the file and give it with --archive"
        )


def _check_room(part: Path, total: int | None) -> None:
    free, left = shutil.disk_usage(part.parent).free, (total or 0) - _size(part)
    if left > free:
        room = f"{part.parent} has room for {free:,}; make room, or choose another disk with --path"
        raise DownloadError(f"{part.stem}: {left:,} bytes to come, but {room}")


def _from_drive(url: str, part: Path) -> None:
    if part.exists():  # gdown's own partial files have other names: this one is whole
        return
    import gdown  # brings an HTML parser and a cookie reader: not for those who need no Drive

    def advance(done: int, total: int | None) -> None:
        bar.total = total
        bar.update(done - bar.n)

    tries = {"resume": True, "retries": TRIES - 1, "timeout": TIMEOUT}
    try:
        with _bar(part.stem, 0, None) as bar:
            gdown.download(url, str(part), quiet=True, progress=advance, **tries)
    except (gdown.exceptions.DownloadError, requests.RequestException) as error:
        text = f"{part.stem}: Google Drive does not deliver {url}: {_one_line(error)}"
        advice = f"try later, or save it with a browser to {part.parent} under this name"
        raise DownloadError(f"{text}; {advice}") from error
    try:
        with open(part, "rb") as file:
            _refuse_page(file.read(4096), part.stem, url)
    except DownloadError:
        part.unlink()  # or the next run would take the page for the file
        raise


def _bar(name: str, start: int, total: int | None) -> tqdm:
    """Return a bar on stderr, shown if that is a terminal."""
    return tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=None)


def _read_note(url: str, part: Path) -> dict:
    """Return what `part` is the beginning of; empty if that is not known, or not `url`."""
    try:
        note = json.loads(_note_path(part).read_text("utf-8"))
        return note if part.exists() and note["url"] == url else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _write_note(answer: requests.Response, url: str, part: Path, total: int | None) -> None:
    tag = answer.headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes: If-Range must not use it.
    validator = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
    note = {"url": url, "validator": validator, "total": total}
    _note_path(part).write_text(json.dumps(note), "utf-8")


def _note_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _kept(part: Path) -> str:
    size = _size(part)
    return f"{size:,} bytes are kept in {part}, run it again" if size else "nothing is kept"


def _root(error: BaseException) -> str:
    """Return the reason at the bottom, such as 'Connection refused', out of its wrapping."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return getattr(error, "strerror", None) or _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
