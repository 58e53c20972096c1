"""PyTorch's DataLoader over JPEGs: decode, shrink, pad, mirror, batch. A peer of bench/input.py.

Run by a Python that has torch, NumPy and Pillow; a JSON object on stdin says what to do, one on
stdout how many pictures a second each number of worker processes gave, at its best of the epochs.
"""

import json
import sys
import time

import numpy as np
import torch
from PIL import Image


class Pictures(torch.utils.data.Dataset):
    """Frames (H, W, 3) uint8 of files (path, fitted height and width)."""

    def __init__(self, files: list, size: tuple[int, int], scaled: bool):
        self.files, self.size, self.scaled = files, size, scaled

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        path, (height, width) = self.files[index]
        with Image.open(path) as file:
            if self.scaled:  # by the JPEG's own transform; few loaders do so
                file.draft("RGB", (width, height))
            picture = np.asarray(file.convert("RGB").resize((width, height), Image.Resampling.BOX))
        if torch.rand(()) < 0.5:
            picture = picture[:, ::-1]
        frame = np.full((*self.size, 3), 126, np.uint8)
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        frame[top : top + height, left : left + width] = picture
        return torch.from_numpy(frame)


def rates(task: dict, workers: int) -> float:
    """Pictures a second of the best of a few epochs."""
    data = Pictures(task["files"], task["size"], task["scaled"])
    more = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    loader = torch.utils.data.DataLoader(
        data, task["batch"], shuffle=True, num_workers=workers, **more
    )
    found = []
    for _ in range(task["epochs"]):
        begun = time.perf_counter()
        shown = sum(len(batch) for batch in loader)
        found.append(shown / (time.perf_counter() - begun))
    return max(found)


def main() -> None:
    task = json.load(sys.stdin)
    torch.set_num_threads(1)  # what NumPy and Pillow do here is no work of torch's threads
    print(json.dumps({str(workers): rates(task, workers) for workers in task["workers"]}))


if __name__ == "__main__":
    main()
