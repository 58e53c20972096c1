"""Which checkpoint of a run counts, whatever was cut off or damaged, and who has the run."""

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import flip, one_line

import storage
from model.checkpoints import folders
from model.checkpoints.runs import Run, with_best

ROOT = Path(__file__).parents[3]
FILES = ("weights.h5", "run.json")


def save(folder, text, before=None):
    """Save a checkpoint whose files say a text; return its folder."""
    files = {name: lambda part: part.write_text(f"{part.suffixes} {text}") for name in FILES}
    return folders.save(folder, files, before)


def newest(place):
    found = folders.newest(place)
    return found and found.folder


def two(folder):
    """Save two checkpoints, as a run leaves them that goes on."""
    first = save(folder, "first")
    return first, save(folder, "second", first)


# saving


def test_two_checkpoints_stay_and_what_else_lies_there(tmp_path):
    others = {"thesis.txt", "12345"}  # a checkpoint's name has six digits
    (tmp_path / "thesis.txt").touch()
    (tmp_path / "12345").mkdir()
    before = None
    for count in range(1, 5):
        state = save(tmp_path, count, before)
        kept = {path.name for path in (state, before) if path}
        assert {path.name for path in tmp_path.iterdir()} == {"latest", *kept, *others}
        assert state.name == f"{count:06d}" and newest(tmp_path) == state
        before = state
    assert {path.name for path in before.iterdir()} == {*FILES, "checks.json"}


def test_checkpoints_of_another_line_go(tmp_path):
    """A run started anew has none before its first; one that fell back goes on from that."""
    first, second = two(tmp_path)
    (second / FILES[0]).write_text("damaged")
    third = save(tmp_path, "third", newest(tmp_path))
    assert sorted(folders.numbered(tmp_path)) == [first, third] and third.name == "000003"
    fresh = save(tmp_path, "fresh", None)
    assert folders.numbered(tmp_path) == [fresh] and fresh.name == "000004"


@pytest.fixture
def cut(monkeypatch):
    """Has the writing of files end after so many of them; which came in which order."""
    whole, came = storage.replacing, []

    def after(count=None):
        came.clear()

        @contextmanager
        def replacing(place):
            if len(came) == count:
                raise KeyboardInterrupt
            with whole(place) as part:
                yield part
            came.append(place.name)

        monkeypatch.setattr(storage, "replacing", replacing)
        return came

    return after


def test_the_pointer_is_written_last_and_until_then_the_one_before_counts(tmp_path, cut):
    order = [*FILES, "checks.json", "latest"]
    for before in (None, save(tmp_path / "later", "first")):
        folder = tmp_path / "later" if before else tmp_path / "first"
        for count in range(4):
            cut(count)
            with pytest.raises(KeyboardInterrupt):
                save(folder, "cut", before)
            found = newest(folder)
            assert found == before or (before is None and count == 3)  # whole, unless pointed at
        came = cut()
        state = save(folder, "whole", before)
        assert came == order and newest(folder) == state
        assert (state / "run.json").read_text().endswith("whole")


def test_checkpoints_that_were_cut_off_say_nothing_and_go_with_the_next(tmp_path, cut, caplog):
    first = save(tmp_path, "first")
    for count in (1, 2):
        cut(count)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, "cut", first)
        assert newest(tmp_path) == first
    cut()
    state = save(tmp_path, "whole", first)
    assert sorted(folders.numbered(tmp_path)) == [first, state] and not caplog.records


@pytest.mark.parametrize("name", ["a", "b", "checks.json", "latest"])
def test_what_cannot_be_written_takes_no_room_and_leaves_the_one_before(
    tmp_path, monkeypatch, name
):
    first, whole = save(tmp_path, "first"), storage.replacing

    @contextmanager
    def full(place):
        with whole(place) as part:
            yield part
            if place.name == name:
                raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "replacing", full)
    with pytest.raises(OSError, match="No space left"):
        folders.save(tmp_path, dict.fromkeys("ab", lambda part: part.write_text("")), first)
    assert {path.name for path in tmp_path.iterdir()} == {"latest", first.name}
    assert newest(tmp_path) == first


# damage

DAMAGES = {
    "cut short": lambda state: (state / FILES[0]).write_text("['.h"),
    "a bit": lambda state: flip(state / FILES[1]),
    "longer": lambda state: (state / FILES[1]).write_text("[] second more"),
    "empty": lambda state: (state / FILES[0]).write_bytes(b""),
    "gone": lambda state: (state / FILES[0]).unlink(),
    "checks cut short": lambda state: (state / "checks.json").write_text('{"model'),
    "checks gone": lambda state: (state / "checks.json").unlink(),
    "checks empty": lambda state: (state / "checks.json").write_bytes(b""),
    "checks of bytes": lambda state: (state / "checks.json").write_bytes(b"\xff\x00"),
    "checks of a list": lambda state: (state / "checks.json").write_text("[1]"),
    "checks of another": lambda state: flip(state / "checks.json", -3),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path, damage, caplog):
    first, second = two(tmp_path)
    DAMAGES[damage](second)
    assert newest(tmp_path) == first
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{second}: ") and line.endswith("; the checkpoint before it is tried")
    assert "\n" not in line


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_anew_by_itself(tmp_path):
    for state in two(tmp_path):
        flip(state / FILES[0])
    with one_line("no checkpoint in it is whole; --fresh starts") as error:
        folders.newest(tmp_path)
    assert str(error.value).startswith(str(tmp_path))


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"000009", b"../../etc"])
def test_a_damaged_pointer_is_no_obstacle(tmp_path, content):
    _, second = two(tmp_path)
    (tmp_path / "latest").unlink()
    if content is not None:
        (tmp_path / "latest").write_bytes(content)
    assert newest(tmp_path) == second


def test_where_nothing_was_saved_there_is_no_checkpoint(tmp_path):
    assert folders.newest(tmp_path / "nothing") is None
    (tmp_path / "000001").mkdir()
    (tmp_path / "000001" / FILES[0]).touch()  # the very first was cut off
    assert folders.newest(tmp_path) is None


@pytest.mark.parametrize("place", ["", ".", "..", "/"])
def test_where_a_place_has_no_name_there_is_no_checkpoint(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    assert folders.find(Path(place)) is None


# the lock

HOLD = """
import sys
from pathlib import Path
from model.checkpoints.folders import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_has_one_process_until_that_is_gone_even_killed(tmp_path):
    folder = tmp_path / "latest" / "msinet_own"
    command = [sys.executable, "-c", HOLD, folder]
    holder = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        said = "^msinet_own is being trained by another"
        with one_line(said) as error, folders.locked(folder):
            pass
        assert "--name" in str(error.value)
        with folders.locked(folder.with_name("other")):
            pass
        holder.send_signal(signal.SIGKILL)
        assert holder.wait() == -signal.SIGKILL
        with folders.locked(folder):
            assert folders.newest(folder) is None
    finally:
        holder.kill()
        holder.communicate()


def test_a_lock_is_let_go_where_the_run_fails(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), folders.locked(tmp_path / "r"):
            raise KeyError


def test_runs_may_be_called_like_files_of_runs_of_before(tmp_path):
    names = ["a", "a.json", "a.weights.h5"]
    for name in names * 2:
        save(Run(tmp_path, name).best_place, name)
    texts = {name: best.weights.read_text() for name, best in with_best(tmp_path).items()}
    assert texts == {name: f"['.part', '.h5'] {name}" for name in names}
