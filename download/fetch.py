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


class _Part:
    """What has arrived of the file at `url`: bytes in `path`; `note` says what they begin."""

    def __init__(self, url: str, path: Path):
        self.url, self.path = url, path
        self.note = path.with_name(f"{path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def begun(self) -> dict:
        """Return url, validator and total of what was begun; empty if not known, or not `url`."""
        try:
            note = json.loads(self.note.read_text("utf-8"))
            return note if self.path.exists() and note["url"] == self.url else {}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}

    def begin(self, answer: requests.Response, total: int | None) -> None:
        """Note which file an answer is of, by what If-Range takes, and how long it is."""
        tag = answer.headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes: If-Range must not use it.
        validator = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
        note = {"url": self.url, "validator": validator, "total": total}
        self.note.write_text(json.dumps(note), "utf-8")

    def fault(self, text: str) -> DownloadError:
        return DownloadError(f"{self.path.stem}: {text}")

    def kept(self) -> str:
        if not self.size:
            return "nothing is kept"
        return f"{self.size:,} bytes are kept in {self.path}, run it again to go on"

    def bar(self, start: int, total: int | None) -> tqdm:
        """Return a bar on stderr, shown if that is a terminal."""
        unit = {"unit": "B", "unit_scale": True}
        return tqdm(desc=self.path.stem, initial=start, total=total, disable=None, **unit)

    def refuse_page(self, head: bytes, url: str) -> None:
        """Refuse what begins as a web page does."""
        text = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if text.startswith(b"<") and (b"<html" in text or text.startswith(b"<!doctype html")):
            raise self.fault(
                f"{url} delivers a web page and not the file (a login, a quota or a notice); open "
                "it in a browser, save the file and give it with --archive"
            )


