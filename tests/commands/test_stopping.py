"""Signals: the first ends a training after its step, with all of it saved; the next at once."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SMALL
from processes import PATIENCE
from run_files import left

from commands.stopping import Stop, Stopped

ROOT = Path(__file__).parents[2]


def until(happens):
    """Waits for something; a test fails after some time, it does not hang."""
    end = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.001)


def sent(number, stop):
    """Sends a signal to this process and waits until it is known."""
    os.kill(os.getpid(), number)
    until(stop)


# what is noticed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noticed_and_named(number, capsys):
    with Stop() as stop:
        assert not stop() and stop.signal is None
        sent(number, stop)
        assert stop.signal == number
    said = capsys.readouterr().err
    assert said == f"{number.name}: stops after this step; once more: at once\n"
    stopped = Stopped(number, "after 2 epochs, which are saved")
    assert stopped.code == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert str(stopped) == f"stopped by {number.name} after 2 epochs, which are saved"


def pipes():
    """The pipes that this process holds; other threads open and close files of their own."""
    held = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            held.add(os.readlink(link))
    return held


def test_afterwards_signals_do_what_they_did():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for _ in range(3):
        with Stop() as stop:
            own = os.readlink(f"/proc/self/fd/{stop.writing}")
            assert own in pipes()
            sent(signal.SIGTERM, stop)
        until(lambda own=own: own not in pipes())  # the thread closes its end after ours
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_other_signals_are_none_of_its_business():
    came = []
    before = signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            until(lambda: came)
            assert not stop()
            sent(signal.SIGTERM, stop)  # after it in the pipe
            assert stop.signal == signal.SIGTERM
    finally:
        signal.signal(signal.SIGUSR1, before)


BUSY = """
import hashlib, sys
from commands.stopping import Stop
with Stop():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # as a long step: Python waits for it
"""


@pytest.fixture
def busy():
    """A process in the middle of a long step."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BUSY], cwd=ROOT, **pipes) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "first, second", [("SIGTERM", "SIGINT"), ("SIGINT", "SIGINT"), ("SIGINT", "SIGTERM")]
)
def test_a_second_signal_ends_it_in_the_middle_of_a_step(busy, first, second):
    busy.send_signal(getattr(signal, first))
    said = busy.stderr.readline().decode()
    assert said == f"{first}: stops after this step; once more: at once\n"
    busy.send_signal(getattr(signal, second))
    assert busy.wait(PATIENCE) == 128 + getattr(signal, second)


def test_a_second_signal_is_heard_where_nobody_reads_the_lines_any_more(busy):
    """As where Ctrl-C ended what they were piped to, too."""
    busy.stderr.close()

    def ended():
        busy.send_signal(signal.SIGINT)
        return busy.poll() is not None

    until(ended)
    assert busy.returncode == 130


def test_a_signal_too_late_for_a_run_ends_those_that_follow_it():
    from commands.training import stoppable
    from model.training.trainer import Interrupted, Progress

    said = "SIGINT after 3 epochs, which are saved"
    with pytest.raises(Stopped, match=said) as late, stoppable(Progress(3)) as stop:
        sent(signal.SIGINT, stop)
    assert late.value.code == 130
    # One that another worker got is taken for SIGTERM: all of them are to go on later.
    said = "SIGTERM after 1 epochs and 2 steps, which"
    with pytest.raises(Stopped, match=said) as others, stoppable(Progress(1, 2)):
        raise Interrupted
    assert others.value.code == 143
    with stoppable(Progress(3)):
        pass


# runs


@pytest.fixture
def stopped(cli, own, monkeypatch, quick):
    """Runs a training that gets a signal in a step: its lines on stderr."""
    from commands import training
    from model.training import trainer

    def run(number, when, *argv):
        stops, fine = [], trainer.check_finite

        class Known(Stop):
            def __enter__(self):
                stops.append(self)
                return super().__enter__()

        def check(sums, batch, strategy, names, now):
            fine(sums, batch, strategy, names, now)
            if now == when:
                sent(number, stops[-1])

        monkeypatch.setattr(training, "Stop", Known)
        monkeypatch.setattr(trainer, "check_finite", check)
        code, out, err = cli("train", "-d", own, *SMALL, *argv)
        monkeypatch.undo()
        assert code == 128 + number
        return out, err.splitlines()

    return run


def test_a_stopped_training_of_scanpaths_goes_on_as_if_it_had_not_been(cli, own, tmp_path, stopped):
    """Stopped in mid-epoch: the very same history and weights at the end."""
    more = ("-m", "deepgaze", "--scanpath", "--fixations-per-picture", "3", "--epochs", "1")
    more += ("--metrics", "entropy", "--results")
    code, _, err = cli("train", "-d", own, *SMALL, *more, tmp_path / "whole")
    assert (code, err) == (0, "")
    out, (first, second) = stopped(signal.SIGTERM, "epoch 1, step 1", *more, tmp_path / "parts")
    assert first == "SIGTERM: stops after this step; once more: at once"
    wanted = "stopped by SIGTERM after 0 epochs and 2 steps, which are saved; to go on: "
    assert second.startswith(wanted) and "saved after 0 epochs and 2 steps" in out
    assert not (tmp_path / "parts" / "history").exists()
    code, out, err = cli("train", "-d", own, *SMALL, *more, tmp_path / "parts")
    assert (code, err) == (0, "")
    assert "deepgaze_own's latest checkpoint after 0 epochs and 2 steps" in out
    assert left(tmp_path / "parts", "deepgaze_own") == left(tmp_path / "whole", "deepgaze_own")
