"""Starting workers, with real processes that stand in for training: they import no TensorFlow."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import launch
from errors import UsageError

ROOT = Path(__file__).parents[2]
HEAD = """
import json, os, signal, sys, time
from pathlib import Path
config = json.loads(os.environ["TF_CONFIG"])
index, folder = config["task"]["index"], Path(sys.argv[2])
def write(name, text):
    (folder / f"{name}.part").write_text(text)
    (folder / f"{name}.part").rename(folder / name)
write(f"pid{index}", str(os.getpid()))
def alone():  # returns once worker 1 has ended and launch has seen it
    while not (folder / "pid1").exists():
        time.sleep(0.01)
    while Path("/proc", (folder / "pid1").read_text()).exists():
        time.sleep(0.01)
"""
# What a worker does that notes the signals it gets, and that it is there.
NOTING = """
def note(number, frame):
    with open(folder / f"signals{index}", "a") as file:
        file.write(f"{number}\\n")
    if number in ENDS:
        sys.exit(128 + number)
signal.signal(signal.SIGINT, note)
signal.signal(signal.SIGTERM, note)
write(f"there{index}", f"{os.getpid()} {os.getsid(0)}")
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Launches two workers, in this process, that run a text of Python."""

    def run(body):
        monkeypatch.setattr(launch, "MAIN", tmp_path / "main.py")
        launch.MAIN.write_text(HEAD + body)
        return launch.launch(2, ["train", str(tmp_path)])

    return run


@pytest.fixture
def started(tmp_path):
    """Launches two noting workers from a process of their own, and waits until they are there."""
    main, processes = tmp_path / "main.py", []

    def run(ends, **constants):
        main.write_text(f"{HEAD}ENDS = {ends}\n{NOTING}")
        code = "import sys\nfrom pathlib import Path\nfrom commands import launch\n"
        code += "".join(f"launch.{name} = {value}\n" for name, value in constants.items())
        code += f"launch.MAIN = Path({str(main)!r})\n"
        code += f"sys.exit(launch.launch(2, ['train', {str(tmp_path)!r}]))"
        processes.append(subprocess.Popen([sys.executable, "-c", code], cwd=ROOT))
        there = [tmp_path / "there0", tmp_path / "there1"]
        until(lambda: all(path.exists() for path in there))
        return processes[0], [[int(n) for n in path.read_text().split()] for path in there]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def until(true):
    """Waits for what must come."""
    for _ in range(2400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def signals(tmp_path, index):
    return [int(n) for n in (tmp_path / f"signals{index}").read_text().split()]


def test_each_worker_is_told_who_it_is(start, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["main.py", "launch", "--workers", "2", "a b"])
    body = "(folder / f'{index}.json').write_text(json.dumps([config, os.environ['LAUNCHED_AS']]))"
    assert start(body) == 0
    (one, typed), (two, _) = [json.loads((tmp_path / f"{i}.json").read_text()) for i in (0, 1)]
    assert one["cluster"] == two["cluster"] and typed.endswith(" main.py launch --workers 2 'a b'")
    addresses = one["cluster"]["worker"]
    assert len({*addresses}) == 2 and all(a.startswith("127.0.0.1:") for a in addresses)
    assert [one["task"], two["task"]] == [{"type": "worker", "index": i} for i in (0, 1)]


def test_the_chief_is_shown_as_it_is_the_others_by_their_errors(start, capfd):
    body = "print('out', index, flush=True); print('err', index, file=sys.stderr, flush=True)"
    assert start(body) == 0
    out, err = capfd.readouterr()
    assert out == "out 0\n"
    assert sorted(err.splitlines()) == ["[worker 1] err 1", "err 0"]


def test_the_first_failures_code_counts_and_is_told(start, capfd):
    assert start("index or alone(); sys.exit(3 + index)") == 4
    (line,) = capfd.readouterr().err.splitlines()  # the last one that ends leaves nobody waiting
    assert line == "worker 1 ended with exit code 4; the others have 60 s to end"


def test_who_does_not_end_after_another_failed_is_killed(start, capfd, monkeypatch):
    monkeypatch.setattr(launch, "GRACE", 0.5)
    assert start("time.sleep(60) if index == 0 else os.kill(os.getpid(), signal.SIGKILL)") == 137
    one, two = capfd.readouterr().err.splitlines()
    assert one == "worker 1 was ended by SIGKILL; the others have 0.5 s to end"
    assert two == "worker 0 was ended by SIGKILL"


def test_who_was_stopped_and_saved_leaves_the_others_their_time(start, capfd, monkeypatch):
    monkeypatch.setattr(launch, "GRACE", -1.0)
    assert start("sys.exit(143) if index else alone()") == 143
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", launch.FORWARDED)
def test_a_signal_reaches_all_once_and_only_from_here(started, tmp_path, number):
    process, found = started(ends=[int(number)])
    for pid, session in found:  # Ctrl-C goes to the terminal's own
        assert pid == session
    process.send_signal(number)
    assert process.wait(120) == 128 + number
    assert [signals(tmp_path, index) for index in (0, 1)] == [[number], [number]]


def test_a_second_signal_ends_all(started, tmp_path):
    process, found = started(ends=[], SECOND=0.5)
    process.send_signal(signal.SIGINT)
    until(lambda: all((tmp_path / f"signals{index}").exists() for index in (0, 1)))
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 137
    assert not any(alive(pid) for pid, _ in found)


@pytest.mark.skipif(sys.platform != "linux", reason="no system else tells children")
def test_workers_are_asked_to_end_when_the_one_that_started_them_is_killed(started, tmp_path):
    process, found = started(ends=[signal.SIGTERM.value])
    process.kill()
    until(lambda: not any(alive(pid) for pid, _ in found))
    assert [signals(tmp_path, index) for index in (0, 1)] == [[15], [15]]


@pytest.mark.parametrize(
    ("seen", "workers", "parts"),
    [
        ("0,1,2,3,4", 2, ["0,1", "2,3"]),
        ("GPU-a,GPU-b", 2, ["GPU-a", "GPU-b"]),
        ("", 2, [None, None]),
        ("-1", 2, [None, None]),
    ],
)
def test_workers_part_the_gpus(monkeypatch, seen, workers, parts):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    shared = launch.shared_gpus(workers)
    assert [variables.get("CUDA_VISIBLE_DEVICES") for variables in shared] == parts


def test_gpus_are_counted_where_none_are_named(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.visible_gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho GPU 0: A\necho '  MIG 1g'\necho GPU 1: B\n")
    tool.chmod(0o755)
    assert launch.visible_gpus() == ["0", "1"]


def test_more_workers_than_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(UsageError, match="--workers 2: this machine has 1 GPUs"):
        launch.launch(2, ["train"])


@pytest.mark.parametrize("command", [[], ["test"], ["launch"]])
def test_only_training_has_workers(command):
    with pytest.raises(UsageError, match="only train has workers"):
        launch.launch(2, command)


def test_starting_workers_imports_no_tensorflow():
    code = "import sys, commands.launch; print({'tensorflow', 'keras', 'numpy'} & {*sys.modules})"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"