def fetch(url: str, folder: Path, *, name: str, md5: str | None = None) -> Path:
    """Return the file at `url`, an http(s) or a Google Drive address, as `folder/name`.

    A file of that name is taken as it is if it has the sum `md5`, or if no sum is known.

    Raises:
        DownloadError: says why; what was received is kept, and the next call goes on from there.
    """
    final, part = folder / name, _Part(url, folder / f"{name}.part")
    if final.exists():
        check_md5(final, md5)
        return final
    logging.info("%s: fetching %s", name, url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (_from_drive if url.startswith(DRIVE) else _from_http)(part)
        check_md5(part.path, md5)
        os.replace(part.path, final)
        part.note.unlink(missing_ok=True)
    except OSError as error:
        why = f"cannot write to {folder}: {error.strerror or error}"
        raise part.fault(f"{why}; {part.kept()}") from error
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


def _from_http(part: _Part) -> None:
    """Fetch the rest of a file, in tries that grow apart until they bring something."""
    note = part.begun()
    if note and note["total"] == part.size:
        return
    failures, farthest = 0, part.size
    while True:
        try:
            return _try_http(part)
        except _Cut as cut:
            failures = 1 if part.size >= farthest + PROGRESS else failures + 1
            farthest = max(farthest, part.size)
            if failures >= TRIES:
                tries = f"in {TRIES} tries of {part.url}"
                raise part.fault(f"{cut}, {tries}; {part.kept()}") from cut
            wait = BACKOFF * 2 ** (failures - 1)
            logging.info("%s: %s; going on in %g s", part.path.stem, cut, wait)
            time.sleep(wait)


def _try_http(part: _Part) -> None:
    """Fetch the rest of a file.

    Raises:
        _Cut: another try may bring more.
        DownloadError: none will.
    """
    note = part.begun()
    held = part.size if note else 0
    # Identity, because the sizes and the sum are those of the file and not of its encoding.
    headers = {"Accept-Encoding": "identity"}
    if held:
        headers |= {"Range": f"bytes={held}-", "If-Range": note["validator"]}
    try:
        with requests.get(part.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            _receive(answer, part, *_judge(answer, part, held, note))
    except requests.exceptions.SSLError as error:
        raise part.fault(f"{part.url} has no valid certificate: {_root(error)}") from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _Cut("the server does not answer in time") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise _Cut(f"the connection failed ({_root(error)})") from error
    except requests.RequestException as error:  # not an address, endless redirection, ...
        raise part.fault(f"cannot fetch {part.url}: {_one_line(error)}") from error


def _judge(answer: requests.Response, part: _Part, held: int, note: dict) -> tuple:
    """Return where in the file this answer starts, and the whole file's length, if it says so."""
    status = f"the server answers {answer.status_code} {answer.reason}"
    if answer.status_code in PASSING:
        raise _Cut(status)
    if answer.status_code in (206, 416):
        span, _, size = answer.headers.get("Content-Range", "").partition("/")
        total = int(size) if size.isdigit() else None
        whole = answer.status_code == 416 and total == held
        same = None in (total, note.get("total")) or total == note["total"]
        if not (whole or (same and span.startswith(f"bytes {held}-"))):
            part.path.unlink(missing_ok=True)  # it begins something else: the next try starts anew
            raise _Cut("the file on the server is not the one begun")
        return held, total
    if answer.status_code != 200:
        raise part.fault(f"{status} for {answer.url}; is the address still right?")
    length = answer.headers.get("Content-Length", "")
    stated = length.isdigit() and "Transfer-Encoding" not in answer.headers
    return 0, int(length) if stated else None


def _receive(answer: requests.Response, part: _Part, start: int, total: int | None) -> None:
    """Write an answer's bytes after the first `start` of a file that has `total`."""
    # Undecoded: a server that labels a .tar.gz "Content-Encoding: gzip" means the file itself.
    chunks = answer.raw.stream(CHUNK, decode_content=False) if answer.ok else iter(())
    chunk = next(chunks, b"")
    if start == 0:
        # Before the first byte is written: a login page must not replace what is already here.
        part.refuse_page(chunk, answer.url)
    free, left = shutil.disk_usage(part.path.parent).free, (total or 0) - part.size
    if left > free:
        room = f"{part.path.parent} has room for {free:,}"
        cure = "make room, or choose another disk with --path"
        raise part.fault(f"{left:,} bytes to come, but {room}; {cure}")
    with open(part.path, "ab" if start else "wb") as file, part.bar(start, total) as bar:
        if start == 0:  # only now are the bytes gone that the old note spoke of
            part.begin(answer, total)
        while chunk:
            file.write(chunk)
            bar.update(len(chunk))
            chunk = next(chunks, b"")
    if total is not None and part.size != total:
        raise _Cut(f"the connection ended at {part.size:,} of {total:,} bytes")
    part.begin(answer, part.size)


def _from_drive(part: _Part) -> None:
    """Fetch a file from Google Drive."""
    if part.path.exists():  # gdown's own partial files have other names: this one is whole
        return
    import gdown  # brings an HTML parser and a cookie reader: not for those who need no Drive

    def advance(done: int, total: int | None) -> None:
        bar.total = total
        bar.update(done - bar.n)

    tries = {"resume": True, "retries": TRIES - 1, "timeout": TIMEOUT}
    try:
        with part.bar(0, None) as bar:
            gdown.download(part.url, str(part.path), quiet=True, progress=advance, **tries)
    except (gdown.exceptions.DownloadError, requests.RequestException) as error:
        advice = f"try later, or save it with a browser to {part.path.parent} under this name"
        why = f"Google Drive does not deliver {part.url}: {_one_line(error)}"
        raise part.fault(f"{why}; {advice}") from error
    try:
        with open(part.path, "rb") as file:
            part.refuse_page(file.read(4096), part.url)
    except DownloadError:
        part.path.unlink()  # or the next run would take the page for the file
        raise


def _root(error: BaseException) -> str:
    """Return the reason at the bottom, such as 'Connection refused', out of its wrapping."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return getattr(error, "strerror", None) or _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
