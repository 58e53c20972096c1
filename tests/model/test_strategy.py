import pytest
import tensorflow as tf

from config import UsageError
from model import strategy


def test_without_a_gpu_it_mirrors_the_cpu():
    mirrored = strategy.mirrored()
    assert mirrored.num_replicas_in_sync == 1
    assert "CPU" in mirrored.extended.worker_devices[0]


def test_more_gpus_than_there_are(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [object()] * 2)
    with pytest.raises(UsageError, match="--devices 3: this machine has 2 GPUs"):
        strategy.mirrored(3)
