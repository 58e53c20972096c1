"""Several workers train as one process does: real processes, which meet on loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import SMALL, make_own
from helpers import arrays, history, run
from run_files import NAME, folder, newest, progress

from commands.launch import GRACE
from model.checkpoints.restore import so_far

ROOT = Path(__file__).parent.parent
MAIN = [sys.executable, str(ROOT / "main.py")]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """10 pictures to train on and 3 to validate. In batches of 4 the last of an epoch has 2, none
    of them the second worker's; the validation's only one has 1 that is."""
    folder = make_own(tmp_path_factory.mktemp("corpus") / "own")
    order = np.random.RandomState(42).permutation(13)[:10]
    (folder / "train.txt").write_text("".join(f"{index:02d}\n" for index in order))
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts processes with a cache of their own; none outlives the tests."""
    started, variables = [], {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}

    def run(argv, **more):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        env = {**os.environ, **variables, **more}
        started.append(subprocess.Popen([*MAIN, *argv], cwd=ROOT, env=env, **pipes))
        return started[-1]

    yield run
    for process in started:
        with process:  # closes its pipes, too
            process.kill()


@pytest.fixture(scope="module")
def alone(own, tmp_path_factory):
    """What one process makes of it."""
    results = tmp_path_factory.mktemp("alone")
    assert run(*training(own, results)) == 0
    return results


@pytest.fixture(scope="module")
def pair(own, start, tmp_path_factory):
    """What two workers make of it."""
    results = tmp_path_factory.mktemp("pair")
    out = ended(start(launching(own, results)))
    assert out.count("best weights: ") == 1  # the chief's lines alone
    return results


def ended(process):
    """What a process that ends well has written to stdout."""
    out, err = process.communicate()
    # TensorFlow 2.16 says there that workers have met.
    said = re.sub(r"(?m)^(\[worker \d\] )?(WARNING: All log messages|I0000).*\n", "", err)
    assert (process.returncode, said) == (0, "")
    return out


def training(own, results, *more):
    """Two epochs, in steps so small that rounding stays as small as it is."""
    common = ["--results", str(results), *SMALL, "--epochs", "2", "--learning-rate", "1e-5"]
    return ["train", "-d", str(own), *common, *more]


def launching(own, results, *more):
    return ["launch", "--workers", "2", "--", *training(own, results, *more)]


def values(results):
    """The weights and the optimizer's state after the last step, by their names."""
    file = newest(results).weights
    with h5py.File(file) as content:
        return {name: content[name][()] for name in arrays(file)}


def check_equal(results, others):
    """To the last bit."""
    assert history(results) == history(others)
    assert arrays(newest(results).weights) == arrays(newest(others).weights)


def check_close(results, others):
    """As close as sums of a batch's halves are to the sum of the whole."""
    one, two = history(results), history(others)
    assert len(one) == len(two) == 2
    for row, other in zip(one, two, strict=True):
        assert row.keys() == other.keys() and {"loss", "val_loss"} <= row.keys()
        for name in row:
            assert float(row[name]) == pytest.approx(float(other[name]), abs=1e-5), name
    one, two = values(results), values(others)
    assert one.keys() == two.keys()
    for name in one:  # Adam's moments tell how long gradients were, the weights do not
        scale = 2e-2 * np.abs(one[name]).max() if name.startswith("optimizer/") else 1e-6
        np.testing.assert_allclose(one[name], two[name], rtol=0, atol=scale, err_msg=name)


def test_two_workers_train_as_one_process(alone, pair):
    check_close(alone, pair)
    assert {"val_nss", "val_cc", "val_sim", "val_kld"} <= history(pair)[0].keys()


@pytest.mark.slow
def test_tasks_of_slurm_meet_and_only_the_chief_writes(own, pair, start, tmp_path):
    step = {"STEP_NUM_TASKS": "2", "STEP_NODELIST": "localhost", "STEP_TASKS_PER_NODE": "2"}
    step = {f"SLURM_{name}": value for name, value in {**step, "JOB_ID": str(os.getpid())}.items()}
    results = [tmp_path / "chief", tmp_path / "other"]
    tasks = [
        start(training(own, folder), SLURM_PROCID=str(index), **step)
        for index, folder in enumerate(results)
    ]
    for task in tasks:
        ended(task)
    assert not results[1].exists()
    check_equal(results[0], pair)


