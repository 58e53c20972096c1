import json

import pytest
import tensorflow as tf
from helpers import one_line

from errors import Ended, UsageError
from model.training import strategy
from model.training.cluster import Cluster

PAIR = Cluster((), ("a:2222", "b:2222"), "worker", 1)


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """An environment that names nothing."""
    for name in ("TF_CONFIG", "SLURM_PROCID", *strategy.TPU_NAMES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gpus(monkeypatch):
    """Makes this machine have so many GPUs, named by their numbers."""

    def have(count):
        devices = {"GPU": [*range(count)], "TPU": [], "CPU": ["cpu"]}
        monkeypatch.setattr(tf.config, "list_physical_devices", devices.get)
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *_: None)
        monkeypatch.setattr(strategy, "over", list)
        monkeypatch.setattr(strategy, "join", lambda found, own: (found, own))

    return have


@pytest.fixture
def pair(monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG",
        json.dumps({"cluster": {"worker": [*PAIR.worker]}, "task": {"type": "worker", "index": 1}}),
    )


@pytest.mark.parametrize("kind", ["auto", "mirrored", "one"])
def test_without_a_gpu_it_mirrors_the_cpu(kind):
    chosen = strategy.choose(kind, 4)
    assert chosen.num_replicas_in_sync == 1
    assert "CPU" in chosen.extended.worker_devices[0]
    assert strategy.is_chief(chosen)


def test_more_gpus_than_there_are(gpus):
    gpus(2)
    with one_line("--devices 3: this machine has 2 GPUs"):
        strategy.choose("auto", 6, devices=3)


def test_a_batch_that_devices_cannot_share_evenly():
    with pytest.raises(UsageError, match="--batch-size 4: 3 devices share it"):
        strategy.choose("mirrored", 4, devices=3)


@pytest.mark.parametrize(("batch_size", "used"), [(4, 4), (6, 3), (7, 1), (16, 4)])
def test_all_gpus_that_share_a_batch_evenly(gpus, batch_size, used):
    gpus(5)
    assert len(strategy.choose("auto", batch_size)) == used


def test_one_of_several_gpus(gpus):
    gpus(4)
    assert strategy.choose("one", 4) == ["GPU:0"]
    with pytest.raises(UsageError, match="--devices 2: --strategy one has one"):
        strategy.choose("one", 4, devices=2)


@pytest.mark.parametrize("kind", ["auto", "workers"])
def test_workers_where_several_are_named(gpus, pair, kind):
    gpus(0)
    assert strategy.choose(kind, 4) == (PAIR, ())


@pytest.mark.parametrize("kind", ["mirrored", "one"])
def test_a_cluster_can_be_left_aside(gpus, pair, kind):
    gpus(1)
    assert strategy.choose(kind, 4) == ["GPU:0"]


def test_workers_where_none_are_named():
    with pytest.raises(UsageError, match="--strategy workers: .*launch --workers 2"):
        strategy.choose("workers", 4)


@pytest.mark.parametrize(
    ("seen", "devices", "part", "used"),
    [
        (0, 0, (0, 1), ()),
        (0, 1, (0, 1), ()),
        (2, 0, (0, 1), (0, 1)),
        (2, 1, (0, 1), (0,)),
        (4, 0, (1, 2), (2, 3)),
        (5, 0, (1, 2), (2, 3)),
        (1, 0, (1, 2), (0,)),  # two on one machine that see another one each
    ],
)
def test_a_worker_has_its_part_of_a_machines_gpus(gpus, seen, devices, part, used):
    gpus(seen)
    found = Cluster((), ("a:1", "a:2"), "worker", part[0], *part)
    assert strategy.workers(found, 8, devices)[1] == used


@pytest.mark.parametrize(
    ("seen", "batch_size", "devices", "words"),
    [
        (0, 3, 0, "--batch-size 3: 2 workers share it"),
        (2, 6, 0, "--batch-size 6: 4 devices of 2 workers share it"),
        (0, 4, 2, "--devices 2: a worker here has one CPU"),
        (2, 4, 3, "--devices 3: a worker here has 2 GPUs"),
    ],
)
def test_workers_that_cannot_share_a_batch(gpus, pair, seen, batch_size, devices, words):
    gpus(seen)
    with pytest.raises(UsageError, match=words):
        strategy.choose("auto", batch_size, devices)


@pytest.mark.parametrize(
    ("variables", "name"), [({"TPU_NAME": "local"}, "local"), ({"TPU_NAME": "mine"}, "mine")]
)
def test_a_tpu_goes_before_workers(monkeypatch, pair, variables, name):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(strategy, "tpu", lambda *given: given)
    assert strategy.choose("auto", 4) == (name, 4)
    monkeypatch.setattr(strategy, "workers", lambda found, *_: found)
    assert strategy.choose("workers", 4) == PAIR


def test_a_tpu_that_tensorflow_sees(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * (kind == "TPU"))
    monkeypatch.setattr(strategy, "tpu", lambda *given: given)
    assert strategy.choose("auto", 4) == ("local", 4)


def test_no_tpu_is_one_line():
    with one_line("--strategy tpu, or TPU_NAME: no TPU 'local': ") as error:
        strategy.choose("tpu", 4)
    assert len(str(error.value)) < 200


ABORTED = "Collective ops is aborted by: recvmsg:Connection reset by peer\nAdditional ..."
SILENT = "Collective ops is aborted by: Error ...\ntasks are unhealthy (stopped sending heartbeats)"


@pytest.mark.parametrize(
    ("kind", "message", "words"),
    [
        (tf.errors.UnavailableError, ABORTED, "its connection broke"),
        (tf.errors.UnavailableError, SILENT, "its heartbeats stay away"),
        (
            tf.errors.DeadlineExceededError,
            "Collective ops is aborted by: \nRPC: Heartbeat",
            "heart",
        ),
    ],
)
def test_a_lost_worker_is_one_line(kind, message, words):
    with pytest.raises(strategy.WorkerLost, match=words) as error, strategy.lost_workers():
        raise kind(None, None, message)
    assert isinstance(error.value, Ended) and error.value.code == 1
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "fault",
    [
        tf.errors.UnavailableError(None, None, "a bucket does not answer"),
        tf.errors.InternalError(None, None, "Collective ops is aborted by: expected type 0"),
        ValueError("Collective ops is aborted"),
    ],
)
def test_other_faults_stay_what_they_are(fault):
    with pytest.raises(type(fault)) as error, strategy.lost_workers():
        raise fault
    assert error.value is fault


def test_one_worker_agrees_with_itself():
    strategy.agree(strategy.choose("one", 4), "anything")


def test_the_cluster_is_looked_for_where_it_may_be_used(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")
    for kind in ("auto", "workers"):
        with pytest.raises(UsageError, match="TF_CONFIG"):
            strategy.choose(kind, 4)
