"""DeepGaze III's parts by its description: one picture and one fixation, (C, H, W), float64."""

import numpy as np
from scipy import ndimage


def layer_norm(x, gain, offset):
    y = (x - x.mean()) / np.sqrt(x.var() + 1e-12)
    return y * gain[:, None, None] + offset[:, None, None]


def convolve(x, kernel):
    return np.einsum("chw,cd->dhw", x, kernel)


def softplus(x):
    return np.logaddexp(0, x)


def resize(x, height, width):
    rows = [int(i * x.shape[-2] / height + 1e-9) for i in range(height)]
    columns = [int(j * x.shape[-1] / width + 1e-9) for j in range(width)]
    return x[..., rows, :][..., columns]


def blur(x, sigma):
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in (0, 1):
        x = ndimage.correlate1d(x, kernel / kernel.sum(), axis=axis, mode="nearest")
    return x


def distances(x, y, size):
    """dx, dy and distance of every pixel, (3, H, W)."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(float)
    return np.stack([columns - x, rows - y, np.hypot(columns - x, rows - y)])