def worker(process, index):
    """The process id of a launched worker."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[index])


def wait_for_state(process, results, number):
    """Until a process has written so many states."""
    latest = folder(results) / "latest"
    while not latest.is_file() or int(latest.read_text()) < number:
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("index", [0, 1])
def test_a_killed_worker_ends_the_others_and_the_job_goes_on(own, pair, start, tmp_path, index):
    command = launching(own, tmp_path / "r", "--save-minutes", "0.0001")
    process = start(command)
    wait_for_state(process, tmp_path / "r", 2)  # a state is written after each step; an epoch has 3
    os.kill(worker(process, index), signal.SIGKILL)
    _, err = process.communicate(timeout=GRACE)
    assert process.returncode == 128 + signal.SIGKILL
    (line,) = [line for line in err.splitlines() if "another worker is gone" in line]
    assert "to go on: " in line and "launch --workers 2" in line
    assert f"worker {index} was ended by SIGKILL" in err and err.count("\n") == 2
    saved = progress(tmp_path / "r")
    assert 2 <= 3 * saved["epoch"] + saved["step"] < 6
    assert f"latest checkpoint after {so_far(saved)}\n" in ended(start(command))
    check_equal(tmp_path / "r", pair)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_stands_still_ends_the_others(own, start, tmp_path, index):
    """As one on a machine that is cut off does."""
    process = start(launching(own, tmp_path / "r", "--save-minutes", "0.0001", "--epochs", "500"))
    wait_for_state(process, tmp_path / "r", 2)
    stopped = worker(process, index)
    os.kill(stopped, signal.SIGSTOP)
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(f"worker {1 - index} ended with exit code 1"):
            break
    assert "another worker is gone, its heartbeats stay away" in said[0]
    os.kill(stopped, signal.SIGKILL)
    process.communicate(timeout=GRACE)
    assert process.returncode == 1


@pytest.mark.slow
def test_workers_stop_after_the_same_step_and_go_on(own, pair, start, tmp_path):
    command = launching(own, tmp_path / "r", "--save-minutes", "0.0001")
    process = start(command)
    wait_for_state(process, tmp_path / "r", 1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM after" in err and "[worker 1] stopped by SIGTERM after" in err
    assert "latest checkpoint after" in ended(start(command))
    check_equal(tmp_path / "r", pair)


@pytest.mark.slow
def test_each_worker_keeps_the_features_of_all_pictures(own, start, tmp_path):
    """Their caches are their own, and which pictures come to whom changes with the epoch."""
    model = ["-m", "deepgaze", "--name", NAME]
    ended(start(training(own, tmp_path / "one", *model)))
    ended(start(launching(own, tmp_path / "two", *model)))
    check_close(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_workers_that_do_not_set_out_alike_are_refused(own, start, tmp_path):
    """Here by another seed; without a shared folder of results, by the state that they find."""
    ports = [12345 + os.getpid() % 10000 * 2 + index for index in (0, 1)]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    tasks = []
    for index in (0, 1):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        argv = training(own, tmp_path / "r", "--seed", str(index))
        tasks.append(start(argv, TF_CONFIG=json.dumps(config)))
    for task in tasks:
        _, err = task.communicate()
        assert task.returncode == 2 and "do not set out alike" in err


@pytest.mark.slow
def test_a_port_that_another_program_has(own, start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        cluster = {"worker": [address, "127.0.0.1:1"]}
        config = {"cluster": cluster, "task": {"type": "worker", "index": 0}}
        process = start(training(own, tmp_path / "r"), TF_CONFIG=json.dumps(config))
        _, err = process.communicate()
    assert process.returncode == 2 and err.count("\n") == 1
    assert f"worker 0 at {address}" in err
