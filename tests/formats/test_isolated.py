import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import misreading
import pytest
from helpers import refusal_of

from formats import isolated

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def readers(monkeypatch):
    """Have a process of its own find the readers of this test."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    isolated._end()
    yield
    isolated._end()


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"12345")
    return tmp_path / "a.mat"


def refusal(path, reader) -> str:
    return refusal_of(path, isolated.read, reader, path)


def processes(path) -> tuple[int, int]:
    found = isolated.read(misreading.read, path)
    return int(found["parent"]), int(found["process"])


def test_many_files_are_read_in_a_fork_of_one_server(path):
    with ThreadPoolExecutor(8) as pool:
        found = {*pool.map(lambda _: processes(path), range(40))}
    assert len(found) == 1 and os.getpid() not in min(found)


def test_a_refusal_is_one_line_and_no_harm(path):
    before = processes(path)
    assert refusal(path, misreading.refuse) == "two lines ?"
    assert processes(path) == before


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (misreading.fail, "no such heap ?"),
        (misreading.crash, "what reads it crashes: SIGSEGV"),
        (misreading.leave, "what reads it crashes: exit code 7"),
        (misreading.stop, "what reads it crashes: exit code 1"),
        (misreading.fill, "to read it takes more memory than it may"),
        (misreading.nest, "maximum recursion depth exceeded"),
        (misreading.answer_objects, "what reads it gives no answer"),
        (misreading.lie, "what reads it gives no answer"),
    ],
)
def test_what_does_harm_is_one_line_and_harms_no_other_file(path, monkeypatch, reader, said):
    monkeypatch.setattr(isolated, "MEMORY", 2**29)
    before = processes(path)[1]
    found = refusal(path, reader)
    assert found.startswith("not a whole .mat file (") and said in found
    assert processes(path)[1] != before


@pytest.mark.parametrize(("reader", "wait"), [(misreading.loop, 1), (misreading.compute, 60)])
def test_what_comes_to_no_end_is_ended(path, monkeypatch, reader, wait):
    monkeypatch.setattr(isolated, "SECONDS", 1)
    monkeypatch.setattr(isolated, "WAIT", wait)
    said = "not a whole .mat file (to read it takes more time than it may)"
    assert refusal(path, reader) == said


def test_a_busy_machine_is_waited_for(path, monkeypatch):
    monkeypatch.setattr(isolated, "SECONDS", 1)
    assert isolated.read(misreading.rest, path) == {}


def test_an_interrupt_does_not_leave_an_answer_for_the_next_file(path, monkeypatch):
    def interrupted(content):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(isolated, "arrays", interrupted)
        with pytest.raises(KeyboardInterrupt):
            isolated.read(misreading.nothing, path)
    assert isolated.read(misreading.read, path)["length"] == 5


def test_an_interrupt_ends_at_once_what_comes_to_no_end(path):
    _, process = processes(path)
    began = time.monotonic()
    here = threading.get_ident()
    threading.Timer(1, signal.pthread_kill, [here, signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        isolated.read(misreading.loop, path)
    assert time.monotonic() - began < isolated.SECONDS
    while Path(f"/proc/{process}").exists():  # whoever adopts it has to see that it ended
        assert time.monotonic() - began < isolated.SECONDS
        time.sleep(0.1)


def test_a_limit_that_is_there_already_is_kept(path):
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29)); import sys; "
    code += "from pathlib import Path; from formats import isolated; import misreading; "
    code += "isolated.read(misreading.fill, Path(sys.argv[1]))"
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    ended = subprocess.run(
        [sys.executable, "-c", code, path], env=os.environ | {"PYTHONPATH": paths},
        capture_output=True, text=True,
    )  # fmt: skip
    assert "takes more memory" in ended.stderr


@pytest.mark.parametrize("names", [["numpy.py", "json.py", "formats/isolated.py"]])
def test_what_lies_where_one_is_is_not_run(path, monkeypatch, names, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert isolated.read(misreading.read, Path("a.mat"))["length"] == 5
