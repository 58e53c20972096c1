"""MSI-Net in PyTorch, written from its description. A peer of bench/step.py.

Run by a Python that has torch; a JSON object, its argument, says what to do. Weights, pictures and
densities are raw float32 in a folder, in Keras' order and layout. Each line on stdin names a task
and is answered by the seconds that it took.
"""

import json
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

CAFFE_BGR_MEANS = (103.939, 116.779, 123.68)
PLAN = ((64, 2, 2, 1), (128, 2, 2, 1), (256, 3, 2, 1), (512, 3, 1, 1), (512, 3, 1, 2))


def conv(channels: int, filters: int, size: int = 3, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, size, padding=size // 2 * dilation, dilation=dilation)


class Network(nn.Module):
    """(B, 3, H, W), RGB 0..255 -> (B, 1, H, W) logits. Parameters come in Keras' order."""

    def __init__(self):
        super().__init__()
        self.encoder, channels = nn.ModuleList(), 3
        for filters, count, _, dilation in PLAN:
            for _ in range(count):
                self.encoder.append(conv(channels, filters, dilation=dilation))
                channels = filters
        self.point, self.surround = conv(1280, 256, 1), conv(1280, 256, 1)
        self.dilated = nn.ModuleList([conv(1280, 256, dilation=d) for d in (4, 8, 12)])
        self.fuse = conv(5 * 256, 256, 1)
        self.decoder = nn.ModuleList([conv(256 // n, 128 // n) for n in (1, 2, 4)])
        self.logits = conv(32, 1)
        self.register_buffer("means", torch.tensor(CAFFE_BGR_MEANS).reshape(3, 1, 1))

    def features(self, x):
        layers, found = iter(self.encoder), []
        for _, count, stride, _ in PLAN:
            for _ in range(count):
                x = functional.relu(next(layers)(x), inplace=True)
            if stride == 1:  # zeros lie below what a ReLU gives
                x = functional.pad(x, (0, 1, 0, 1))
            x = functional.max_pool2d(x, 2, stride)
            found.append(x)
        return torch.cat(found[2:], 1)

    def forward(self, image):
        x = (image.flip(1) - self.means).contiguous(memory_format=torch.channels_last)
        x = self.features(x)
        branches = [functional.relu(layer(x)) for layer in (self.point, *self.dilated)]
        mean = functional.relu(self.surround(x.mean((2, 3), keepdim=True)))
        x = torch.cat([*branches, mean.expand_as(branches[0])], 1)
        x = functional.relu(self.fuse(x))
        for layer in self.decoder:
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = functional.relu(layer(x))
        return self.logits(x)


def tensor(path: Path) -> torch.Tensor:
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.float32)


def fill(network: Network, weights: torch.Tensor) -> None:
    """Sets the parameters from Keras' weights, one after another."""
    for parameter in network.parameters():
        shape = parameter.shape
        part, weights = weights[: parameter.numel()], weights[parameter.numel() :]
        if len(shape) == 4:
            part = part.reshape(*shape[2:], shape[1], shape[0]).permute(3, 2, 0, 1)
        parameter.data.copy_(part)
    assert not len(weights)


def tasks(do: dict) -> dict:
    """A step of training and a prediction, as functions."""
    folder, network = Path(do["folder"]), Network()
    fill(network, tensor(folder / "weights"))
    network = network.to(memory_format=torch.channels_last)
    called = torch.compile(network) if do["compiled"] else network
    optimizer = torch.optim.Adam(network.parameters(), 1e-5, eps=1e-7, fused=True)
    shape = (do["batch"], *do["size"], 3)
    image = tensor(folder / "image").reshape(shape).permute(0, 3, 1, 2)  # channels last in memory
    density = tensor(folder / "density").reshape(do["batch"], -1)

    def log_density():
        with torch.autocast("cpu", torch.bfloat16, enabled=do["precision"] != "float32"):
            logits = called(image)
        return functional.log_softmax(logits.float().flatten(1), 1)

    def training():
        optimizer.zero_grad()
        ratio = torch.log(density + 1e-7) - log_density()
        loss = (density * ratio).sum(1).mean()
        loss.backward()
        optimizer.step()

    def prediction():
        with torch.inference_mode():
            return log_density()

    return {"training": training, "prediction": prediction}


def main() -> None:
    do = json.loads(sys.argv[1])
    torch.set_num_threads(do["threads"])
    known = tasks(do)
    answer = known["prediction"]().contiguous()
    (Path(do["folder"]) / "peer").write_bytes(bytes(answer.untyped_storage()))
    for line in sys.stdin:
        start = time.perf_counter()
        known[line.strip()]()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
