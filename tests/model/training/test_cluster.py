import json
import os

import pytest
from helpers import one_line

from errors import UsageError
from model.training import cluster
from model.training.cluster import Cluster

PAIR = {"worker": ["a:2222", "b:2222"]}
FIRST = {"type": "worker", "index": 0}


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No cluster, GPU or nvidia-smi but what a test names."""
    for name in [name for name in os.environ if name.startswith(("SLURM", "TF_CONFIG", "CUDA"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def tf_config(monkeypatch):
    def name(cluster, task):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))

    return name


@pytest.fixture
def slurm(monkeypatch):
    def name(index, nodes, per_node, tasks, **more):
        step = {"STEP_NUM_TASKS": tasks, "STEP_NODELIST": nodes, "STEP_TASKS_PER_NODE": per_node}
        for key, value in {"PROCID": index, **step, **more}.items():
            monkeypatch.setenv(f"SLURM_{key}", str(value))

    return name


def test_nothing_names_a_cluster(monkeypatch):
    assert cluster.find() is None
    for text in ("", "{}"):
        monkeypatch.setenv("TF_CONFIG", text)
        assert cluster.find() is None


def test_workers_by_tf_config(tf_config):
    tf_config(PAIR, {"type": "worker", "index": 1})
    found = cluster.find()
    assert found == Cluster((), ("a:2222", "b:2222"), "worker", 1)
    assert (found.address, found.addresses) == ("b:2222", ("a:2222", "b:2222"))
    assert found.spec() == PAIR


def test_a_chief_is_the_first_of_all(tf_config):
    tf_config({"worker": ["a:1"], "chief": ["c:1"]}, {"type": "chief", "index": "0"})
    found = cluster.find()
    assert (found.address, found.addresses) == ("c:1", ("c:1", "a:1"))


def test_one_task_is_no_cluster(tf_config):
    tf_config({"chief": ["a:1"]}, {"type": "chief", "index": 0})
    assert cluster.find() is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"cluster', "JSONDecodeError"),
        ("[]", "AttributeError"),
        (json.dumps({"cluster": PAIR}), "TypeError"),
        (json.dumps({"cluster": PAIR, "task": {"type": "worker"}}), "'index'"),
        (json.dumps({"cluster": PAIR, "task": {"type": "worker", "index": 2}}), "no worker 2"),
        (json.dumps({"cluster": PAIR, "task": {"type": "worker", "index": -1}}), "no worker -1"),
        (json.dumps({"cluster": PAIR, "task": {"type": "chief", "index": 0}}), "no chief 0"),
        (json.dumps({"cluster": PAIR, "task": {"type": "ps", "index": 0}}), "a 'ps', allowed are"),
        *(
            (json.dumps({"cluster": {"worker": ["a:1", wrong]}, "task": FIRST}), f"{wrong!r} is no")
            for wrong in ("b:0", "b:65536", "b", ":2222", "b:x", "b:-1")
        ),
        (json.dumps({"cluster": {"worker": "a:2222"}, "task": FIRST}), "'a' is no host:port"),
        (json.dumps({"cluster": {"worker": ["a:1", "a:1"]}, "task": FIRST}), "one address"),
        (json.dumps({"cluster": {"ps": ["a:1"], **PAIR}, "task": FIRST}), "a 'ps', allowed are"),
    ],
)
def test_a_wrong_tf_config_is_one_line_with_an_example(monkeypatch, text, words):
    monkeypatch.setenv("TF_CONFIG", text)
    with one_line("TF_CONFIG.*must be as in") as error:
        cluster.find()
    assert words in str(error.value)


def test_tf_config_goes_before_slurm(slurm, tf_config):
    slurm(0, "n1", "2", 2)
    tf_config(PAIR, FIRST)
    assert cluster.find().worker == ("a:2222", "b:2222")


def test_tasks_of_slurm(slurm):
    found = []
    for index in range(4):
        slurm(index, "n[1-2]", "2(x2)", 4)
        found.append(cluster.find())
    (tasks,) = {each.worker for each in found}
    assert [each.index for each in found] == [0, 1, 2, 3]
    assert [task.rpartition(":")[0] for task in tasks] == ["n1", "n1", "n2", "n2"]
    assert len({*tasks}) == 4
    assert [(each.part, each.parts) for each in found] == [(0, 2), (1, 2), (0, 2), (1, 2)]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ  # TensorFlow's resolver would set it


def test_each_task_is_at_its_own_host_whatever_the_order(slurm, monkeypatch):
    """For TensorFlow n10 comes before n9, not so for SLURM; and tasks may be dealt out in turn."""
    hosts, found = ["n9", "n10", "n9", "n10"], []
    for index, host in enumerate(hosts):
        slurm(index, "n[9-10]", "2(x2)", 4, LOCALID=index // 2)
        monkeypatch.setenv("SLURMD_NODENAME", host)
        found.append(cluster.find())
    assert [each.address.rpartition(":")[0] for each in found] == hosts
    assert sorted(each.index for each in found) == [0, 1, 2, 3]
    assert [each.part for each in found] == [0, 0, 1, 1]


def test_gpus_that_slurm_gives_out_are_not_parted_again(slurm):
    slurm(1, "n1", "2", 2, GPUS_PER_TASK=1)
    assert (cluster.find().part, cluster.find().parts) == (0, 1)


def test_two_jobs_on_a_host_have_other_ports(slurm):
    ports = []
    for job in (4711, 4712):
        slurm(0, "n1", "8", 8, JOB_ID=job)
        ports.append({task.rpartition(":")[2] for task in cluster.find().worker})
    assert ports[0].isdisjoint(ports[1])


def test_one_task_of_slurm_is_no_cluster(slurm, monkeypatch):
    slurm(0, "n1", "1", 1)
    assert cluster.find() is None
    slurm(0, "n1", "2", 2)
    monkeypatch.delenv("SLURM_PROCID")  # in an allocation, outside of srun
    assert cluster.find() is None


@pytest.mark.parametrize(
    ("nodes", "per_node", "tasks", "more"),
    [
        ("n[1", "2", 2, {}),
        ("n1", "two", 2, {}),
        ("n1", "3", 2, {}),
        ("n1", "2", "many", {}),
        ("n1", "2", 2, {"JOB_ID": "x"}),
    ],
)
def test_variables_of_slurm_that_do_not_fit(slurm, nodes, per_node, tasks, more):
    slurm(0, nodes, per_node, tasks, **more)
    with one_line("^SLURM's variables name no cluster"):
        cluster.find()


def test_a_host_that_slurm_does_not_name(slurm, monkeypatch):
    slurm(0, "n1", "2", 2, LOCALID=0)
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    with pytest.raises(UsageError, match="name no cluster"):
        cluster.find()
