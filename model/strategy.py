"""Which tf.distribute strategy: MirroredStrategy over the devices of this machine."""

import tensorflow as tf

from config import UsageError


def mirrored(batch_size: int, devices: int = 0) -> tf.distribute.MirroredStrategy:
    """As many GPUs as asked for, or all that share a batch evenly; without one, logical CPUs.

    To be called before anything else touches a device. One device is a mirror of one: there is
    one way to train.

    Raises:
        UsageError: more devices asked for than there are GPUs, or than share the batch evenly.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and devices > len(gpus):
        raise UsageError(f"--devices {devices}: this machine has {len(gpus)} GPUs; 0 takes all")
    if devices and batch_size % devices:  # a replica without a sample cannot compute
        raise UsageError(
            f"--batch-size {batch_size}: {devices} devices share it, it must be a multiple of that"
        )
    if not gpus:
        return tf.distribute.MirroredStrategy(logical_cpus(devices or 1))
    for gpu in gpus:  # leave memory to others until it is needed
        tf.config.experimental.set_memory_growth(gpu, True)
    sharing = [count for count in range(1, len(gpus) + 1) if batch_size % count == 0]
    return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(devices or sharing[-1])])


def logical_cpus(count: int) -> list[str]:
    """The names of `count` logical devices of the CPU."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    configured = tf.config.get_logical_device_configuration(cpu)
    if len(configured or [None]) < count:
        tf.config.set_logical_device_configuration(cpu, parts)
    return [f"CPU:{i}" for i in range(count)]
