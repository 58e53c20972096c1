import pytest
import tensorflow as tf

from config import UsageError
from model import strategy


def test_without_a_gpu_it_mirrors_the_cpu():
    mirrored = strategy.mirrored(4)
    assert mirrored.num_replicas_in_sync == 1
    assert "CPU" in mirrored.extended.worker_devices[0]


def test_more_gpus_than_there_are(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [object()] * 2)
    with pytest.raises(UsageError, match="--devices 3: this machine has 2 GPUs"):
        strategy.mirrored(6, devices=3)


def test_a_batch_that_devices_cannot_share_evenly():
    with pytest.raises(UsageError, match="--batch-size 4: 3 devices share it"):
        strategy.mirrored(4, devices=3)


@pytest.mark.parametrize(("batch_size", "used"), [(4, 4), (6, 3), (7, 1), (16, 4)])
def test_all_gpus_that_share_a_batch_evenly(monkeypatch, batch_size, used):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [object()] * 5)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *_: None)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: devices)
    assert len(strategy.mirrored(batch_size)) == used
