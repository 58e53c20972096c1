"""storage.py on S3: what a store has and a disk has not."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import storage
from errors import UsageError


def put(place, content=b"1"):
    with storage.replacing(place) as part:
        part.write_bytes(content)
    return place


def test_objects_are_written_read_listed_and_removed(remote, bucket):
    content = os.urandom(12_000_000)  # above the size that is sent in parts
    put(remote / "sub" / "big", content)
    put(remote / "a.txt", b"one\ntwo")
    put(remote / "sub" / "empty", b"")
    assert bucket.Object("folder/sub/big").get()["Body"].read() == content
    assert (remote / "sub" / "big").read_bytes() == content
    with storage.local(remote / "sub" / "big") as file:
        assert file.read_bytes() == content
    assert list((remote / "a.txt").open()) == ["one\n", "two"]
    assert (remote / "sub" / "empty").read_bytes() == b"" and (remote / "sub" / "empty").is_file()
    assert [*remote.iterdir()] == [remote / "a.txt", remote / "sub"]
    assert [*remote.parent.iterdir()] == [remote]
    assert [*remote.glob("*.txt")] == [remote / "a.txt"] and [*(remote / "no").glob("*")] == []
    assert remote.is_dir() and (remote / "sub").is_dir() and not (remote / "a.txt").is_dir()
    assert not (remote / "su").exists() and not (remote / "no").is_dir()
    walked = [(at, folders, names) for at, folders, names in storage.walk(remote)]
    assert walked == [(remote, ["sub"], ["a.txt"]), (remote / "sub", [], ["big", "empty"])]
    storage.remove(remote / "sub")
    storage.remove(remote / "sub")
    assert [each.key for each in bucket.objects.all()] == ["folder/a.txt"]
    (remote / "a.txt").unlink()
    assert not list(bucket.objects.all())


def test_an_object_is_replaced_whole_or_not_at_all(remote, bucket):
    place = put(remote / "a.txt", b"old")
    before = place.stat()
    with pytest.raises(ValueError), storage.replacing(place) as part:
        part.write_bytes(b"half")
        raise ValueError
    assert place.read_bytes() == b"old" and len(list(bucket.objects.all())) == 1
    put(place, b"newer")
    assert place.read_bytes() == b"newer" and place.stat().st_size == 5
    assert place.stat().st_mtime_ns >= before.st_mtime_ns > 0


def test_a_copy_that_is_kept_follows_the_object(remote, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    copy = storage.kept(put(remote / "a.hdf5", b"first"))
    assert storage.kept(remote / "a.hdf5") == copy and copy.read_bytes() == b"first"
    assert storage.kept(put(remote / "a.hdf5", b"another")).read_bytes() == b"another"


def test_faults_of_a_store_are_those_of_a_disk(remote):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        (remote / "none").read_bytes()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        (remote / "none").stat()
    lost = storage.path("s3://no-such-bucket/results")
    with pytest.raises(FileNotFoundError, match="The specified bucket does not exist"):
        put(lost / "a.txt")
    with pytest.raises(UsageError, match="^--results s3://no-such-bucket/results: cannot write"):
        storage.check_writable(lost)
    storage.check_writable(remote)
    assert not remote.exists()


def test_many_threads_share_a_store(remote):
    def there_and_back(index):
        return put(remote / f"{index}.bin", bytes([index]) * 1000).read_bytes()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(there_and_back, range(64))) == [bytes([i]) * 1000 for i in range(64)]
    assert len([*remote.iterdir()]) == 64
