"""What an epoch shows, in order, and which parts of it a worker computes."""

from collections.abc import Mapping

import numpy as np


def plan(
    count: int, batch_size: int, *, seed: int | None = None, epoch: int = 0, flip: bool = False
) -> dict[str, np.ndarray]:
    """Return what an epoch shows, in order: `id`, `flip` and `weight`, each (steps * batch,).

    A function of (seed, epoch, index) alone, chosen before anything is read, so that a resumed
    run sees what an uninterrupted one does. Without a seed: in order, nothing mirrored.
    """
    steps = {"id": np.arange(count), "flip": np.zeros(count, bool)}
    if seed is not None:
        random = np.random.default_rng([seed, epoch])
        steps = {"id": random.permutation(count), "flip": flip & (random.random(count) < 0.5)}
    return filled({**steps, "weight": np.ones(count, np.float32)}, batch_size)


def filled(steps: Mapping[str, np.ndarray], batch_size: int) -> dict[str, np.ndarray]:
    """Return an epoch's rows, and after them as many of the first again, with weight 0, as the
    last batch lacks: every step has one shape."""
    count = len(steps["weight"])
    again = np.resize(np.arange(count), -count % batch_size)
    whole = {key: np.concatenate([rows, rows[again]]) for key, rows in steps.items()}
    whole["weight"][count:] = 0
    return whole


def parts(
    rows: Mapping[str, np.ndarray], batch_size: int, skip: int, share: tuple[int, int, int]
) -> dict[str, np.ndarray]:
    """Return an epoch's rows as the parts of batches that one of several workers computes.

    Args:
        skip: so many batches were done before.
        share: which of how many workers, and how many devices they have together: each device
            computes an equal part of each batch, a worker's devices parts next to one another.
    """
    worker, workers, devices = share

    def part(values: np.ndarray) -> np.ndarray:
        shape = (-1, workers, devices // workers, batch_size // devices, *values.shape[1:])
        return values.reshape(shape)[skip:, worker].reshape(-1, *shape[3:])

    return {key: part(values) for key, values in rows.items()}
