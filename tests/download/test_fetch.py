import hashlib
import inspect
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import gdown
import pytest
from helpers import refusal

from download import DownloadError, fetch

BODY = bytes(range(256)) * 1000
MD5 = hashlib.md5(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers the n-th request as the n-th entry of `server.script` says, then as the last does."""

    def do_GET(self):
        script, seen = self.server.script, self.server.seen
        seen.append(self.headers)
        step = script[min(len(seen), len(script)) - 1]
        self.close_connection = True
        if step.get("hang"):
            self.server.over.wait(20)
        elif step.get("status", 200) != 200:
            self.send_error(step["status"])
        else:
            self.answer(**step)

    def answer(self, body=BODY, tag='"v1"', cut=None, ranges=True, shift=0, headers=()):
        wanted = self.headers.get("Range") if ranges else None
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.headers.get("If-Range", tag) != tag:
            start, wanted = 0, None
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            span = f"{start + shift}-{len(body) - 1}"
            self.send_header("Content-Range", f"bytes {span}/{len(body)}")
        length = {"Content-Length": str(len(body) - start)}
        tags = {"ETag": tag} if tag else {}
        for key, value in (length | tags | dict(headers)).items():
            if value is not None:
                self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[start : None if cut is None else start + cut])

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(fetch, "BACKOFF", 0)


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.script, server.seen, server.over = [{}], [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}/a/corpus.zip?x=1"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def get(server, tmp_path):
    def get(**options):
        return fetch.fetch(server.url, tmp_path / "new", name="corpus.zip", **options)

    return get


def failure(get, **options) -> str:
    """Return the one line in which a download fails."""
    return refusal(get, error=DownloadError, **options)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_alone(get, server, tmp_path, capfd):
    path = get(md5=MD5.upper())
    assert path == tmp_path / "new" / "corpus.zip"
    assert path.read_bytes() == BODY
    assert files(path.parent) == ["corpus.zip"]
    assert server.seen[0]["Accept-Encoding"] == "identity"
    assert "B/s" not in capfd.readouterr().err  # no bar where stderr is no terminal


def test_a_cut_connection_is_taken_up_where_it_was_cut(get, server):
    server.script = [{"cut": 1000}, {"cut": 99_000}, {}]
    assert get().read_bytes() == BODY
    assert [seen["Range"] for seen in server.seen] == [None, "bytes=1000-", "bytes=100000-"]
    assert [seen["If-Range"] for seen in server.seen] == [None, '"v1"', '"v1"']


@pytest.mark.parametrize(
    ("tag", "headers", "validator"),
    [
        ('W/"v1"', {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon, 01 Jan 2024"),
        (None, {}, None),
    ],
    ids=["weak tag", "no tag"],
)
def test_a_weak_tag_vouches_for_no_bytes(get, server, tag, headers, validator):
    server.script = [{"cut": 1000, "tag": tag, "headers": headers}, {"status": 404}]
    failure(get)
    assert server.seen[1]["Range"] == "bytes=1000-"
    assert (server.seen[1]["If-Range"] or "None").startswith(str(validator))


def test_a_server_without_ranges_starts_again(get, server):
    server.script = [{"cut": 1000, "ranges": False}, {"ranges": False}]
    assert get().read_bytes() == BODY


def test_two_versions_of_a_file_are_never_joined(get, server):
    new = BODY[::-1]
    server.script = [{"cut": 1000}, {"body": new, "tag": '"v2"'}]
    assert get().read_bytes() == new


@pytest.mark.parametrize("second", [{"shift": 5}, {"body": BODY[:5000], "tag": None}])
def test_a_wrong_range_starts_again(get, server, second):
    server.script = [{"cut": 1000, "tag": None}, second, {"tag": None}]
    assert get().read_bytes() == BODY
    assert server.seen[2]["Range"] is None


def test_the_next_run_goes_on(get, server, tmp_path):
    server.script = [{"cut": 1000}]
    told = failure(get)
    assert "5,000 bytes are kept" in told
    assert "5,000 of 256,000" in told or "IncompleteRead" in told
    assert len(server.seen) == fetch.TRIES
    assert files(tmp_path / "new") == ["corpus.zip.part", "corpus.zip.part.json"]
    server.script = [{}]
    assert get(md5=MD5).read_bytes() == BODY
    assert server.seen[-1]["Range"] == "bytes=5000-"


def test_tries_that_bring_something_are_not_counted(get, server, monkeypatch):
    monkeypatch.setattr(fetch, "PROGRESS", 20_000)
    server.script = [{"cut": 20_000}]
    assert get().read_bytes() == BODY
    assert len(server.seen) == 13  # 256 000 / 20 000


def test_a_part_of_another_address_is_not_continued(get, server, tmp_path):
    server.script = [{"cut": 1000}]
    failure(get)
    note = tmp_path / "new" / "corpus.zip.part.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"url": "http://elsewhere/"}))
    server.script = [{}]
    assert get().read_bytes() == BODY
    assert server.seen[-1]["Range"] is None


@pytest.mark.parametrize(("extra", "requests"), [(b"", 1), (b"more", 2)], ids=["whole", "longer"])
def test_nothing_left_to_send(get, server, tmp_path, extra, requests):
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "corpus.zip.part").write_bytes(BODY + extra)
    note = {"url": server.url, "validator": '"v1"', "total": None}
    (folder / "corpus.zip.part.json").write_text(json.dumps(note))
    assert get(md5=MD5).read_bytes() == BODY
    assert len(server.seen) == requests


@pytest.mark.parametrize("headers", [{"Content-Length": "300000"}, {"Content-Length": None}])
def test_lengths_that_are_wrong_or_missing(get, server, headers):
    server.script = [{"headers": headers}, {"headers": headers, "status": 404}]
    if headers["Content-Length"]:
        assert "404" in failure(get)
    else:
        assert get().read_bytes() == BODY


def test_the_bytes_are_those_of_the_file_whatever_the_label(get, server):
    server.script = [{"headers": {"Content-Encoding": "gzip"}}]
    assert get().read_bytes() == BODY


@pytest.mark.parametrize("length", [str(len(BODY)), None])
def test_another_sum_deletes_nothing(get, server, tmp_path, length):
    server.script = [{"headers": {"Content-Length": length}}]
    part = tmp_path / "new" / "corpus.zip.part"
    for _ in range(2):  # the second run neither fetches it again nor overwrites it
        told = failure(get, md5="0" * 32)
        assert MD5 in told and "0" * 32 in told and str(part) in told
        assert part.read_bytes() == BODY
    assert len(server.seen) == 1
    assert not (tmp_path / "new" / "corpus.zip").exists()


def test_a_file_that_is_there_is_taken_as_it_is(get, server, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "corpus.zip").write_bytes(b"mine")
    assert get().read_bytes() == b"mine"
    assert get(md5=hashlib.md5(b"mine").hexdigest()).read_bytes() == b"mine"
    assert MD5 in failure(get, md5=MD5)
    assert (tmp_path / "new" / "corpus.zip").read_bytes() == b"mine"
    assert server.seen == []


def test_a_missing_file_is_asked_for_once(get, server, tmp_path):
    server.script = [{"status": 404}]
    told = failure(get)
    assert "404 Not Found" in told and server.url in told
    assert len(server.seen) == 1
    assert files(tmp_path / "new") == []


def test_a_busy_server_is_asked_again(get, server):
    server.script = [{"status": 503}, {"status": 429}, {}]
    assert get().read_bytes() == BODY


def test_a_server_that_stays_busy_is_left_alone(get, server):
    server.script = [{"status": 503}]
    assert "503 Service Unavailable, in 5 tries" in failure(get)
    assert len(server.seen) == 5


def test_a_silent_server_is_given_up(get, server, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT", (0.1, 0.1))
    server.script = [{"hang": True}]
    assert "does not answer in time" in failure(get)
    assert len(server.seen) == 5


def test_no_server(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x.zip"
        told = failure(lambda: fetch.fetch(url, tmp_path, name="x.zip"))
    assert "Connection refused" in told and "nothing is kept" in told


@pytest.mark.parametrize("url", ["x.zip", "ftp://x/y", "http://", "http://[x/", "file:///etc/motd"])
def test_no_address(tmp_path, url):
    assert url in failure(lambda: fetch.fetch(url, tmp_path, name="x.zip"))


def test_a_web_page_replaces_nothing(get, server, tmp_path):
    page = {"body": b"\n <!DOCTYPE html><html><body>Log in", "ranges": False}
    server.script = [{"cut": 1000}, page]
    assert "web page" in failure(get)
    assert (tmp_path / "new" / "corpus.zip.part").read_bytes() == BODY[:1000]
    server.script = [{}]
    assert get().read_bytes() == BODY


def test_no_room_is_said_before_a_byte_is_written(get, monkeypatch, tmp_path):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=255_999))
    told = failure(get)
    assert "256,000" in told and "255,999" in told
    assert not (tmp_path / "new" / "corpus.zip.part").exists()


def test_no_room_for_a_new_version_keeps_the_old_beginning_apart(get, server, monkeypatch):
    server.script = [{"cut": 1000}]
    failure(get)
    new = BODY[::-1]
    server.script = [{"body": new, "tag": '"v2"'}]
    with monkeypatch.context() as patch:
        patch.setattr(fetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
        failure(get)
    assert get().read_bytes() == new


def test_a_folder_that_cannot_be_written(get, tmp_path):
    (tmp_path / "new").write_text("a file")
    assert str(tmp_path / "new") in failure(get)


# Google Drive cannot be reached from a test. So its addresses go to a stand-in of gdown.download
# with the real one's parameters; and the real one gets a local address, as if that were Drive's.
DRIVE = "https://drive.google.com/uc?id=1g8j-hTT-51IG1UFwP0xTGhLdgIUCW5e5"


@pytest.fixture
def drive(monkeypatch, tmp_path):
    signature = inspect.signature(gdown.download)

    def install(behave):
        def download(*args, **options):
            return behave(**signature.bind(*args, **options).arguments)

        monkeypatch.setattr(gdown, "download", download)
        return lambda **options: fetch.fetch(DRIVE, tmp_path, name="corpus.zip", **options)

    return install


def test_drive(drive, tmp_path):
    asked = []

    def deliver(url, output, resume, progress, timeout, retries, quiet):
        asked.append((url, resume, quiet))
        progress(1000, len(BODY))
        with open(output, "wb") as file:
            file.write(BODY)

    get = drive(deliver)
    assert MD5 in failure(get, md5="0" * 32)
    assert get(md5=MD5).read_bytes() == BODY
    assert asked == [(DRIVE, True, True)]  # what came with another sum was kept, and found again
    assert files(tmp_path) == ["corpus.zip"]


def test_drive_refuses(drive):
    def refuse(**options):
        raise gdown.exceptions.FileURLRetrievalError("Failed:\n\n\ttoo many accesses")

    assert "Failed: too many accesses" in failure(drive(refuse))


def test_drive_delivers_a_page(drive, tmp_path):
    def deliver(output, **options):
        with open(output, "wb") as file:
            file.write(b"<html>quota exceeded</html>")

    assert "web page" in failure(drive(deliver))
    assert files(tmp_path) == []


def test_gdown_resumes(get, server, monkeypatch):
    monkeypatch.setattr(fetch, "DRIVE", ("http://127.0.0.1",))
    monkeypatch.setattr("random.uniform", lambda low, high: low)  # gdown's wait between tries
    body = BODY * 8
    server.script = [{"body": body, "cut": 600_000}, {"body": body, "cut": 600_000}, {"body": body}]
    path = get(md5=hashlib.md5(body).hexdigest())
    assert path.read_bytes() == body
    # gdown drops the last, unfilled piece of 512 KiB.
    ranges = [None, "bytes=524288-", "bytes=1048576-"]
    assert [seen["Range"] for seen in server.seen] == ranges
    assert files(path.parent) == ["corpus.zip"]
