"""Who trains together: the workers that TF_CONFIG or SLURM's variables name."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from errors import UsageError

FIRST_PORT = 12000  # of SLURM's tasks: below those that systems hand out by themselves
PORTS = 64  # a job's on each host, so that jobs which share a host do not meet
EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """Addresses, host:port, of a chief (or none) and of workers, and which of them this process
    is; of its machine's GPUs, in how many parts, it has which."""

    chief: tuple[str, ...]
    worker: tuple[str, ...]
    job: str
    index: int
    part: int = 0
    parts: int = 1

    @property
    def addresses(self) -> tuple[str, ...]:
        """All, in the order in which they are counted."""
        return self.chief + self.worker

    @property
    def address(self) -> str:
        """This process' own."""
        return getattr(self, self.job)[self.index]

    def spec(self) -> dict[str, list[str]]:
        """Return the addresses of each job, as TensorFlow takes them."""
        jobs = {"chief": self.chief, "worker": self.worker}
        return {job: list(tasks) for job, tasks in jobs.items() if tasks}


def find() -> Cluster | None:
    """Return the cluster of several tasks that the environment names; None where it names none.

    Raises:
        UsageError: what it says makes no sense.
    """
    cluster = None
    if os.environ.get("TF_CONFIG"):
        cluster = from_tf_config(os.environ["TF_CONFIG"])
    elif "SLURM_PROCID" in os.environ and os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        cluster = from_slurm()
    return cluster if cluster and len(cluster.addresses) > 1 else None


def from_tf_config(text: str) -> Cluster | None:
    """Return the cluster of TF_CONFIG; None where it has no cluster.

    Raises:
        UsageError: it is no JSON, or none that names the workers and which of them this is.
    """
    try:
        config = json.loads(text)
        jobs, task = config.get("cluster"), config.get("task")
        if not jobs:
            return None
        for job in (*jobs, task["type"]):
            if job not in ("chief", "worker"):
                raise ValueError(f"there is a {job!r}, allowed are chief and worker")
        lists = [tuple(map(str, jobs.get(job, ()))) for job in ("chief", "worker")]
        cluster = Cluster(*lists, task["type"], int(task["index"]))
        if not 0 <= cluster.index < len(jobs.get(cluster.job, ())):
            raise ValueError(f"there is no {cluster.job} {cluster.index}")
        check_addresses(cluster.addresses)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UsageError(f"TF_CONFIG: {what}; it must be as in {EXAMPLE}") from None
    return cluster


def check_addresses(addresses: Sequence[str]) -> None:
    """Raise ValueError where one is no host and port, or two are the same."""
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 2**16):
            raise ValueError(f"{address!r} is no host:port with a port from 1 to 65535")
    if len({*addresses}) < len(addresses):
        raise ValueError("two tasks have one address")


def from_slurm() -> Cluster:
    """Return the tasks of a SLURM step, of which several on one machine part its GPUs.

    TensorFlow's resolver sorts hosts by name and counts tasks along them. SLURM does not where
    names have no leading zeros or tasks are dealt out in turn, so each finds itself by its host and
    its number there.

    Raises:
        UsageError: SLURM's variables do not fit together.
    """
    try:
        first = FIRST_PORT + int(os.environ.get("SLURM_JOB_ID", 0)) % 300 * PORTS
        # It counts GPUs by nvidia-smi and cannot do without any: it is told that there are plenty.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=first, gpus_per_node=PORTS, gpus_per_task=1, auto_set_gpu=False
        )
        tasks = tuple(resolver.cluster_spec().as_dict()["worker"])
        index = resolver.task_id
        if "SLURMD_NODENAME" in os.environ:
            port = first + int(os.environ["SLURM_LOCALID"])
            index = tasks.index(f"{os.environ['SLURMD_NODENAME']}:{port}")
        host, _, port = tasks[index].rpartition(":")
    except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"SLURM's variables name no cluster: {why}") from None
    beside = sum(task.rpartition(":")[0] == host for task in tasks)
    # With GPUs given out by task, a task sees its own alone.
    parts = 1 if "SLURM_GPUS_PER_TASK" in os.environ else beside
    return Cluster((), tasks, "worker", index, (int(port) - first) % parts, parts)
